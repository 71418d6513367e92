#!/bin/sh
# Measures Latchkey beside other fronts on this machine and prints the tables. Arguments go to latchkey-bench, such as
# --only-fronts --fronts nginx-map,latchkey --modes keep-alive.
set -eu
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-target}"

scripts/install bench
cargo build --profile dist -p latchkey -p latchkey-agent
cargo build --release -p latchkey-tests --bins
commit="$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
exec "$target/release/latchkey-bench" --latchkey "$target/dist/latchkey" --environment "$target/proxies" --commit "$commit" "$@"
