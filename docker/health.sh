#!/usr/bin/env bash
# Checks whether this container's cluster answers. RAY_HEAD is its head (default: this container).
# Needs no check of a worker's own Ray: the container ends with it.
set -euo pipefail
exec ray health-check --address "${RAY_HEAD:-127.0.0.1:6379}"
