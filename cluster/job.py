"""A submission and the jobs that come from it: the values that the job server takes and returns. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.errors import ClusterError

SERIES, ATTEMPT, STORE = "hpo_series", "hpo_attempt", "hpo_store"
STUDY, OWNER, QUEUE, HELPER = "hpo_study", "hpo_owner", "hpo_queue", "hpo_helper"
RETRIES, CANCEL = (
    "retries",
    "cancel",
)  # what small jobs do for a series: submit later attempts; take one out of the queue
DONE = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
# Exit codes of `hpo run` after which a retry changes nothing, and the one after which it helps once the store is back:
# jobs ask for that one by HPO_STORE_AWAY.
STUDY_FAILED, BAD_INPUT, BUG, INTERRUPTED = 1, 2, 70, 130
STORE_AWAY = 3
NEVER_STARTED = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"  # Ray's word for a job that waited longer than its head allows


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
    attempt. working_dir: a folder to send along (see packing), always with its `needed` files. environment: variables
    that others may read; private: variables that they may not (see variables). queue: a custom resource of the head, of
    which the driver waits for one unit. retries: how many attempts may follow the first. series: a name by which the
    submission is known before it is made, so that it is made once; by default a new one. notes: further metadata. cpus,
    gpus, memory (bytes; None: see request.placement), resources, labels: what the driver's node must have; by default it is
    the head.
    """

    entrypoint: str
    name: str = "study"
    store: str | None = None
    working_dir: Path | None = None
    needed: tuple[Path, ...] = ()
    excludes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)
    study: str | None = None
    owner: str | None = None
    queue: str | None = None
    retries: int = 0
    series: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    cpus: float = 0
    gpus: float = 0
    memory: int | None = None
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

    @property
    def metadata(self) -> dict[str, str]:
        """Returns what the head shows of every attempt."""
        known = {STUDY: self.study, OWNER: self.owner, QUEUE: self.queue, STORE: self.store}
        return {**self.notes, **{name: value for name, value in known.items() if value}}


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
    def study(self) -> str | None:
        """Returns the study's name."""
        return self.metadata.get(STUDY)

    @property
    def owner(self) -> str | None:
        """Returns whose study it is."""
        return self.metadata.get(OWNER)

    @property
    def helper(self) -> str | None:
        """Returns what a job does that runs no study: RETRIES or CANCEL; None for an attempt."""
        return self.metadata.get(HELPER)

    @property
    def state(self) -> str:
        """Returns the status in Ray's word, or `queued` for a job that waits for its place in a queue."""
        return "queued" if self.status == "PENDING" and QUEUE in self.metadata else self.status

    @property
    def never_started(self) -> bool:
        """Returns whether it waited for its node or its place for longer than the head allows."""
        return self.status == "FAILED" and self.error == NEVER_STARTED

    @property
    def retryable(self) -> bool:
        """Returns whether it ended through no fault of its study: its driver or node was killed or never started, or its
        store did not answer."""
        return self.status == "FAILED" and self.exit_code not in (STUDY_FAILED, BAD_INPUT, BUG, INTERRUPTED)


def new_series(name: str, ending: str | None = None) -> str:
    """Returns a name that no other submission has, fit for a URL; or the one with that ending."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "study"
    return f"{slug}-{ending or secrets.token_hex(3)}"


def attempt_id(series: str, attempt: int) -> str:
    """Returns the submission id of an attempt; the head refuses a second job with the same id."""
    return f"{series}-{attempt}"


def helper_id(attempt: str, helper: str) -> str:
    """Returns the submission id of a small job that does something for an attempt."""
    return f"{attempt}-{helper}"
