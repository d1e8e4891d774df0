#!/usr/bin/env bash
# Proves the Rust side of the kernels without a GPU: the tests of trainer::cuda run on an emulated device (device/device.cpp).
#
#   trainer/cuda/emulate/launches.sh [arguments of cargo test, as --release]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
libraries="${CARGO_TARGET_DIR:-$here/../../../target}/cuda/emulated-device"
mkdir -p "$libraries"
libraries="$(cd "$libraries" && pwd)"
g++ -std=c++17 -O1 -fPIC -shared -Wall -Wno-unknown-pragmas -Wno-unused-function -Wno-maybe-uninitialized -U_FORTIFY_SOURCE \
    "-I$here" -o "$libraries/libcuda.so.1" "$here/device/device.cpp" "$here/device/kernels.cpp"
# One file under every name: the loader then opens it once.
for name in libcublas.so.13 libcublasLt.so.13 libcurand.so.10; do ln -sf libcuda.so.1 "$libraries/$name"; done
export CUDA_LIB_DIRS="$libraries" LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" TRAINER_REQUIRE_CUDA=1
exec "$here/../build.sh" test --lib "$@" cuda:: -- --test-threads 1
