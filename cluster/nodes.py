"""Waits for a cluster's workers to join, for start scripts: `python -m cluster.nodes --address HOST:PORT`."""

from __future__ import annotations

import argparse
import sys
import time

from cluster.addresses import cluster_endpoint
from cluster.connect import ConnectError, check_listening, connect
from cluster.errors import ClusterError

POLL_SECONDS = 1.0


def wait(address: str, workers: int, seconds: float) -> int:
    """Returns how many nodes besides the head have joined: at least `workers`, or fewer after `seconds`.

    Raises ConnectError if no head answers in that time.
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
        return 0  # this machine may not be a node yet, and only a node can count the others
    with connect(address):
        while (joined := _joined()) < workers and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
    return joined


def _joined() -> int:
    import ray

    return sum(node["Alive"] and "node:__internal_head__" not in node["Resources"] for node in ray.nodes())


def main(arguments: list[str] | None = None) -> int:
    """Waits for workers. Ends with 0 if all or some of them joined, 1 if none did, 2 if there is no head."""
    parser = argparse.ArgumentParser(prog="python -m cluster.nodes", description=main.__doc__)
    parser.add_argument("--address", required=True, help="the head's HOST:PORT")
    parser.add_argument("--workers", type=int, default=0, help="number of nodes besides the head (default: 0)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds (default: 600)")
    options = parser.parse_args(arguments)
    try:
        joined = wait(options.address, options.workers, options.timeout)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return error.exit_code
    if joined >= options.workers:
        if joined:
            print(f"cluster: {joined} workers joined {options.address}", file=sys.stderr)
        return 0
    print(f"cluster: {joined} of {options.workers} workers joined within {options.timeout:g} s", file=sys.stderr)
    return 0 if joined else 1


if __name__ == "__main__":
    sys.exit(main())
