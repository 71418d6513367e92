# What one does with Latchkey. Every target installs what it lacks first (scripts/install).

TARGET := $(or $(CARGO_TARGET_DIR),target)

# make demo DIR=my-demo PORT=9443 UPSTREAM=http://127.0.0.1:3000
DEMO := $(if $(DIR),--dir "$(DIR)") $(if $(PORT),--port "$(PORT)") $(if $(UPSTREAM),--upstream "$(UPSTREAM)")

.PHONY: demo build test lint bench

# Runs everything on this machine, with nothing to configure.
demo:
	@scripts/install build
	cargo build --release -p latchkey
	@exec "$(TARGET)/release/latchkey" demo $(DEMO)

# Builds what is shipped.
build:
	@scripts/install build
	cargo build --release -p latchkey

# Runs every test. The tests from outside start the gateway built here.
test:
	@scripts/install build test
	cargo build --workspace --bins --tests
	cargo test --workspace

# Runs every check that needs no running gateway. Bare URLs in doc comments are what --help shows.
lint:
	@scripts/install build lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::bare-urls" cargo doc --no-deps --workspace
	cargo deny --log-level error check bans licenses sources

# Measures this machine's Latchkey beside its nginx; prints the tables of docs/performance.md.
bench:
	@scripts/install build bench
	tests/bench/run.sh
