"""The retry policy: submits a job again, on the same store, when it died through no fault of its study.

Ray runs a job once. Each attempt has its own submission id, with the next number, and continues from what earlier
attempts left in the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cluster.job import STORE_AWAY, HeadUnreachable, Job, NoSuchJob, Submission
from cluster.jobs import JobServer

PATIENCE_SECONDS = 300.0  # how long a head may be unreachable: a restart takes one or two minutes
PAUSE_SECONDS = 2.0
AWAY_SECONDS = 30.0  # pause before the next attempt after a store did not answer


def watch(
    server: JobServer,
    submission: Submission,
    *,
    retries: int,
    write: Callable[[str], object],
    say: Callable[[str], object],
    patience: float = PATIENCE_SECONDS,
    after: Job | None = None,
) -> Job:
    """Submits, follows and, up to `retries` times, submits again; returns the last attempt's job.

    `write` receives the driver's log, `say` one sentence per event. A job is not retried after it was stopped, after
    bad input, or after its study failed. Raises JobError as the job server does, and HeadUnreachable after `patience`
    seconds without a head.
    """
    job = server.submit(submission, after=after)
    while True:
        say(f"job {job.id} submitted to {server.url}")
        ended = _follow(server, job, write, say, patience)
        if ended is not None and not ended.retryable:
            return ended
        reason = "the head no longer knows it" if ended is None else _reason(ended)
        if retries <= 0:
            say(f"job {job.id} ended early: {reason}; no attempts are left")
            return ended or job
        retries -= 1
        say(f"job {job.id} ended early: {reason}; trying again")
        away = ended is not None and ended.exit_code == STORE_AWAY
        time.sleep(AWAY_SECONDS if away else PAUSE_SECONDS)
        job = server.submit(submission, after=job)


def _follow(
    server: JobServer, job: Job, write: Callable[[str], object], say: Callable[[str], object], patience: float
) -> Job | None:
    """Returns the job once it has ended, or None when a restarted head does not know it."""
    seen, gone_since = 0, 0.0
    while True:
        try:
            position = 0
            for text in server.follow(job.id):
                fresh = text[max(0, seen - position) :]
                position += len(text)
                seen += len(fresh)
                if fresh:
                    write(fresh)
                gone_since = 0.0
            return server.job(job.id)
        except NoSuchJob:
            return None
        except HeadUnreachable as error:
            gone_since = gone_since or time.monotonic()
            if time.monotonic() - gone_since > patience:
                raise
            say(f"{error}; waiting for the head")
            time.sleep(min(PAUSE_SECONDS, patience))


def _reason(job: Job) -> str:
    if job.exit_code == STORE_AWAY:
        return "its store did not answer"
    if job.exit_code is not None:
        return f"its driver ended with exit code {job.exit_code}"
    return (job.error or "no reason given").replace("_", " ").lower()
