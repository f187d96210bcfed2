"""Takes a job out of Ray's queue: `python -m cluster.cancel ID`, run as a small job on the head.

A job server passes a stop on to the job's own process, which a job that still waits for its node or its place has not got.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from cluster.connect import connect
from cluster.errors import ClusterError


def cancel(job_id: str) -> bool:
    """Marks a waiting job as stopped and ends its process-to-be; does nothing to any other job. Returns whether it did."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.dashboard.modules.job.common import (
        JOB_ACTOR_NAME_TEMPLATE,
        SUPERVISOR_ACTOR_RAY_NAMESPACE,
        JobInfoStorageClient,
    )
    from ray.job_submission import JobStatus

    async def mark() -> bool:
        if await jobs.get_status(job_id) != JobStatus.PENDING:
            return False
        await jobs.put_status(job_id, JobStatus.STOPPED, message="stopped before it started")
        return True

    jobs = JobInfoStorageClient(GcsClient(address=ray.get_runtime_context().gcs_address))
    if not asyncio.run(mark()):
        return False
    waiting = JOB_ACTOR_NAME_TEMPLATE.format(job_id=job_id)
    ray.kill(ray.get_actor(waiting, namespace=SUPERVISOR_ACTOR_RAY_NAMESPACE))
    return True


def main(arguments: list[str] | None = None) -> int:
    """Takes a waiting job out of the queue. Ends with 0 if it did, or if the job waits no more."""
    parser = argparse.ArgumentParser(prog="python -m cluster.cancel", description=main.__doc__)
    parser.add_argument("id", metavar="ID", help="the job's id")
    options = parser.parse_args(arguments)
    try:
        with connect("auto"):
            done = cancel(options.id)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return error.exit_code
    print(f"cluster: job {options.id} {'stopped' if done else 'does not wait any more'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
