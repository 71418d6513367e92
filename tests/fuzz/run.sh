#!/bin/sh
# Fuzzes each target for so many seconds (an hour), or the named ones: tests/fuzz/run.sh [SECONDS [TARGET…]]
# What it finds goes to target/fuzz/artifacts; the corpus that it grows stays in target/fuzz/corpus.
set -eu
cd "$(dirname "$0")/../.."

seconds="${1:-3600}"
[ $# -eq 0 ] || shift
targets="${*:-assertion tpm management csr certificate target head cookie proxy frames configuration policy}"
out="${CARGO_TARGET_DIR:-target}/fuzz"
# The sanitizer is not stable; this toolchain has it all the same.
export RUSTC_BOOTSTRAP=1

for target in $targets; do
    mkdir -p "$out/corpus/$target" "$out/artifacts/$target"
    cp -n "tests/fuzz/corpus/$target/"* "$out/corpus/$target/"
    echo "tests/fuzz/run.sh: $target for $seconds seconds"
    cargo fuzz run --fuzz-dir tests/fuzz --target-dir "$out/build" "$target" "$out/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -max_len=16384 \
        -artifact_prefix="$out/artifacts/$target/" -print_final_stats=1
done
