#!/usr/bin/env bash
# Proves the Rust side of the kernels without a GPU: the tests of trainer::device, whole training steps among them, and one round of
# `trainer bench` run on an emulated device (device/).
#
#   trainer/cuda/emulate/launches.sh [arguments of cargo test, as --release]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
libraries="${CARGO_TARGET_DIR:-$here/../../../target}/cuda/emulated-device"
mkdir -p "$libraries"
libraries="$(cd "$libraries" && pwd)"
g++ -std=c++17 -O2 -ffp-contract=off -fPIC -shared -Wall -Wno-unknown-pragmas -Wno-unused-function -Wno-maybe-uninitialized -U_FORTIFY_SOURCE \
    "-I$here" -o "$libraries/libdevice.so" "$here"/device/*.cpp
# One file under every name: the loader then opens it once.
for folder in with-cudnn without-cudnn without-cublas without-cublas-12 without-curand; do
    mkdir -p "$libraries/$folder"
    for name in libcuda.so.1 lib{cublas,cublasLt}.so.1{2,3} libcurand.so.10; do ln -sf ../libdevice.so "$libraries/$folder/$name"; done
done
ln -sf ../libdevice.so "$libraries/with-cudnn/libcudnn.so.9"
rm "$libraries/without-cublas/"libcublas.so.* "$libraries/without-cublas-12/"libcublas.so.12 "$libraries/without-curand/"libcurand.so.*
export TRAINER_REQUIRE_CUDA=1
# Convolutions by cuDNN, then as matrix products; then a driver that cannot record graphs.
run() { LD_LIBRARY_PATH="$libraries/$1" "$here/../build.sh" test --lib "${@:2}" -- --test-threads 1 "${filters[@]}"; }
filters=(device:: cuda::)
run with-cudnn "$@"
# What has a convolution in it.
filters=(convolution conv:: network::steps network::bf16 network::checkpoints runs::a_run)
run without-cudnn "$@"
filters=(replayed)
EMULATE_NO_GRAPHS=1 run without-cudnn "$@"
# Sums of products in f32, as a GPU has them; a driver without memory pools; the oldest driver that is let in.
filters=(linear_layer convolution_is losses)
EMULATE_F32_SUMS=1 run without-cudnn "$@"
filters=(eagerly_with_one_warning optimisers_are)
EMULATE_NO_POOLS=1 run without-cudnn "$@"
EMULATE_DRIVER=12040 run without-cudnn "$@"
# The benchmark: its report, and one line each for what a machine may lack.
"$here/../build.sh" build "$@"
profile=debug
[[ " $* " != *" --release "* ]] || profile=release
bench() { "$libraries/../../$profile/trainer" bench --net mlp --batch 4 --steps 1 --dtype "${dtype:-bf16}" --device "$1"; }
LD_LIBRARY_PATH="$libraries/with-cudnn" bench cuda | grep '"device_name":"emulated","dtype":"bf16","tf32":false,"cuda_graph":.*"cudnn_version":"9.10.2".*"plans":\[\]'
# ends STATUS BEGINNING FOLDER DEVICE, after variables of the emulated device: how the program ends, and with what single line.
ends() {
    local status=0 found
    found="$(LD_LIBRARY_PATH="$libraries/$3" bench "$4" 2>&1 >/dev/null)" || status=$?
    printf '%s\n' "$found"
    [ "$status" = "$1" ] && [[ "$found" == "$2"* && "$found" != *$'\n'* ]]
}
EMULATE_MEMORY=50000000 ends 1 'error: the GPU is out of memory' with-cudnn cuda
EMULATE_DRIVER=12030 ends 1 'error: the NVIDIA driver serves CUDA 12.3, and this build needs 12.4' with-cudnn cuda
EMULATE_CAPABILITY=75 ends 1 'error: GPU 0 has compute capability 7.5, and this build needs 8.0' with-cudnn cuda
EMULATE_DEVICES=0 ends 1 'error: no usable GPU' with-cudnn cuda
EMULATE_DEVICES=2 ends 2 'error: there is no GPU 2: the driver shows 2' with-cudnn cuda:2
EMULATE_DEVICES=2 ends 0 '' with-cudnn cuda:1
EMULATE_NO_POOLS=1 ends 0 'warning: the driver has no memory pools on this GPU' with-cudnn cuda
ends 1 'error: cuBLAS could not be loaded: put libcublas.so.13' without-cublas cuda
EMULATE_DRIVER=12040 ends 1 'error: cuBLAS could not be loaded: put libcublas.so.12' without-cublas-12 cuda
ends 1 'error: cuRAND could not be loaded: put libcurand.so.10' without-curand cuda
# auto falls back to the CPU with that line.
warned="$(dtype=f32 EMULATE_DRIVER=11080 LD_LIBRARY_PATH="$libraries/with-cudnn" bench auto 2>&1 >/dev/null)"
grep '^warning: computing on the CPU: the NVIDIA driver serves CUDA 11.8' <<<"$warned"
# CUDA_LIB_DIRS comes before the loader's path.
CUDA_LIB_DIRS="$libraries/with-cudnn" LD_LIBRARY_PATH="$libraries/without-cudnn" TRAINER_CUDA_DEBUG=1 \
    "$libraries/../../$profile/trainer" --version 2>&1 | grep "^libcuda.so.1: $libraries/with-cudnn/libcuda.so.1"
