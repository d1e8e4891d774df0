#!/usr/bin/env bash
# The check on a machine with a GPU, in one command of at most 8.5 minutes, from a folder that prepare.sh filled.
#
#   OUT=results ./check.sh              needs bash, coreutils, the driver, Python with PyTorch; uses ncu and compute-sanitizer
#   OUT=results ./check.sh --papers N   instead: ResNet-18 on the data set in bf16, K+1 of 64, 256 and 512, N epochs; its losses.csv
#   OUT=results ./check.sh --rehearse   the same, small, on the emulated device (launches.sh names its folder)
#
# Each phase has its own limit, and a failure does not stop the later ones, except where `start` computes nothing. Results: the summary on
# standard output, $OUT/check.log (what every phase printed), check.jsonl (one object a result), runs.jsonl (every timed run), ncu.csv.
set -uo pipefail
self="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$(basename "${BASH_SOURCE[0]}")"
here="$(dirname "$self")"

# Phases and the most seconds that each may take; one that does not end when it is told to gets `grace` more.
phases=(start:50 operations:55 recording:25 steps:40 plans:30 torch:130 train:75 measure:25 kernels:35 barriers:25)
grace=2
most=510

record() { printf '%s\n' "$1" >>"$OUT/check.jsonl"; }
has() { command -v "$1" >/dev/null; }
skip() {
    echo "skipped: $1"
    exit 77
}

