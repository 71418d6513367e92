# What one does with Latchkey. Every target installs what it lacks first (scripts/install).

TARGET := $(or $(CARGO_TARGET_DIR),target)

# make demo DIR=my-demo PORT=9443 UPSTREAM=http://127.0.0.1:3000
DEMO := $(if $(DIR),--dir "$(DIR)") $(if $(PORT),--port "$(PORT)") $(if $(UPSTREAM),--upstream "$(UPSTREAM)")

# Keys in a TPM, where its library is installed.
TPM := $$(pkg-config --exists tss2-sys tss2-esys tss2-mu tss2-tctildr 2>/dev/null && echo --features latchkey-agent/tpm)

# Seconds for each fuzz target.
SECONDS := 3600

# Minutes of the soak: make soak MINUTES=600
MINUTES := 10

.PHONY: demo build test screenshots lint fuzz soak bench

# Runs everything on this machine, with nothing to configure.
demo:
	@scripts/install build demo
	cargo build --release -p latchkey -p latchkey-agent $(TPM)
	@exec "$(TARGET)/release/latchkey" demo $(DEMO)

# Builds what is shipped: the gateway, and the agent for devices.
build:
	@scripts/install build tpm
	cargo build --release -p latchkey -p latchkey-agent $(TPM)

# Runs every test. The tests from outside start the programs built here.
test:
	@scripts/install build test
	cargo build --workspace --bins --tests --features latchkey-agent/tpm
	cargo test --workspace --features latchkey-agent/tpm

# Makes pictures of every page, as phones and desktops show it, by what the tests were built from: make screenshots DIR=pictures
screenshots:
	@scripts/install build tpm browser
	cargo build --workspace --bins --features latchkey-agent/tpm
	@LATCHKEY_BIN="$(TARGET)/debug/latchkey" LATCHKEY_AGENT_BIN="$(TARGET)/debug/latchkey-agent" \
		"$(TARGET)/debug/latchkey-screenshots" "$(or $(DIR),$(TARGET)/screenshots)"

# Runs every check that needs no running gateway. Bare URLs in doc comments are what --help shows.
lint:
	@scripts/install build lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features latchkey-agent/tpm -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::bare-urls" cargo doc --no-deps --workspace --features latchkey-agent/tpm
	cargo deny --log-level error check bans licenses sources

# Tries what strangers can send at random: make fuzz SECONDS=300
fuzz:
	@scripts/install build fuzz
	tests/fuzz/run.sh $(SECONDS)

# Runs a gateway under everything at once, each answer held against a model: devices, policies and configurations that change,
# applications that fail, clients that give up. A debug build, whose arithmetic is checked.
soak:
	@scripts/install build soak
	cargo build --workspace --bins --features latchkey-agent/tpm
	@LATCHKEY_BIN="$(TARGET)/debug/latchkey" "$(TARGET)/debug/latchkey-soak" --minutes $(MINUTES)

# Measures this machine's Latchkey beside other fronts; prints the tables of docs/performance.md.
bench:
	@scripts/install build bench
	tests/bench/run.sh
