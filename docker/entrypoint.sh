#!/usr/bin/env bash
# What a container does: `head`, `worker HEAD:PORT`, `token`, or any other command. Further words go to `ray start`.
#
# DASHBOARD_HOST is where the head's dashboard listens inside the container, loopback by default. Beyond it a token must be set.
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
