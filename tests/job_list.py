"""A list of jobs in the place of a head's job server, for tests of who may have what done there. Nothing runs in it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from typing import Any

from cluster.job import ATTEMPT, SERIES, HeadUnreachable, Job, NoSuchJob, Submission, attempt_id


class JobList:
    """A `hpo.service.context.Cluster`.

    answers: while it is clear, questions wait, and end without an answer. asked, gave_up: questions, and those that waited for
    too long.
    """

    url = "http://head:8265"

    def __init__(self) -> None:
        self.known: list[Job] = []
        self.asked = self.gave_up = 0
        self.answers = threading.Event()
        self.answers.set()
        self.logged: list[list[str]] = []  # what each connection for a log yields before it breaks; the last one ends

    def submit(self, submission: Submission, *, after: Job | None = None) -> Job:
        metadata = {**submission.metadata, SERIES: str(submission.series), ATTEMPT: "1"}
        made = Job(
            attempt_id(str(submission.series), 1), "RUNNING", submission.entrypoint, metadata=metadata, started=1.0
        )
        self.known.insert(0, made)
        return made

    def end(self, job_id: str, status: str = "STOPPED") -> Job:
        """Lets a job end."""
        ended = dataclasses.replace(self.job(job_id), status=status, ended=time.time())
        self.known = [ended if job.id == job_id else job for job in self.known]
        return ended

    def job(self, job_id: str) -> Job:
        for job in self.known:
            if job_id in (job.id, job.series):
                return job
        raise NoSuchJob(f"there is no job {job_id!r}")

    def jobs(self) -> list[Job]:
        self.asked += 1
        if not self.answers.is_set():
            self.gave_up += not self.answers.wait(20)
            raise HeadUnreachable("a head's job server must answer, but none does")
        return list(self.known)

    def series(self, name: str) -> list[Job]:
        return [self.job(name)]

    def stop(self, job_id: str, *, hurry: threading.Event | None = None) -> Job:
        return self.end(self.job(job_id).id)

    def logs(self, job_id: str) -> str:
        return "".join(self.logged[-1])

    def follow(self, job_id: str) -> Iterator[str]:
        yield from self.logged[0]
        if len(self.logged) > 1:
            del self.logged[0]
            raise HeadUnreachable("the head starts again")

    def nodes(self) -> list[dict[str, Any]]:
        return []

    def page(self, job_id: str) -> str:
        return f"{self.url}/#/jobs/{job_id}"
