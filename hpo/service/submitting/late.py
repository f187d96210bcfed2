"""The cluster's job server, reached when it is first needed: the service starts, and goes on, while the head is away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from cluster.addresses import job_server_url

if TYPE_CHECKING:
    from cluster.job import Job, Submission
    from cluster.jobs import JobServer


class LateJobServer:
    """A `cluster.jobs.JobServer` that is opened by the first question; until one was, each question tries. Raises
    AddressError at once for an address of the wrong form, and what a JobServer raises when it is asked."""

    def __init__(self, address: str) -> None:
        self.url = job_server_url(address)
        self._lock = threading.Lock()
        self._opened: JobServer | None = None

    @property
    def _server(self) -> JobServer:
        with self._lock:
            if self._opened is None:
                from cluster.jobs import JobServer  # imports Ray

                self._opened = JobServer(self.url)
            return self._opened

    def submit(self, submission: Submission, *, after: Job | None = None) -> Job:
        return self._server.submit(submission, after=after)

    def job(self, job_id: str) -> Job:
        return self._server.job(job_id)

    def jobs(self) -> list[Job]:
        return self._server.jobs()

    def series(self, name: str) -> list[Job]:
        return self._server.series(name)

    def stop(self, job_id: str, *, hurry: threading.Event | None = None) -> Job:
        return self._server.stop(job_id, hurry=hurry)

    def logs(self, job_id: str) -> str:
        return self._server.logs(job_id)

    def follow(self, job_id: str) -> Any:
        return self._server.follow(job_id)

    def nodes(self) -> list[dict[str, Any]]:
        return self._server.nodes()

    def page(self, job_id: str) -> str:
        return f"{self.url}/#/jobs/{job_id}"
