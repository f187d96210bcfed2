#!/usr/bin/env bash
# Starts a Ray head on this machine, waits for workers, runs a study and stops the head.
#
#   deploy/head.sh [options] -- COMMAND [ARGUMENT...]
#   deploy/head.sh --workers 3 -- hpo run clothing --store s3://bucket/results
#
# Options: --workers N (0)  --timeout SECONDS (600)  --node-ip IP  --port N (6379)  --dashboard-host HOST (127.0.0.1)
#          --dashboard-port N (8265)  --cpus N (all)  --temp-dir DIR (/tmp/ray)  --ray OPTION (passed to `ray start`, repeatable)
#
# The command finds the cluster through RAY_ADDRESS. It receives Ctrl-C and SIGTERM as SIGINT, so that it leaves a consistent
# store. The script ends with the command's exit code. Workers join with deploy/worker.sh. After the timeout the script
# continues with the workers that have joined; it ends with 1 if there are none.
set -euo pipefail

fail() { echo "head.sh: $1" >&2; exit 2; }

workers=0 timeout=600 port=6379 dashboard_host=127.0.0.1 dashboard_port=8265 node_ip="" temp_dir=""
more=()
while [[ $# -gt 0 && $1 != -- ]]; do
  [[ $# -ge 2 ]] || fail "$1 must have a value, or is not an option; the top of $0 lists the options"
  case $1 in
    --workers) workers=$2 ;;
    --timeout) timeout=$2 ;;
    --port) port=$2 ;;
    --node-ip) node_ip=$2 ;;
    --dashboard-host) dashboard_host=$2 ;;
    --dashboard-port) dashboard_port=$2 ;;
    --cpus) more+=("--num-cpus=$2") ;;
    --temp-dir) temp_dir=$2 ;;
    --ray) more+=("$2") ;;
    *) fail "$1 is not an option; the top of $0 lists the options" ;;
  esac
  shift 2
done
[[ $# -gt 1 ]] || fail "-- and the command to run must come last, but they are missing"
shift
for number in "$workers" "$timeout" "$port" "$dashboard_port"; do
  [[ $number =~ ^[0-9]+$ ]] || fail "workers, seconds and ports must be whole numbers, but got '$number'"
done

# A node that is asked to stop would wait in vain for its trials to end; their checkpoints are enough.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=${RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S:-5}
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token} # always set: Ray's default depends on how a cluster starts
export RAY_JOB_STOP_SIGNAL=SIGINT RAY_JOB_STOP_WAIT_TIME_S=60
token_file=$(python -m cluster.tokens --dashboard-host "$dashboard_host") || exit $?
[[ -z $token_file ]] || echo "head.sh: workers and clients need the token from $token_file" >&2

node_ip=${node_ip:-$(hostname -I 2>/dev/null | cut -d' ' -f1)}
node_ip=${node_ip:-127.0.0.1}
[[ -z $temp_dir ]] || more+=("--temp-dir=$temp_dir")

set -m # each background command gets its own process group and does not ignore SIGINT
ray start --head --block --disable-usage-stats --node-ip-address="$node_ip" --port="$port" \
  --dashboard-host="$dashboard_host" --dashboard-port="$dashboard_port" ${more[@]+"${more[@]}"} >/dev/null </dev/null &
head=$!

# SIGTERM to `ray start --block` stops only the processes that it started; `ray stop` would stop all of Ray here.
# shellcheck disable=SC2329 # called by the traps
stop_head() {
  kill -TERM "$head" 2>/dev/null || true
  wait "$head" 2>/dev/null || true
}
running="" interrupted=0
# shellcheck disable=SC2329
forward() {
  interrupted=1
  [[ -z $running ]] || kill -INT -- "-$running" 2>/dev/null || true
}
trap stop_head EXIT
trap forward INT TERM

# Runs a command such that signals reach it at once; returns its exit code.
run() {
  local code=0
  "$@" </dev/null &
  running=$!
  while kill -0 "$running" 2>/dev/null; do # a trapped signal ends `wait` before the command has ended
    code=0
    wait "$running" || code=$?
  done
  running=""
  return "$code"
}

ended() { fail "the head must stay up, but it ended; its logs are in ${temp_dir:-/tmp/ray}/session_latest/logs"; }
until (: >"/dev/tcp/$node_ip/$port") 2>/dev/null; do
  kill -0 "$head" 2>/dev/null || ended
  ((interrupted == 0)) || exit 130
  sleep 0.2
done
code=0
run python -m cluster.nodes --address "$node_ip:$port" --workers "$workers" --timeout "$timeout" || code=$?
((interrupted == 0)) || exit 130
kill -0 "$head" 2>/dev/null || ended
((code == 0)) || exit "$code"
RAY_ADDRESS="$node_ip:$port" run "$@"
