#!/usr/bin/env bash
# Proves the CUDA kernels on a CPU: each is run, fibre by fibre, against a double-precision reference. Needs only g++.
#
# A check of one more kernel is one more file NAME.cpp here that includes check.h and the kernel (see pool.cpp).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
build="${CARGO_TARGET_DIR:-$here/../../../target}/cuda/emulate"
mkdir -p "$build"
# No contraction to fused products, which g++ makes where the processor has them: the same bits on every machine.
flags=(-std=c++17 -O1 -ffp-contract=off -Wall -Wno-unknown-pragmas -Wno-unused-function -Wno-maybe-uninitialized -U_FORTIFY_SOURCE "-I$here")
pids=()
for source in "$here"/*.cpp; do
    g++ "${flags[@]}" -c -o "$build/$(basename "$source" .cpp).o" "$source" &
    pids+=($!)
    # Two at a time.
    if [ ${#pids[@]} -ge 2 ]; then
        wait "${pids[0]}"
        pids=("${pids[@]:1}")
    fi
done
for pid in "${pids[@]}"; do wait "$pid"; done
objects=()
for source in "$here"/*.cpp; do objects+=("$build/$(basename "$source" .cpp).o"); done
g++ -o "$build/emulate" "${objects[@]}"
"$build/emulate"
