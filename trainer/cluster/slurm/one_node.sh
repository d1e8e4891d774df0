#!/usr/bin/env bash
# A Slurm of one node on this machine, for tests: controller, node and munge on loopback, without systemd, as root.
#
#   one_node.sh start DIR    keys, state and logs go to DIR; prints `export SLURM_CONF=…`, to be given to eval
#   one_node.sh stop DIR
#
# Debian: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge. Exit code 3: one of them is missing.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
export PATH

wait_for() { # SECONDS COMMAND…: until the command succeeds
    local left=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.1
    done
}

is_gone() { ! grep -q "^State:[[:space:]]*[^ZX]" "/proc/$1/status"; } # a zombie writes nothing

stop() { # returns when the daemons have ended: until then they write into the folder
    local file pid
    local pids=()
    for file in "$1"/*.pid; do
        [ -f "$file" ] && pids+=("$(cat "$file")")
    done
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait_for 20 is_gone "$pid" || kill -9 "$pid" 2>/dev/null || true
    done
    rm -f "$1/munge.key"
}

is_idle() { [ "$(sinfo --noheader --format=%T)" = idle ]; }

start() {
    local dir host cores memory tool
    for tool in munged slurmctld slurmd sbatch; do
        command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 3; }
    done
    mkdir -p "$1/controller" "$1/node" "$1/log"
    dir=$(cd "$1" && pwd)
    chmod 700 "$dir"
    host=$(hostname -s)
    cores=$(nproc)
    memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)
    head -c 1024 /dev/urandom >"$dir/munge.key"
    chmod 400 "$dir/munge.key"
    munged --foreground --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --seed-file="$dir/munge.seed" \
        --pid-file="$dir/munged.pid" --log-file="$dir/log/munged.log" </dev/null >/dev/null 2>&1 &
    wait_for 5 test -S "$dir/munge.socket" || { echo "munge does not start; see $dir/log" >&2; exit 1; }
    cat >"$dir/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
SlurmctldPort=${SLURM_TEST_PORT:-16817}
SlurmdPort=$((${SLURM_TEST_PORT:-16817} + 1))
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
StateSaveLocation=$dir/controller
SlurmdSpoolDir=$dir/node
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=60:00 State=UP
CONF
    export SLURM_CONF=$dir/slurm.conf
    slurmctld -D -f "$SLURM_CONF" </dev/null >/dev/null 2>&1 &
    slurmd -D -N "$host" -f "$SLURM_CONF" </dev/null >/dev/null 2>&1 &
    wait_for 30 is_idle || { echo "the node does not come up; see $dir/log" >&2; exit 1; }
    echo "export SLURM_CONF=$SLURM_CONF"
}

case "${1:-}" in
    start) start "${2:?a folder}" ;;
    stop) stop "${2:?a folder}" ;;
    *) echo "usage: one_node.sh start|stop DIR" >&2; exit 2 ;;
esac
