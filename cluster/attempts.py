"""Attempts at a submission: the cluster submits the next when one ends through no fault of its study; here one follows them.

Ray runs a job once. Each attempt has its own submission id, with the next number, and continues from what earlier
attempts left in the store. A small job on the head submits them (`python -m cluster.attempts`): they come although the
client, the driver or the driver's node is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from cluster.connect import connect
from cluster.driver import JOB_CONFIG
from cluster.errors import ClusterError
from cluster.job import RETRIES, STORE_AWAY, HeadUnreachable, Job, JobError, NoSuchJob, Submission
from cluster.jobs import JobServer
from cluster.request import Request

PATIENCE_SECONDS = 300.0  # how long a head may be unreachable: a restart takes one or two minutes
PAUSE_SECONDS = 2.0
AWAY_SECONDS = 30.0  # pause before the next attempt after a store did not answer

Say = Callable[[str], object]
T = TypeVar("T")


class LostSeries(JobError):
    """A series whose next attempt nobody will submit, because the head lost its state; `last` is the last one seen."""

    def __init__(self, last: Job, reason: str) -> None:
        super().__init__(f"job {last.id} ended early: {reason}")
        self.last = last


# -- on the cluster -----------------------------------------------------------------------------------------------


def supervise(
    server: JobServer, first: Request, environment: Mapping[str, Any], *, retries: int, say: Say,
    patience: float = PATIENCE_SECONDS,
) -> None:  # fmt: skip
    """Waits for an attempt to end and, up to `retries` times, submits the next with the same runtime environment.

    A job is not retried after it was stopped, after bad input, or after its study failed. One whose place or node did
    not come free in time is submitted again and not counted. Raises HeadUnreachable after `patience` seconds without a
    head, NoSuchJob if the head forgot the job.
    """
    asked, head = first, _Patience(say, patience)
    while True:
        ended = head.ask(partial(server.job, asked.id))
        if not ended.done:
            time.sleep(PAUSE_SECONDS)
            continue
        if not ended.retryable:
            say(f"job {ended.id} {ended.status.lower()}")
            return
        retries -= not ended.never_started
        if retries < 0:
            say(f"job {ended.id} ended early: {_reason(ended)}; no attempts are left")
            return
        say(f"job {ended.id} ended early: {_reason(ended)}; trying again")
        time.sleep(AWAY_SECONDS if ended.exit_code == STORE_AWAY else PAUSE_SECONDS)
        asked = asked.next
        _submit_once(server, head, asked, environment)
        say(f"job {asked.id} submitted")


def _submit_once(server: JobServer, head: _Patience, asked: Request, environment: Mapping[str, Any]) -> None:
    """Submits a job, also where the answer to an earlier try was lost on its way."""

    def submit() -> Job:
        try:
            return server.job(asked.id)
        except NoSuchJob:
            return server.send(asked, dict(environment))

    head.ask(submit)


def main(arguments: list[str] | None = None) -> int:
    """Submits the attempts after the one that REQUEST describes. Runs as a job on the head; ends with 0 when it is done."""
    parser = argparse.ArgumentParser(prog="python -m cluster.attempts", description=main.__doc__)
    parser.add_argument("--retries", type=int, required=True, help="how many attempts may follow")
    parser.add_argument("request", metavar="REQUEST", help="the first attempt, as JSON")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends at once, even while Ray is being imported
    environment = json.loads(os.environ[JOB_CONFIG])["runtime_env"]  # of this job, and of the attempts
    try:
        with connect("auto") as connection:
            url = connection.dashboard
        first = Request.from_json(options.request)
        supervise(JobServer(url), first, environment, retries=options.retries, say=_say)
    except ClusterError as error:
        _say(str(error))
        return error.exit_code
    return 0


def _say(sentence: str) -> None:
    print(f"cluster: {sentence}", file=sys.stderr, flush=True)


# -- from a client ------------------------------------------------------------------------------------------------


def watch(
    server: JobServer, submission: Submission, *, write: Say, say: Say, patience: float = PATIENCE_SECONDS
) -> Job:
    """Submits, and follows all attempts until the series has ended; returns the last one's job.

    `write` receives the drivers' logs, `say` one sentence per event. The cluster submits further attempts by itself; only
    if the head has lost its state and with it the job that would do so, this submits the next one, up to `retries` times.
    Raises JobError as the job server does, and HeadUnreachable after `patience` seconds without a head.
    """
    left = submission.retries
    job = server.submit(submission)
    while True:
        say(f"job {job.id} submitted to {server.url}")
        try:
            return follow(server, job, write=write, say=say, patience=patience)
        except LostSeries as lost:
            if left <= 0:
                say(f"{lost}; no attempts are left")
                return lost.last
            say(f"{lost}; trying again")
            last = lost.last
        left -= 1
        time.sleep(PAUSE_SECONDS)
        job = server.submit(submission, after=last)


def follow(server: JobServer, job: Job, *, write: Say, say: Say, patience: float = PATIENCE_SECONDS) -> Job:
    """Writes the log of an attempt and of those after it; returns the last one when it has ended. Raises LostSeries."""
    head = _Patience(say, patience)
    while True:
        ended = _follow(server, head, job, write)
        if not ended.retryable:
            return ended
        after = _after(server, head, ended)
        if after is None:
            say(f"job {ended.id} ended early: {_reason(ended)}; no attempts are left")
            return ended
        say(f"job {ended.id} ended early: {_reason(ended)}; job {after.id} continues")
        job = after


def _after(server: JobServer, head: _Patience, ended: Job) -> Job | None:
    """Returns the attempt after one that ended early, once there is one; None if none will come. Raises LostSeries."""
    while True:
        jobs = head.ask(lambda: server.series(ended.series))
        later = [job for job in jobs if job.helper is None and job.attempt > ended.attempt]
        if later:
            return later[0]
        supervisors = [job for job in jobs if job.helper == RETRIES]
        if not supervisors or supervisors[-1].status in ("SUCCEEDED", "STOPPED"):
            return None
        if supervisors[-1].done:
            raise LostSeries(ended, _reason(ended))
        time.sleep(PAUSE_SECONDS)


def _follow(server: JobServer, head: _Patience, job: Job, write: Say) -> Job:
    """Writes an attempt's log; returns its job once it has ended. Raises LostSeries if a restarted head forgot it."""
    seen = 0

    def log() -> Job:
        nonlocal seen
        position = 0
        for text in server.follow(job.id):  # from the log's beginning
            head.answered()
            fresh = text[max(0, seen - position) :]
            position += len(text)
            seen += len(fresh)
            if fresh:
                write(fresh)
        return server.job(job.id)

    try:
        return head.ask(log)
    except NoSuchJob:
        raise LostSeries(job, "the head no longer knows it") from None


class _Patience:
    """Bears a head that is away for `seconds` at a time."""

    def __init__(self, say: Say, seconds: float) -> None:
        self._say, self._seconds = say, seconds
        self._since: float | None = None

    def answered(self) -> None:
        """Notes that the head answers."""
        self._since = None

    def ask(self, question: Callable[[], T]) -> T:
        """Returns the head's answer, asking again while it is away. Raises HeadUnreachable in the end."""
        while True:
            try:
                answer = question()
            except HeadUnreachable as error:
                self._since = self._since or time.monotonic()
                if time.monotonic() - self._since > self._seconds:
                    raise
                self._say(f"{error}; waiting for the head")
                time.sleep(min(PAUSE_SECONDS, self._seconds))
            else:
                self.answered()
                return answer


def _reason(job: Job) -> str:
    if job.exit_code == STORE_AWAY:
        return "its store did not answer"
    if job.exit_code is not None:
        return f"its driver ended with exit code {job.exit_code}"
    return (job.error or "no reason given").replace("_", " ").lower()


if __name__ == "__main__":
    sys.exit(main())
