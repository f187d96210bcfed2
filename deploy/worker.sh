#!/usr/bin/env bash
# Joins this machine to a head's cluster until the head goes or this script is stopped.
#
#   deploy/worker.sh HEAD:6379 [OPTION of `ray start`...]
#
# Needs the head's token: in ~/.ray/auth_token (mode 0600), or in the file that RAY_AUTH_TOKEN_PATH names. Starting it
# before the head is up is fine: it tries for WAIT_SECONDS (600).
set -euo pipefail

address=${1:?usage: deploy/worker.sh HEAD:PORT [OPTION of ray start...]}
shift
# A node that is told to stop waits for its trials to end, which they do not: their checkpoints are what counts.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=${RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S:-5}
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}

python -m cluster.nodes --address "$address" --timeout "${WAIT_SECONDS:-600}" || exit $?
exec ray start --address="$address" --block --disable-usage-stats "$@"
