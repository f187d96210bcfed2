"""Jobs of the cluster that play studies, and their logs. Pure."""

from __future__ import annotations

from hpo.service.models.answer import Answer


class JobAnswer(Answer):
    """An attempt at a study."""

    id: str
    """Its id."""
    series: str
    """Name that all attempts at a submission share."""
    attempt: int
    """Its number in the series, from 1."""
    study: str | None
    """Name of the study, or of the suite."""
    studies: list[str]
    """The studies that it plays."""
    owner: str | None
    """Whose study it is."""
    queue: str | None
    """The queue in which it waits, or waited."""
    state: str
    """`queued`, or Ray's word: PENDING, RUNNING, SUCCEEDED, FAILED, STOPPED; with `, retried` where the next attempt comes."""
    status: str
    """Ray's word."""
    done: bool
    """Whether it has ended."""
    store: str | None
    """Where its results go."""
    started: float | None
    """When it was submitted, in seconds since 1970."""
    ended: float | None
    """When it ended."""
    exit_code: int | None
    """Exit code of its driver."""
    message: str
    """What Ray says of it."""
    page: str
    """Its URL on Ray's dashboard."""


class JobsAnswer(Answer):
    """The jobs that the cluster remembers."""

    jobs: list[JobAnswer]
    """The newest first."""
    total: int
    """Their number, on all pages."""


class LogAnswer(Answer):
    """A piece of a log."""

    text: str
    """What the job wrote."""
    next: int
    """The offset of what follows."""
    ended: bool
    """Whether the job has ended and this is the log's end."""
