#!/usr/bin/env bash
# Runs a container as `head`, `worker HEAD:PORT`, `token`, or any other command. Further words go to `ray start`.
#
# The head's dashboard listens on DASHBOARD_HOST inside the container (default: loopback). Beyond loopback it needs a token.
set -euo pipefail

case ${1:-} in
  token) exec python -m cluster.tokens ;;
  head)
    shift
    python -m cluster.tokens --dashboard-host "${DASHBOARD_HOST:-127.0.0.1}" >/dev/null
    exec ray start --head --block --disable-usage-stats --port="${RAY_PORT:-6379}" \
      --dashboard-host="${DASHBOARD_HOST:-127.0.0.1}" --dashboard-port="${DASHBOARD_PORT:-8265}" "$@"
    ;;
  worker)
    address=${2:?usage: entrypoint.sh worker HEAD:PORT}
    shift 2
    python -m cluster.nodes --address "$address" --timeout "${WAIT_SECONDS:-600}"
    exec ray start --address="$address" --block --disable-usage-stats "$@"
    ;;
  *) exec "$@" ;;
esac
