#!/usr/bin/env bash
# Starts a Ray head on this machine, waits for workers, runs a study and stops the head.
#
#   deploy/head.sh [options] -- COMMAND [ARGUMENT...]
#   deploy/head.sh --workers 3 -- hpo run clothing --store s3://bucket/results
#
# Options: --workers N (0)  --timeout SECONDS (600)  --node-ip IP  --port N (6379)  --dashboard-host HOST (127.0.0.1)
#          --dashboard-port N (8265)  --cpus N (all)  --places N (none)  --temp-dir DIR (/tmp/ray)
#          --ray OPTION (passed to `ray start`, repeatable)
#          --serve "STORE [OPTION...]" (also runs `hpo serve` with these words, and starts it again whenever it ends)
#
# The command finds the cluster through RAY_ADDRESS. It receives Ctrl-C and SIGTERM as SIGINT, so that it leaves a consistent
# store; as SIGTERM where this script was started with SIGINT ignored, as in the background of another script. If it still
# runs after 75 seconds (HPO_STOP_SECONDS), it receives SIGTERM. The script ends with the command's exit code.
#
# Workers join with deploy/worker.sh. After the timeout the script continues with the workers that have joined; it ends with 1
# if there are none.
#
# --places N offers N places in the queue `study`: `hpo submit --queue study` waits until one is free.
#
# If the head ends while the command runs, the script interrupts the command and ends with 4. It never starts anything again:
# the same command resumes the study from its store.
set -euo pipefail

say() { echo "head.sh: $1" >&2; }
fail() { say "$1"; exit 2; }
HEAD_ENDED=4 # exit code
PATIENCE=${HPO_STOP_SECONDS:-75} # seconds that an interrupted command has to write its results

workers=0 places=0 timeout=600 port=6379 dashboard_host=127.0.0.1 dashboard_port=8265 node_ip="" temp_dir="" serve=""
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
    --places) places=$2 ;;
    --cpus) more+=("--num-cpus=$2") ;;
    --temp-dir) temp_dir=$2 ;;
    --serve) serve=$2 ;;
    --ray) more+=("$2") ;;
    *) fail "$1 is not an option; the top of $0 lists the options" ;;
  esac
  shift 2
