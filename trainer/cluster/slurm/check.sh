#!/usr/bin/env bash
# A sweep as an array of a real Slurm: one task is asked to stop and queues itself again, another is killed and submitted
# again, a third run is cancelled and stays so; what is collected has the bytes of the same sweep in a local pool.
#
#   check.sh [PROGRAM]       PROGRAM is `trainer` [target/debug/trainer]; exit code 0 also where Slurm is not to be had,
#                            with a line that says so
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(realpath "${1:-$here/../../../target/debug/trainer}")
work=$(mktemp -d)
trap '"$here/one_node.sh" stop "$work/slurm" >/dev/null 2>&1 || true; rm -rf "$work" || true' EXIT
started=$("$here/one_node.sh" start "$work/slurm") || { echo "skipped: no Slurm can be started here"; exit 0; }
eval "$started"

cat >"$work/plan.toml" <<'TOML'
preset = "digits"
epochs = 200
mean_views = 2
fbar_views = 2

[grid]
batch_size = [16, 32]
seed = [7, 11, 13]
TOML

fail() { echo "error: $*" >&2; tail -n 20 "$work"/sweep/slurm/*.log >&2 || true; exit 1; }
until_true() { # SECONDS WHAT COMMAND…
    local left=$(($1 * 5)) what=$2
    shift 2
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "$what did not happen"
        sleep 0.2
    done
}
folder_of() { sed -n "$(($1 + 1))p" "$work/sweep/plan.jsonl" | sed 's/.*"name":"\([^"]*\)".*/\1/'; }
is_training() { [ -s "$work/sweep/runs/$(folder_of "$1")/metrics.jsonl" ]; }
pid_of() { sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$work/sweep/runs/$(folder_of "$1")/owner.json"; }
is_empty() { [ -z "$(squeue --noheader)" ]; }
submit() { "$program" sweep "$work/plan.toml" --out "$work/sweep" --checkpoint-every 1 --slurm --time 30:00 --mem 500M "$@"; }

echo "submitted: $(submit --throttle 2)"
job=$(head -n 1 "$work/sweep/slurm/jobs.txt" | cut -d ' ' -f 1)

until_true 60 "the training of task 0" is_training 0
# To the script, as when a task is preempted; scancel itself stays on while the task is being queued again.
timeout 5 scancel --batch --signal=TERM "${job}_0" 2>/dev/null &
until_true 60 "the training of task 1" is_training 1
kill -9 "$(pid_of 1)"
queued_again() { grep -q "${job}_0: queued again" "$work/sweep/slurm/${job}_0.log"; }
until_true 20 "the requeue of task 0" queued_again
echo "task 0: asked to stop, queued again"
# Slurm lets a task wait for two minutes then.
scontrol update JobId="${job}_0" StartTime=now
scancel "${job}_5"
until_true 300 "the end of the array" is_empty
grep -q "runs: 4 finished" "$work/sweep/slurm"/collect_*.log || fail "4 of 6 runs should be finished: $(cat "$work"/sweep/slurm/collect_*.log)"
echo "task 1 was killed, task 5 cancelled: $(tail -n 1 "$work"/sweep/slurm/collect_*.log)"

before=$(stat -c %Y "$work/sweep/runs/$(folder_of 0)/done.json")
submit | tee "$work/again"
grep -q "^2 runs submitted" "$work/again" || fail "the two that are missing should be submitted"
until_true 300 "the end of the second array" is_empty
[ "$before" = "$(stat -c %Y "$work/sweep/runs/$(folder_of 0)/done.json")" ] || fail "a run that was done was done again"
submit | grep -q "nothing is missing" || fail "nothing should be missing"

"$program" sweep "$work/plan.toml" --out "$work/local" --quiet >/dev/null
for file in losses.csv accuracy.csv runs.csv bounds.csv; do
    cmp "$work/sweep/$file" "$work/local/$file" || fail "$file is another one than that of the local pool"
done
echo "losses.csv, accuracy.csv, runs.csv, bounds.csv: the bytes of the local pool"
