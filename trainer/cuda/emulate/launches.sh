#!/usr/bin/env bash
# Proves the Rust side of the kernels without a GPU: the tests of trainer::device, whole training steps among them, and one round of
# `trainer bench` run on an emulated device (device/).
#
#   trainer/cuda/emulate/launches.sh [arguments of cargo test, as --release]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
libraries="${CARGO_TARGET_DIR:-$here/../../../target}/cuda/emulated-device"
mkdir -p "$libraries/without-cudnn" "$libraries/with-cudnn"
libraries="$(cd "$libraries" && pwd)"
g++ -std=c++17 -O2 -ffp-contract=off -fPIC -shared -Wall -Wno-unknown-pragmas -Wno-unused-function -Wno-maybe-uninitialized -U_FORTIFY_SOURCE \
    "-I$here" -o "$libraries/libdevice.so" "$here"/device/*.cpp
# One file under every name: the loader then opens it once.
for folder in with-cudnn without-cudnn; do
    for name in libcuda.so.1 libcublas.so.13 libcublasLt.so.13 libcurand.so.10; do ln -sf ../libdevice.so "$libraries/$folder/$name"; done
done
ln -sf ../libdevice.so "$libraries/with-cudnn/libcudnn.so.9"
export TRAINER_REQUIRE_CUDA=1
# Convolutions by cuDNN, then as matrix products; then a driver that cannot record graphs.
run() { LD_LIBRARY_PATH="$libraries/$1" "$here/../build.sh" test --lib "${@:2}" -- --test-threads 1 "${filters[@]}"; }
filters=(device:: cuda::)
run with-cudnn "$@"
run without-cudnn "$@"
filters=(replayed)
EMULATE_NO_GRAPHS=1 run without-cudnn "$@"
# The benchmark: its report, and one line where memory ends.
bench() { "$here/../build.sh" run "$@" -- bench --net mlp --batch 4 --steps 1 --device cuda --dtype bf16; }
LD_LIBRARY_PATH="$libraries/with-cudnn" bench "$@" | grep '"device_name":"emulated","dtype":"bf16","tf32":false,"cuda_graph":true'
{ EMULATE_MEMORY=50000000 LD_LIBRARY_PATH="$libraries/with-cudnn" bench "$@" || [ $? = 1 ]; } 2>&1 | grep '^error: the GPU is out of memory'
