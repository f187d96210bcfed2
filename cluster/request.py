"""What the job server is asked for: a job's runtime environment, its place, and the job that submits later attempts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from cluster import driver, packing, variables
from cluster.job import (
    ATTEMPT,
    CANCEL,
    HELPER,
    RETRIES,
    SERIES,
    STORE_AWAY,
    Job,
    JobError,
    Submission,
    attempt_id,
    helper_id,
)

STOP_SECONDS = 60  # time for a stopped driver to finish its writes; then Ray kills it
JOB_ENVIRONMENT = {
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    "HPO_STORE_AWAY": str(STORE_AWAY),
}
HEAD = "node:__internal_head__"  # Ray's own resource of the head, one unit
_TRACE = 0.001
DRIVER_MEMORY = 2**30  # bytes: a driver of some ten thousand trials stays below


@dataclass(frozen=True)
class Request:
    """A job as Ray takes it, but for its runtime environment; JSON holds it whole."""

    id: str
    entrypoint: str
    metadata: Mapping[str, str]
    placement: Mapping[str, Any] = field(default_factory=dict)

    @property
    def next(self) -> Self:
        """Returns the next attempt's request."""
        series, attempt = self.metadata[SERIES], int(self.metadata[ATTEMPT]) + 1
        metadata = {**self.metadata, ATTEMPT: str(attempt)}
        return type(self)(attempt_id(series, attempt), self.entrypoint, metadata, self.placement)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the request that `to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Returns the request as one line of text. It holds no private variable."""
        return json.dumps(asdict(self), sort_keys=True)


def attempt(submission: Submission, series: str, number: int, nodes: list[dict[str, Any]]) -> Request:
    """Returns the request for an attempt. Raises JobError for a queue that no node has."""
    metadata = {SERIES: series, ATTEMPT: str(number), **submission.metadata}
    place = placement(submission, nodes)
    command = driver.wrapped(submission.entrypoint) if place or submission.private else submission.entrypoint
    return Request(attempt_id(series, number), command, metadata, place)


def supervisor(first: Request, retries: int) -> Request:
    """Returns the request for the small job, on the head, that submits the attempts after `first` (see attempts)."""
    command = ("python", "-m", "cluster.attempts", "--retries", str(retries), first.to_json())
    return Request(helper_id(first.id, RETRIES), shlex.join(command), {**first.metadata, HELPER: RETRIES})


def cancellation(job: Job) -> Request:
    """Returns the request for the small job, on the head, that takes a waiting job out of the queue (see cancel)."""
    command = ("python", "-m", "cluster.cancel", job.id)
    return Request(helper_id(job.id, CANCEL), shlex.join(command), {**job.metadata, HELPER: CANCEL})


def runtime_env(submission: Submission, folder: Path) -> dict[str, Any]:
    """Returns the job's runtime environment: the image's own, plus a working folder and variables."""
    environment: dict[str, Any] = {"env_vars": {**JOB_ENVIRONMENT, **submission.environment}}
    private = variables.packed(submission.private)
    if submission.working_dir is not None or private:
        package = packing.pack(
            submission.working_dir, folder / "job.zip", excludes=submission.excludes, needed=submission.needed,
            private=private,
        )  # fmt: skip
        environment["working_dir"] = str(package)
    if private:
        environment["worker_process_setup_hook"] = variables.LOAD
    return environment


def placement(submission: Submission, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns what the driver's node must have, given the cluster's nodes (as Ray's state API lists them).

    A driver goes to the head unless the user asks for another node; once anything is reserved, Ray would choose any node,
    even one that may be taken away. It reserves memory by default, if the head has enough, but no CPU: trials of other
    studies may hold all CPUs for hours, and Ray runs drivers at a higher priority than trials anyway (nice 0 and 15).
    """
    resources, memory = dict(submission.resources), submission.memory
    head: dict[str, float] = next((node["resources_total"] for node in nodes if node.get("is_head_node")), {})
    at_head = not (submission.gpus or resources or submission.labels) and head.get("CPU", 0) >= submission.cpus
    if memory is None:
        memory = DRIVER_MEMORY if at_head and head.get("memory", 0) >= 2 * DRIVER_MEMORY else 0
    if submission.queue is not None:
        _check_queue(submission.queue, nodes)
        resources[submission.queue] = 1.0
    if head and at_head and (memory or submission.cpus):
        resources[HEAD] = _TRACE
    asked = {
        "entrypoint_num_cpus": submission.cpus,
        "entrypoint_num_gpus": submission.gpus,
        "entrypoint_memory": memory,
        "entrypoint_resources": resources,
        "entrypoint_label_selector": dict(submission.labels),
    }
    return {name: value for name, value in asked.items() if value}


def _check_queue(queue: str, nodes: list[dict[str, Any]]) -> None:
    if nodes and not any(node["resources_total"].get(queue) for node in nodes):
        raise JobError(
            f"--queue must name a custom resource of the head, but no node has {queue!r}; start the head with "
            f"`deploy/head.sh --places N` (which offers `study`) or `ray start --resources '{{\"{queue}\": N}}'`"
        )
