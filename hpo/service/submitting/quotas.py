"""What an owner may take of the cluster: studies at a time, slots, epochs a day; counted from jobs and results. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.job import Job
from hpo.service.problems import Problem
from hpo.service.submitting.queue import EPOCHS, WORKERS, active

DAY = 24 * 3600.0


@dataclass(frozen=True)
class Quotas:
    """The most that an owner may have, None without a limit."""

    studies_at_a_time: int | None = None
    slots: int | None = None
    epochs_a_day: int | None = None


@dataclass(frozen=True)
class Usage:
    """What an owner has: the cluster's jobs, of which some are theirs, and the epochs trained in the last 24 hours."""

    owner: str
    jobs: Sequence[Job]
    trained: float = 0.0

    @property
    def series(self) -> list[Job]:
        """The owner's submissions that have not ended."""
        return [job for job in active(self.jobs).values() if job.owner == self.owner]


def check(quotas: Quotas, usage: Usage, epochs: float, workers: int | None, charged: dict[str, float]) -> int | None:
    """Returns the most trials that a further job may train at a time. Raises Problem 429 where the owner has no room for it.

    epochs: what it would train. workers: what it asks for. charged: epochs that the studies of each active series have been
    charged so far, which `usage.trained` may hold.
    """
    running = usage.series
    names = ", ".join(sorted(str(job.study) for job in running)) or "none"
    if quotas.studies_at_a_time is not None and len(running) >= quotas.studies_at_a_time:
        raise _full(
            f"at most {quotas.studies_at_a_time} studies at a time", f"{usage.owner} has {len(running)} ({names})"
        )
    if quotas.epochs_a_day is not None:
        coming = sum(max(0.0, _epochs(job) - charged.get(job.series, 0.0)) for job in running)
        had = usage.trained + coming
        if had + epochs > quotas.epochs_a_day:
            got = f"{usage.owner} has {had:,.0f} of the last day and to come, and this study has {epochs:,.0f}"
            raise _full(f"at most {quotas.epochs_a_day:,} epochs a day", got)
    return _room(quotas, usage, running, workers)


def _room(quotas: Quotas, usage: Usage, running: Sequence[Job], workers: int | None) -> int | None:
    if quotas.slots is None:
        return workers
    held = [_workers(job) for job in running]
    taken = quotas.slots if None in held else sum(count or 0 for count in held)
    left = quotas.slots - taken
    if left < max(1, workers or 1):
        got = f"{usage.owner} has {taken} of them taken" + (f", and this study asks for {workers}" if workers else "")
        raise _full(f"at most {quotas.slots} slots at a time", got)
    return workers or left


def _workers(job: Job) -> int | None:
    """Returns the most trials that a job trains at a time; None for one that has no limit, submitted elsewhere."""
    noted = job.metadata.get(WORKERS) or next(iter(re.findall(r"--workers[= ](\d+)", job.entrypoint)), "")
    return int(noted) if noted.isdigit() else None


def _epochs(job: Job) -> float:
    try:
        return float(job.metadata.get(EPOCHS, 0))
    except ValueError:
        return 0.0


def _full(most: str, got: str) -> Problem:
    return Problem(429, f"an owner may have {most} here, but {got}; wait, or stop a study", wait=60)
