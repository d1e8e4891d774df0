#!/usr/bin/env bash
# Builds `trainer` with its CUDA kernels on a machine that needs no GPU, no CUDA toolkit and no driver.
#
#   trainer/cuda/build.sh                    release binary target/release/trainer
#   trainer/cuda/build.sh test --lib ops     any cargo command: `-p trainer --features cuda` is added
#   eval "$(trainer/cuda/build.sh --env)"    only prepare the toolkit; then cargo … --features cuda works in this shell
#
# Environment: CUDA_COMPUTE_CAP (80) the oldest GPU that the kernels of candle run on; CUDAFORGE_THREADS (all processors)
# how many nvcc run at a time; TRAINER_CUDA_FULL=1 also compiles candle's quantised kernels, which nothing here calls.
# Needs cargo, python3 with venv, gcc and g++. Everything lands in target/cuda/ (0.3 GB). README.md says why each step is there.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
workspace="$(cd "$here/../.." && pwd)"
target="${CARGO_TARGET_DIR:-$workspace/target}"
work="$target/cuda"
mkdir -p "$work"

# 1. nvcc and its headers, from PyPI; `nvcc-trainer` lowers its PTX to what drivers of CUDA 12.4 take.
packages=(nvidia-cuda-nvcc nvidia-cuda-crt nvidia-nvvm nvidia-cuda-runtime nvidia-cuda-cccl)
if [ ! -e "$work/venv/complete" ]; then
    python3 -m venv "$work/venv" >&2
    "$work/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps "${packages[@]/%/==13.0.*}" >&2
    touch "$work/venv/complete"
fi
toolkit="$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/nvidia/cu13"

# 2. The folder layout that cudarc, candle and our build.rs expect of CUDA_HOME.
home="$work/home"
mkdir -p "$home/lib"
for part in bin include nvvm; do ln -sfn "$toolkit/$part" "$home/$part"; done
ln -sfn lib "$home/lib64"

# 3. Trampolines in place of the CUDA libraries: the binary finds the real ones when it starts, or does without.
(cd "$workspace" && cargo fetch --locked -q >&2)
cudarc="$(cd "$workspace" && cargo metadata --format-version 1 --locked --features trainer/cuda |
    python3 -c 'import json, os, sys; print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc"))')"
python3 "$here/trampolines.py" "$cudarc/src" "$home/lib" "$toolkit/lib/libcudart_static.a" >&2

# 4. The build. cudarc is to ask for no function that the driver of CUDA 12.4 lacks.
settings=(
    "CUDA_HOME=$home" "NVCC=$here/nvcc-trainer" "TRAINER_REAL_NVCC=$home/bin/nvcc" "CUDARC_CUDA_VERSION=12040"
    "CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}" "CUDAFORGE_THREADS=${CUDAFORGE_THREADS:-$(nproc)}"
)
if [ "${1:-}" = --env ]; then
    printf 'export %q\n' "${settings[@]}"
    exit
fi
cd "$workspace"
# candle's PTX from before it was lowered: its build script would keep it.
for profile in dev release; do
    folder="$target/${profile/dev/debug}/build"
    if grep -qs '^\.version 9' "$folder"/candle-kernels-*/out/*.ptx; then cargo clean -q --profile "$profile" -p candle-kernels; fi
done
[ $# -gt 0 ] || set -- build --release --locked
command="$1"
shift
env "${settings[@]}" cargo "$command" -p trainer --features cuda "$@"
