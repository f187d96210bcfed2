#!/usr/bin/env bash
# Joins this machine to a head's cluster until the head ends or this script is stopped.
#
#   deploy/worker.sh HEAD:6379 [OPTION of `ray start`...]
#
# Needs the head's token in ~/.ray/auth_token (mode 0600), or in the file that RAY_AUTH_TOKEN_PATH names. It may start before
# the head: it waits up to WAIT_SECONDS (600).
set -euo pipefail

address=${1:?usage: deploy/worker.sh HEAD:PORT [OPTION of ray start...]}
shift
# A node that is asked to stop would wait in vain for its trials to end; their checkpoints are enough.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=${RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S:-5}
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}

python -m cluster.nodes --address "$address" --timeout "${WAIT_SECONDS:-600}" || exit $?
exec ray start --address="$address" --block --disable-usage-stats "$@"