# Every test whose name matches the first expression and not the second: all in one process, those without a verdict afterwards, as behind
# a crash, each in its own.
tests() {
    local names test status failed=0
    mapfile -t names < <("$TESTS" --list 2>/dev/null | sed -n 's/: test$//p' | grep -E "$1" | grep -vE "$2" | grep -E "$ONLY")
    if [ ${#names[@]} = 0 ]; then
        echo "no test of $1"
        return 1
    fi
    timeout --foreground 45 "$TESTS" --test-threads 1 --show-output --exact "${names[@]}" >"$WORK/tests.log"
    cat "$WORK/tests.log"
    for test in "${names[@]}"; do
        if grep -qxF "test $test ... ok" "$WORK/tests.log"; then
            status=0
        elif grep -qxF "test $test ... FAILED" "$WORK/tests.log"; then
            status=101
        else
            status=0
            timeout --foreground 30 "$TESTS" --exact "$test" --nocapture || status=$?
        fi
        record "{\"test\":\"${3:-}$test\",\"status\":$status}"
        [ $status = 0 ] || failed=1
    done
    return $failed
}

# bench NET BATCH STEPS [more]
bench() { "$TRAINER" bench --device cuda --dtype bf16 --net "$1" --batch "$2" --steps "$3" "${@:4}" | tee -a "$OUT/bench.jsonl"; }

epochs_of() { if [ -e "$1/metrics.jsonl" ]; then wc -l <"$1/metrics.jsonl"; else echo 0; fi; }

run_phase() {
    local recorded='tests::graph::|replayed|recorded|eagerly' steps='device::tests::(network|runs)::'
    case "$1" in
    start)
        if has nvidia-smi; then nvidia-smi; else echo "nvidia-smi: missing"; fi
        ldd --version | head -1
        echo "CUDA_LIB_DIRS=$CUDA_LIB_DIRS"
        TRAINER_CUDA_DEBUG=1 bench mlp "$FEW" 2 || return 1
        "$TESTS" --list >/dev/null || return 1
        timeout --foreground 25 python3 "$here/summary.py" probe "$OUT/check.jsonl" || echo "the probe did not end well"
        ;;
    operations)
        local failed=0
        tests '(device|cuda)::' "$recorded|$steps" || failed=1
        # Convolutions as matrix products, where cuDNN lies in a folder of its own.
        CUDA_LIB_DIRS="$WITHOUT_CUDNN" tests 'convolution_is_its_sum' '^$' 'without cuDNN: ' || failed=1
        return $failed
        ;;
    recording) tests "$recorded" '^$' ;;
    steps) tests "$steps" "$recorded" ;;
    plans) for batch in $BATCHES; do bench "$NET" "$batch" "$STEPS" || return 1; done ;;
    torch)
        python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null || skip "no PyTorch that sees a GPU"
        python3 "$here/benches/against_torch.py" --trainer "$TRAINER" --device cuda --dtype bf16 --net "$NET" --rounds 2 --save "$OUT/runs.jsonl"
        ;;
    train)
        local command=("$TRAINER" train "${settings[@]}" ${DATA:+--data "$DATA"} --device cuda --dtype bf16)
        "${command[@]}" --out "$WORK/whole" || return 1
        python3 "$here/summary.py" rate "$OUT/check.jsonl" "$WORK/whole" "$IMAGES"
        # The same step alone.
        if [ -n "$DATA" ]; then bench "$NET" "$IMAGES" "$STEPS" --image 28x28x1; fi
        # The same algorithms of convolutions, which each run chooses by the clock otherwise.
        if [ -e "$WORK/whole/plans.json" ]; then
            mkdir "$WORK/halves"
            cp "$WORK/whole/run.json" "$WORK/whole/plans.json" "$WORK/halves"
        fi
        "${command[@]}" --checkpoint-every 1 --out "$WORK/halves" &
        local process=$! status=0
        while kill -0 $process 2>/dev/null && [ "$(epochs_of "$WORK/halves")" -lt 1 ]; do sleep 0.05; done
        kill -TERM $process
        wait $process || status=$?
        echo "interrupted after $(epochs_of "$WORK/halves") epochs with exit code $status"
        [ $status = 75 ] || return 1
        "${command[@]}" --out "$WORK/halves" --resume || return 1
        python3 "$here/summary.py" compare "$OUT/check.jsonl" "$WORK/whole" "$WORK/halves"
        ;;
    measure)
        [ -e "$WORK/whole/model.safetensors" ] || skip "nothing was trained"
        "$TRAINER" measure --run "$WORK/whole" --device cuda
        ;;
    kernels)
        has ncu || skip "no ncu"
        # Behind the trials of cuDNN's algorithms, within the ten eager steps of some 260 launches each.
        ncu --clock-control none --metrics gpu__time_duration.sum,dram__bytes.sum --csv --log-file "$OUT/ncu.csv" -s 2600 -c 300 \
            "$TRAINER" bench --device cuda --dtype bf16 --net resnet18 --batch 1024 --steps 1
        local status=$?
        grep -q '"ID"' "$OUT/ncu.csv" 2>/dev/null || skip "ncu measures nothing here"
        return $status
        ;;
    barriers)
        has compute-sanitizer || skip "no compute-sanitizer"
        local tool test status failed=0
        compute-sanitizer "$TESTS" --exact device::tests::pooling_and_casts 2>&1 | tee "$WORK/sanitizer.log"
        if grep -qiE 'not supported|error 999|LibraryNotLoaded' "$WORK/sanitizer.log"; then skip "compute-sanitizer does not run here"; fi
        for tool in racecheck memcheck; do
            for test in batch_norm_is_its_formula linear_layer_is_its_formula contrastive_gradient_is_that_of_the_loss; do
                status=0
                compute-sanitizer --tool $tool --error-exitcode 9 "$TESTS" --exact "device::tests::$test" || status=$?
                record "{\"test\":\"$tool: $test\",\"status\":$status}"
                [ $status = 0 ] || failed=1
            done
        done
        return $failed
        ;;
    esac
}

if [ "${1:-}" = --phase ]; then
    read -ra settings <<<"$SETTINGS"
    run_phase "$2"
    exit
fi

