#!/bin/sh
# Installs what the tests run beside the gateway: curl, openssl, python3 with cryptography. Says nothing when all is there.
set -eu
missing=""
command -v curl >/dev/null || missing="$missing curl"
command -v openssl >/dev/null || missing="$missing openssl"
python3 -c 'from cryptography.hazmat.primitives.serialization.pkcs12 import PBES' 2>/dev/null ||
    missing="$missing python3 python3-cryptography"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ]; then as_root=""; elif command -v sudo >/dev/null; then as_root="sudo"; else
    echo "The tests need:$missing. Install them as root: apt-get install$missing" >&2
    exit 1
fi
echo "Installing for the tests:$missing"
# shellcheck disable=SC2086 # a list of words
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
