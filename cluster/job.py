"""A submission and the jobs that come from it: the values that the job server takes and returns. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.errors import ClusterError

SERIES, ATTEMPT, STORE = "hpo_series", "hpo_attempt", "hpo_store"
DONE = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
# Exit codes of `hpo run` after which a retry changes nothing, and the one after which it helps once the store is back:
# jobs ask for that one by HPO_STORE_AWAY.
STUDY_FAILED, BAD_INPUT, BUG, INTERRUPTED = 1, 2, 70, 130
STORE_AWAY = 3


class JobError(ClusterError):
    """A request that the job server cannot fulfil."""


class NoSuchJob(JobError):
    """A job that the head does not know; a head restarted without its state knows none."""


class HeadUnreachable(JobError):
    """A head whose job server does not answer."""


@dataclass(frozen=True)
class Submission:
    """A driver to run inside the cluster.

    entrypoint: the shell command. name: the beginning of the job's id. store: where the results go, the same for every
    attempt. working_dir: a folder to send along (see packing), always with its `needed` files. cpus, gpus, memory
    (bytes), resources, labels: what the driver's node must have; with none of them the driver runs on the head.
    """

    entrypoint: str
    name: str = "study"
    store: str | None = None
    working_dir: Path | None = None
    needed: tuple[Path, ...] = ()
    excludes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: float = 0
    gpus: float = 0
    memory: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.entrypoint.strip():
            raise JobError("a job's entrypoint must be a command, but it is empty")
        if self.store is not None and not self.store.startswith(("s3://", "/")):
            raise JobError(
                "a submitted study's store must be s3://BUCKET/PREFIX or an absolute path that the nodes share, but got "
                f"{self.store!r}: a job's working folder is deleted when the job ends; set the store with --store"
            )


@dataclass(frozen=True)
class Job:
    """One attempt at a submission, as the head reports it. Times are seconds since the epoch, None if not reached."""

    id: str
    status: str
    entrypoint: str
    message: str = ""
    exit_code: int | None = None
    error: str | None = None
    started: float | None = None
    ended: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Returns whether the job has ended."""
        return self.status in DONE

    @property
    def attempt(self) -> int:
        """Returns the number of this attempt in its series; the first is 1."""
        text = self.metadata.get(ATTEMPT, "1")
        return int(text) if text.isdigit() else 1

    @property
    def series(self) -> str:
        """Returns the name that all attempts of a submission share."""
        return self.metadata.get(SERIES, self.id)

    @property
    def store(self) -> str | None:
        """Returns where the results go."""
        return self.metadata.get(STORE)

    @property
    def retryable(self) -> bool:
        """Returns whether it ended through no fault of its study: its driver or node was killed or never started, or its
        store did not answer."""
        return self.status == "FAILED" and self.exit_code not in (STUDY_FAILED, BAD_INPUT, BUG, INTERRUPTED)


def new_series(name: str) -> str:
    """Returns a name that no other submission has, fit for a URL."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "study"
    return f"{slug}-{secrets.token_hex(3)}"


def attempt_id(series: str, attempt: int) -> str:
    """Returns the submission id of an attempt; the head refuses a second job with the same id."""
    return f"{series}-{attempt}"