done
[[ $# -gt 1 ]] || fail "-- and the command to run must come last, but they are missing"
shift
for number in "$workers" "$places" "$timeout" "$port" "$dashboard_port"; do
  [[ $number =~ ^[0-9]+$ ]] || fail "workers, places, seconds and ports must be whole numbers, but got '$number'"
done

# A node that is asked to stop would wait in vain for its trials to end; their checkpoints are enough.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=${RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S:-5}
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token} # always set: Ray's default depends on how a cluster starts
export RAY_JOB_STOP_SIGNAL=SIGINT RAY_JOB_STOP_WAIT_TIME_S=60
# Jobs wait in a queue for as long as it takes; Ray's default gives them up after 15 minutes.
export RAY_JOB_START_TIMEOUT_SECONDS=${RAY_JOB_START_TIMEOUT_SECONDS:-2592000}
token_file=$(python -m cluster.tokens --dashboard-host "$dashboard_host") || exit $?
[[ -z $token_file ]] || say "workers and clients need the token from $token_file"

node_ip=${node_ip:-$(hostname -I 2>/dev/null | cut -d' ' -f1)}
node_ip=${node_ip:-127.0.0.1}
[[ -z $temp_dir ]] || more+=("--temp-dir=$temp_dir")
((places == 0)) || more+=("--resources={\"study\": $places}")
logs=${temp_dir:-/tmp/ray}/session_latest/logs
interrupt=INT
[[ $(trap -p INT) != *"''"* ]] || interrupt=TERM # whoever is started with SIGINT ignored ignores it, too

say "starting the head at $node_ip:$port"
set -m # each background command gets its own process group
ray start --head --block --disable-usage-stats --node-ip-address="$node_ip" --port="$port" \
  --dashboard-host="$dashboard_host" --dashboard-port="$dashboard_port" ${more[@]+"${more[@]}"} >/dev/null </dev/null &
head=$!

running="" helpers=() interrupted=0 lost=0
alive() { kill -0 "$1" 2>/dev/null; }
answers() { (: >"/dev/tcp/$node_ip/$port") 2>/dev/null; }
# SIGTERM to `ray start --block` stops what it started; `ray stop` would stop all of Ray on this machine. A head that is dead
# in part would wait a minute for the rest of itself.
# shellcheck disable=SC2329 # called by the traps
stop_head() {
  for helper in ${helpers[@]+"${helpers[@]}"}; do kill -KILL -- "-$helper" 2>/dev/null || true; done
  ! alive "$head" || say "stopping the head"
  ((lost == 1)) || kill -TERM "$head" 2>/dev/null || true
  ((lost == 0)) || kill -KILL -- "-$head" 2>/dev/null || true
  wait "$head" 2>/dev/null || true
  kill -KILL -- "-$head" 2>/dev/null || true
}
# Asks the command to stop, and makes it end if it does not.
# shellcheck disable=SC2329
ask_to_stop() {
  [[ -n $running ]] || return 0
  say "asking the command to stop (SIG$interrupt)"
  kill "-$interrupt" -- "-$running" 2>/dev/null || return 0
  local group=$running
  {
    sleep "$PATIENCE"
    say "the command still runs after $PATIENCE s; it gets SIGTERM, and SIGKILL 15 s later"
    kill -TERM -- "-$group" && sleep 15 && kill -KILL -- "-$group"
  } &
  helpers+=($!)
}
# shellcheck disable=SC2329
forward() {
  interrupted=1
  say "interrupted"
  ask_to_stop
}
# shellcheck disable=SC2329
head_ended() {
  lost=1
  say "the head must stay up, but it ended while the command ran; its logs are in $logs"
  ask_to_stop
}
trap stop_head EXIT
trap forward INT TERM

# Runs a command such that signals reach it at once; returns its exit code.
run() {
  local code=0 last=0
  "$@" </dev/null &
  running=$!
  while alive "$running"; do # a trapped signal ends `wait` before the command has ended
    code=0
    wait "$running" || code=$?
  done
  wait "$running" 2>/dev/null || last=$?
  ((last == 127)) || code=$last # 127: `wait` has told its code before
  running=""
  return "$code"
}

ended() { fail "the head must stay up, but it ended; its logs are in $logs"; }
until answers; do
  alive "$head" || ended
  ((interrupted == 0)) || exit 130
  sleep 0.2
done
if ((workers > 0)); then say "the head is up; waiting for $workers workers, at most $timeout s"; fi
code=0
run python -m cluster.nodes --address "$node_ip:$port" --workers "$workers" --timeout "$timeout" || code=$?
((interrupted == 0)) || exit 130
alive "$head" || ended
((code == 0)) || exit "$code"

# The service keeps nothing that a restart would lose: studies neither need it nor notice its end.
if [[ -n $serve ]]; then
  read -ra words <<<"$serve"
  [[ $dashboard_host != 0.0.0.0 ]] || dashboard_host=127.0.0.1
  [[ $places -eq 0 ]] || words+=(--queue study)
  while alive "$head"; do
    hpo serve --address "http://$dashboard_host:$dashboard_port" "${words[@]}" </dev/null || true
    say "the service ended; starting it again"
    sleep 2
  done &
  helpers+=($!)
fi

trap head_ended USR1
# `ray start --block` itself notices a dead GCS only after a minute.
{
  missed=0
  while alive "$head" && ((missed < 3)); do
    if answers; then missed=0; else missed=$((missed + 1)); fi
    sleep 1
  done
  kill -USR1 $$
} &
helpers+=($!)
say "starting the command ($1)"
code=0
RAY_ADDRESS="$node_ip:$port" run "$@" || code=$?
trap '' USR1
say "the command ended with exit code $code"
((lost == 0)) || exit "$HEAD_ENDED"
exit "$code"
