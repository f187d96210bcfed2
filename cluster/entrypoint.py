"""Runs a driver as the entrypoint of a KubeRay RayJob, such that only failures that may pass are retried.

    python -m cluster.entrypoint hpo run STUDY ...

A RayJob knows no exit codes: with `backoffLimit` it starts a new cluster after any job that FAILED. After bad input, a
failed study, a bug or an interruption a new cluster would change nothing. This driver then stops its own job: KubeRay
takes a STOPPED job as complete, deletes the cluster and does not retry.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

from cluster.driver import JOB_CONFIG
from cluster.job import Job

STOP_SECONDS = 120.0


def submission_id(environment: Mapping[str, str]) -> str:
    """Returns the id of the job that this process belongs to, "" outside a job. Ray passes it in the job's configuration."""
    config = json.loads(environment.get(JOB_CONFIG, "{}"))
    return str(config.get("metadata", {}).get("job_submission_id", ""))


def worth_retrying(code: int) -> bool:
    """Returns whether a driver that ended with this exit code (negative: a signal) may do better on another cluster.

    From 64 to 127, programs and shells report what a repetition does not change, for example a command that is not there.
    """
    return code != 0 and not 64 <= code < 128 and Job(id="", status="FAILED", entrypoint="", exit_code=code).retryable


def run(command: list[str]) -> int:
    """Runs the driver and returns its exit code. Ray sends a stop to each process of a job: this one lets the driver end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        return subprocess.run(command, check=False).returncode
    except OSError as error:
        print(f"entrypoint: {command[0]} must be a program, but {error.strerror or error}", file=sys.stderr, flush=True)
        return 127


def stop(job_id: str) -> None:
    """Asks the job server to stop this process's own job, and waits until it does; says so if it cannot."""
    from ray.job_submission import JobSubmissionClient

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    try:
        JobSubmissionClient(os.environ["RAY_ADDRESS"]).stop_job(job_id)
    except (RuntimeError, OSError) as error:  # Ray's client: no answer, or an answer that is an error
        print(f"entrypoint: the job server must stop this job, but {error}", file=sys.stderr, flush=True)
        return
    time.sleep(STOP_SECONDS)


def main(command: list[str]) -> int:
    if not command:
        print("entrypoint: a command must be given: python -m cluster.entrypoint hpo run STUDY", file=sys.stderr)
        return 2
    code = run(command)
    job_id = submission_id(os.environ)
    if code != 0 and job_id and not worth_retrying(code):
        print(
            f"entrypoint: exit code {code}; another attempt would end the same way, so this job stops itself",
            flush=True,
        )
        stop(job_id)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
