"""Waiting for a cluster's workers to join: what start scripts do before they start a study."""

from __future__ import annotations

import argparse
import sys
import time

from cluster.addresses import cluster_endpoint
from cluster.connect import ConnectError, check_listening, connect
from cluster.errors import ClusterError

POLL_SECONDS = 1.0


def wait(address: str, workers: int, seconds: float) -> int:
    """How many nodes besides the head have joined: at least `workers`, or fewer after `seconds`.

    Raises ConnectError where no head answers within them.
    """
    until = time.monotonic() + seconds
    endpoint = cluster_endpoint(address)
    while endpoint is not None:
        try:
            check_listening(*endpoint)
            break
        except ConnectError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_SECONDS)
    if workers == 0:
        return 0  # only a machine that is a node already can count the others
    with connect(address):
        while (joined := _joined()) < workers and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
    return joined


def _joined() -> int:
    import ray

    return sum(node["Alive"] and "node:__internal_head__" not in node["Resources"] for node in ray.nodes())


def main(arguments: list[str] | None = None) -> int:
    """Waits for workers. Exit code 1 where none of those asked for came, 2 where there is no head."""
    parser = argparse.ArgumentParser(prog="python -m cluster.nodes", description=main.__doc__)
    parser.add_argument("--address", required=True, help="the head, HOST:PORT")
    parser.add_argument("--workers", type=int, default=0, help="how many nodes besides the head")
    parser.add_argument("--timeout", type=float, default=600, help="seconds")
    options = parser.parse_args(arguments)
    try:
        joined = wait(options.address, options.workers, options.timeout)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 2
    if joined >= options.workers:
        if joined:
            print(f"cluster: {joined} workers have joined {options.address}", file=sys.stderr)
        return 0
    print(f"cluster: {joined} of {options.workers} workers joined within {options.timeout:g} s", file=sys.stderr)
    return 0 if joined else 1


if __name__ == "__main__":
    sys.exit(main())
