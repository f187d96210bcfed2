"""The values of the job path: what is submitted, and what became of it. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.errors import ClusterError

SERIES, ATTEMPT, STORE = "hpo_series", "hpo_attempt", "hpo_store"
DONE = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
# exit codes of `hpo run` after which a new attempt changes nothing
STUDY_FAILED, BAD_INPUT, BUG, INTERRUPTED = 1, 2, 70, 130
STORE_AWAY = 3  # and the one after which it does, when the store is back: a job asks for it by HPO_STORE_AWAY


class JobError(ClusterError):
    """What a user asked of the job server and cannot have: one sentence that says what to do."""


class NoSuchJob(JobError):
    """The head knows no such job; one that was restarted without its state has forgotten all of them."""


class HeadUnreachable(JobError):
    """No job server answers."""


@dataclass(frozen=True)
class Submission:
    """A driver to run inside the cluster.

    entrypoint: the shell command. name: what the job's id begins with. store: where the study's results go, told to
    every attempt. working_dir: a folder that goes along (see packing), `needed` files in it always. cpus, gpus,
    memory (bytes), resources, labels: where the driver is placed; with none of them, on the head.
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
            raise JobError("a job's entrypoint must be a command, but is empty")
        if self.store is not None and not self.store.startswith(("s3://", "/")):
            raise JobError(
                "a submitted study's store must be s3://BUCKET/PREFIX or an absolute path that the nodes share, but got "
                f"{self.store!r}: a job's working folder goes when the job ends; name it with --store"
            )


@dataclass(frozen=True)
class Job:
    """One attempt at a submission, as the head knows it. Times in seconds since the epoch, None where not yet."""

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
        """Whether nothing will change any more."""
        return self.status in DONE

    @property
    def attempt(self) -> int:
        """Which attempt of its series this is, 1 the first."""
        text = self.metadata.get(ATTEMPT, "1")
        return int(text) if text.isdigit() else 1

    @property
    def series(self) -> str:
        """What all attempts of a submission have in common."""
        return self.metadata.get(SERIES, self.id)

    @property
    def store(self) -> str | None:
        """Where its results go."""
        return self.metadata.get(STORE)

    @property
    def retryable(self) -> bool:
        """Whether it ended through no fault of its study: its driver or node was killed or never came up, or its store
        did not answer."""
        return self.status == "FAILED" and self.exit_code not in (STUDY_FAILED, BAD_INPUT, BUG, INTERRUPTED)


def new_series(name: str) -> str:
    """A name that no other submission has, fit for a URL."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "study"
    return f"{slug}-{secrets.token_hex(3)}"


def attempt_id(series: str, attempt: int) -> str:
    """The submission id of an attempt: a series cannot have the same one twice."""
    return f"{series}-{attempt}"
