#!/bin/sh
# Measures Latchkey beside nginx on this machine and prints the tables. Arguments go to latchkey-bench, such as --rounds 3.
set -eu
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-target}"

if ! [ -x /usr/sbin/nginx ]; then
    if [ "$(id -u)" = 0 ]; then as_root=""; elif command -v sudo >/dev/null; then as_root="sudo"; else
        echo "The bench needs nginx. Install it as root: apt-get install nginx-light" >&2
        exit 1
    fi
    echo "Installing nginx for the comparison" >&2
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light
    # Only the programs that the bench starts itself are wanted.
    $as_root systemctl disable --now nginx >/dev/null 2>&1 || true
fi

cargo build --profile dist -p latchkey -p latchkey-agent
cargo build --release -p latchkey-tests --bins
commit="$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
exec "$target/release/latchkey-bench" --latchkey "$target/dist/latchkey" --commit "$commit" "$@"
