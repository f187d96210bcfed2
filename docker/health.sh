#!/usr/bin/env bash
# Whether the cluster that this container belongs to answers: RAY_HEAD is its head, this container itself by default.
# A worker whose own Ray ended has no need of a check: its container ends with it.
set -euo pipefail
exec ray health-check --address "${RAY_HEAD:-127.0.0.1:6379}"
