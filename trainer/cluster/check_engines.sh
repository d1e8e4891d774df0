#!/usr/bin/env bash
# The sweeps of submitit and Ray have the bytes of the local pool: check_engines.sh PROGRAM PYTHON, where PYTHON has both
# packages (requirements.txt).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(realpath "$1")
python=$2
work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
plan=$here/../plans/smoke.toml
"$program" sweep "$plan" --out "$work/local" --quiet >/dev/null
"$python" "$here/submitit_sweep.py" "$program" "$plan" "$work/submitit" local
RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 "$python" "$here/ray_sweep.py" "$program" "$plan" "$work/ray" 2>/dev/null
for engine in submitit ray; do
    for file in losses.csv accuracy.csv runs.csv; do
        cmp "$work/$engine/$file" "$work/local/$file"
    done
done
echo "submitit, Ray: the bytes of the local pool"
