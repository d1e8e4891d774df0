#!/usr/bin/env bash
# Fills target/cuda/device-check with all that check.sh needs on a machine with a GPU: at most 60 MiB, to be copied there whole.
#
#   trainer/cuda/device/prepare.sh [FOLDER]    FOLDER holds Fashion-MNIST as published, such as train-images-idx3-ubyte.gz;
#                                              without it the digits that ship are trained on
#
# PROFILE=debug takes the build that launches.sh makes, to rehearse check.sh without another one.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${CARGO_TARGET_DIR:-$here/../../../target}"
result="$target/cuda/device-check"
most=$((60 << 20))

profile="${PROFILE:-release}"
flags=(--locked)
[ "$profile" = debug ] || flags+=(--release)
"$here/../build.sh" build "${flags[@]}"
tests="$("$here/../build.sh" test "${flags[@]}" --lib --no-run --message-format json |
    python3 -c 'import json, sys; print([found["executable"] for found in map(json.loads, sys.stdin) if found.get("executable")][-1])')"
rm -rf "$result"
mkdir -p "$result"
# pack FROM NAME
pack() {
    strip -o "$result/$2" "$1"
    gzip -9 "$result/$2"
}
pack "$target/$profile/trainer" trainer
pack "$tests" trainer-tests
cp -r "$here/check.sh" "$here/summary.py" "$here/../../benches" "$result/"
if [ $# -gt 0 ]; then
    mkdir -p "$result/data/fashion-mnist"
    cp "$1"/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz "$result/data/fashion-mnist/"
fi
size="$(du -sb "$result" | cut -f1)"
if [ "$size" -gt $most ]; then
    echo "$result has $size bytes, more than $most" >&2
    exit 1
fi
echo "$result: $size bytes"