total=0
for phase in "${phases[@]}"; do total=$((total + ${phase#*:} + grace)); done
if [ $total -gt $most ]; then
    echo "the limits of the phases are $total s together, more than $most" >&2
    exit 2
fi
: "${OUT:?OUT must name a folder for the results}"
mkdir -p "$OUT"
rm -f "$OUT"/{check.log,check.jsonl,bench.jsonl,runs.jsonl,ncu.csv}
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
for program in trainer trainer-tests; do
    if [ -e "$here/$program.gz" ]; then
        gunzip -c "$here/$program.gz" >"$WORK/$program"
        chmod +x "$WORK/$program"
    fi
done
TRAINER="${TRAINER:-$WORK/trainer}" TESTS="${TESTS:-$WORK/trainer-tests}"
# The libraries that PyTorch brings, unless others are named.
packages="$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null)"
if [ -n "$packages" ]; then : "${CUDA_LIB_DIRS:=$(printf '%s:' "$packages"/*/lib)}"; fi
CUDA_LIB_DIRS="${CUDA_LIB_DIRS:-}"
WITHOUT_CUDNN="$(tr : '\n' <<<"$CUDA_LIB_DIRS" | grep -v cudnn | paste -sd :)"
TRAINER_REQUIRE_CUDA=1 NET=resnet18 FEW=64 BATCHES="64 256 1024" STEPS=10
ONLY=. DATA= IMAGES=512 patience=1 SETTINGS="--preset digits --set batch_size=256"
if [ -d "$here/data/fashion-mnist" ]; then
    DATA="$here/data"
    SETTINGS="--preset fashion-mnist --set optimiser=adamw --set learning_rate=0.0003 --set encoder=resnet18 --set epochs=6 --set warmup_epochs=1 --set mean_views=2 --set fbar_views=2 --set passes=2"
fi
if [ "${1:-}" = --papers ]; then
    # As many epochs as fit; the caller sets the limit.
    export CUDA_LIB_DIRS
    "$TRAINER" reproduce fashion-mnist --set encoder=resnet18 --set epochs="${2:?how many epochs}" --set warmup_epochs=1 \
        --set sweep.supervised=false --draws 64,256,512 --seeds 7 --data "$here/data" --device cuda --dtype bf16 --out "$WORK/papers"
    status=$?
    cp "$WORK"/papers/{losses,bounds,accuracy,runs}.csv "$OUT"
    exit $status
fi
if [ "${1:-}" = --rehearse ]; then
    NET=mlp FEW=4 BATCHES=4 STEPS=1 DATA= IMAGES=64 patience=4
    SETTINGS="--preset digits-quick --set epochs=3 --set train_samples=192 --set batch_size=32 --set mean_views=2 --set fbar_views=2"
    ONLY='pooling|optimisers_are|convolution_is|a_replayed_step_is_the_step|views_have'
fi
export OUT WORK TRAINER TESTS CUDA_LIB_DIRS WITHOUT_CUDNN TRAINER_REQUIRE_CUDA NET FEW BATCHES STEPS ONLY DATA IMAGES SETTINGS
for phase in "${phases[@]}"; do
    name="${phase%:*}" limit=$((${phase#*:} * patience)) began=$SECONDS status=0
    printf '\n== %s, at most %s s\n' "$name" "$limit" >>"$OUT/check.log"
    timeout -k $grace "$limit" "$self" --phase "$name" >>"$OUT/check.log" 2>&1 || status=$?
    record "{\"phase\":\"$name\",\"status\":$status,\"seconds\":$((SECONDS - began)),\"limit\":$limit}"
    if [ "$name" = start ] && [ $status = 1 ]; then break; fi
    # A cuDNN that computes something else (not one that is slow) does not spoil what is trained, which is then marked.
    if [ "$name" = torch ] && grep -qE '"test":"device::tests::.*convolution.*"status":101' "$OUT/check.jsonl" &&
        grep -qE '"without cuDNN: .*"status":0' "$OUT/check.jsonl"; then
        CUDA_LIB_DIRS="$WITHOUT_CUDNN"
        record '{"note":"a test of convolutions by cuDNN failed: the phases from train on had no cuDNN in CUDA_LIB_DIRS"}'
    fi
done
python3 "$here/summary.py" summary "$OUT"
