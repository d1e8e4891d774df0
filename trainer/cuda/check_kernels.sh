#!/usr/bin/env bash
# What ptxas makes of every kernel, for compute capability 8.0 and 9.0; needs no GPU. Fails where a kernel spills registers or keeps
# an array in memory (a stack frame), and where a kernel NAME_vector loads fewer than 16 bytes at a time. One kernel may have a frame:
# augment_simclr takes its colour operations in the order of an array.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
eval "$("$here/build.sh" --env)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
: >"$work/report"
while read -r source; do
    # As build.rs compiles it, first line included.
    read -ra more < <(sed -n '1s|^// nvcc:||p' "$source"; echo)
    "$CUDA_HOME/bin/nvcc" -ptx -arch=compute_80 -O3 -std=c++17 "${more[@]}" -o "$work/ptx" "$source"
    awk -v source="$source" '
        /\.entry/ { kernel = $0; sub(/.*\.entry /, "", kernel); sub(/\(.*/, "", kernel) }
        /ld\.global/ && kernel ~ /_vector$/ && !/\.v4\.[fub]32|\.v2\.[fub]64/ { print source ": " kernel ": " $0; found = 1 }
        END { exit found }' "$work/ptx"
    for capability in sm_80 sm_90; do
        "$CUDA_HOME/bin/ptxas" -v -arch=$capability -o "$work/cubin" "$work/ptx" 2>&1 | awk -v at=$capability '
            /Compiling entry/ { split($0, part, "\047"); kernel = part[2] }
            /stack frame/ { frame = $0; sub(/^ */, "", frame) }
            / Used / { match($0, /Used [0-9]+/); print at, substr($0, RSTART + 5, RLENGTH - 5), kernel ": " frame }' >>"$work/report"
    done
done < <(find "$here/../src" -name kernel.cu | sort)
if grep -vE '(: 0|augment_simclr_.*: 56) bytes stack frame, 0 bytes spill stores, 0 bytes spill loads$' "$work/report"; then exit 1; fi
sort -k2,2n "$work/report" | awk '{ kernels++; most = $2; name = $3 } END {
    if (!kernels) exit 1
    print kernels / 2 " kernels, no spills, at most " most " registers (" substr(name, 1, length(name) - 1) ")" }'
