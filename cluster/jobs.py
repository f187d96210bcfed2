"""A head's job server, over HTTP with a token: submits a driver, watches it, reads its log, stops it."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cluster import request, tokens
from cluster.addresses import in_the_clear, job_server_url
from cluster.job import RETRIES, HeadUnreachable, Job, JobError, NoSuchJob, Submission, new_series
from cluster.job_client import client, override
from cluster.request import STOP_SECONDS, Request

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

POLL_SECONDS = 0.5
JOIN_SECONDS = 10.0  # for a head's own node to join


class JobServer:
    """The job server at `address` (http://HOST:8265), reached with the token that Ray would use.

    Raises AddressError, TokenError, HeadUnreachable, or JobError when the token is missing or wrong or when something
    else answers. `warnings` are sentences about what others on the network can read or do.
    """

    def __init__(self, address: str, *, token: tokens.Token | None = None) -> None:
        self.url = job_server_url(address)
        self._token = token or tokens.find()
        self._client = self._open()
        self.warnings = tuple(self._unsafe())

    def submit(self, submission: Submission, *, after: Job | None = None) -> Job:
        """Submits a driver, with `after` as the next attempt in that job's series; returns the attempt.

        With retries it also submits the small job that submits the attempts after this one. Of a submission that names its
        series, what the head already has is left as it is.
        """
        series, number = (
            (after.series, after.attempt + 1) if after else (submission.series or new_series(submission.name), 1)
        )
        send = self.send if submission.series is None else self._send_once
        asked = request.attempt(submission, series, number, self.nodes())
        with tempfile.TemporaryDirectory(prefix="hpo-job-") as folder:
            environment = request.runtime_env(submission, Path(folder))
            job = send(asked, environment)
            if submission.retries:
                send(request.supervisor(asked, submission.retries), environment)
        return job

    def send(self, asked: Request, environment: dict[str, Any]) -> Job:
        """Submits a job with its runtime environment. Raises JobError if the head knows one with that id."""
        with self._explained(asked.id):
            job_id = self._client.submit_job(
                entrypoint=asked.entrypoint,
                submission_id=asked.id,
                runtime_env=environment,
                metadata=dict(asked.metadata),
                **asked.placement,
            )
        return Job(job_id, "PENDING", asked.entrypoint, metadata=asked.metadata)

    def _send_once(self, asked: Request, environment: dict[str, Any]) -> Job:
        """Submits a job unless the head has one with that id, and returns the one that it has."""
        try:
            return self.send(asked, environment)
        except HeadUnreachable:
            raise
        except JobError as error:
            try:
                return self.job(asked.id)
            except NoSuchJob:
                raise error from None

    def nodes(self) -> list[dict[str, Any]]:
        """Returns the living nodes as Ray's state API lists them, with `is_head_node` and `resources_total`.

        Waits a little for the first: a job server answers before its own node has joined. Returns none if the API does not
        answer.
        """
        until = time.monotonic() + JOIN_SECONDS
        while True:
            with self._explained("nodes"):
                answer = self._client._do_request("GET", "/api/v0/nodes?detail=1&limit=10000")
            listed = answer.json()["data"]["result"]["result"] if answer.status_code == 200 else []
            found = [node for node in listed if node.get("state") == "ALIVE" and node.get("resources_total")]
            if found or answer.status_code != 200 or time.monotonic() > until:
                return found
            time.sleep(POLL_SECONDS)

    def job(self, job_id: str) -> Job:
        """Returns a job as the head knows it. Raises NoSuchJob."""
        with self._explained(job_id):
            return _job(self._client.get_job_info(_plain(job_id)))

    def page(self, job_id: str) -> str:
        """Returns the URL of the job's page on Ray's dashboard."""
        return f"{self.url}/#/jobs/{job_id}"

    def jobs(self) -> list[Job]:
        """Returns every submitted job that the head knows, newest first."""
        with self._explained("jobs"):
            found = [_job(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda job: (job.started or 0, job.id), reverse=True)

    def logs(self, job_id: str) -> str:
        """Returns a job's log so far."""
        with self._explained(job_id):
            return str(self._client.get_job_logs(_plain(job_id)))

    def follow(self, job_id: str) -> Iterator[str]:
        """Yields a job's log from its beginning, piece by piece as it is written, until the job has ended.

        Resumes after a dropped connection. Leaving the loop does not affect the job.
        """
        seen = 0
        while not self.job(job_id).done:
            position = 0
            for text in self._tail(job_id):  # each connection starts at the log's beginning
                fresh = text[max(0, seen - position) :]
                position += len(text)
                seen += len(fresh)
                if fresh:
                    yield fresh
            time.sleep(POLL_SECONDS)
        if rest := self.logs(job_id)[seen:]:
            yield rest

    def series(self, name: str) -> list[Job]:
        """Returns the jobs of a series, the first attempt first, by its name or the id of one of its jobs.

        Raises NoSuchJob.
        """
        known = {job.id: job for job in self.jobs()}
        wanted = known[name].series if name in known else _plain(name)
        found = [job for job in known.values() if job.series == wanted]
        if not found:
            raise NoSuchJob(f"there is no job {name!r} at {self.url}; `hpo jobs` lists all jobs")
        return sorted(found, key=lambda job: (job.helper or "", job.attempt))

    def stop(self, job_id: str, *, wait: float = STOP_SECONDS + 15, hurry: threading.Event | None = None) -> Job:
        """Stops a series in an orderly way, by its name or the id of one of its jobs, and waits until it has ended.

        First what would submit the next attempt, then the driver. Does nothing to jobs that have ended. Once `hurry` is set,
        it still asks each to stop, but waits for none. Returns the last attempt.
        """
        hurry = hurry or threading.Event()
        for job in self.series(job_id):
            if job.helper == RETRIES and not job.done:
                self._stop(job, wait, hurry)
        last = next(job for job in reversed(self.series(job_id)) if job.helper is None)
        return last if last.done else self._stop(last, wait, hurry)

    def _stop(self, job: Job, wait: float, hurry: threading.Event) -> Job:
        """Stops a job. One that still waits for its node or its place gets no signal: a small job takes it away."""
        if job.status == "PENDING":
            with suppress(JobError):  # somebody else may have sent it
                self.send(request.cancellation(job), {})
        until = time.monotonic() + wait
        while job.status == "PENDING" and time.monotonic() < until and not hurry.wait(POLL_SECONDS):
            job = self.job(job.id)
        with self._explained(job.id):
            self._client.stop_job(_plain(job.id))
        return self.wait(job.id, until - time.monotonic(), hurry)

    def wait(self, job_id: str, seconds: float, hurry: threading.Event | None = None) -> Job:
        """Returns the job once it has ended, or as it is once `hurry` is set. Raises JobError after `seconds`."""
        until, hurry = time.monotonic() + seconds, hurry or threading.Event()
        while not (job := self.job(job_id)).done:
            if time.monotonic() > until:
                raise JobError(f"job {job_id} must end within {seconds:.0f} s, but is still {job.status.lower()}")
            if hurry.wait(POLL_SECONDS):
                break
        return job

    # -- the wire -------------------------------------------------------------------------------------------------

    def _open(self) -> JobSubmissionClient:
        headers = {"Authorization": f"Bearer {self._token.secret}"} if self._token else {}
        with self._explained("version"), override("RAY_API_SERVER_ADDRESS", self.url):
            return client(self.url, headers)

    def _tail(self, job_id: str) -> Iterator[str]:
        """Yields the log over one connection, until that drops."""
        import aiohttp

        stream = cast("AsyncIterator[str]", self._client.tail_job_logs(_plain(job_id)))
        with asyncio.Runner() as runner:
            try:
                while True:
                    yield runner.run(_next(stream))
            except (StopAsyncIteration, aiohttp.ClientError, RuntimeError, OSError):
                return
            finally:
                runner.run(_close(stream))

    @contextmanager
    def _explained(self, job_id: str) -> Iterator[None]:
        """Turns errors of Ray and of the network into sentences."""
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except (requests.ConnectionError, requests.Timeout, ConnectionError) as error:
            raise HeadUnreachable(
                f"a head's job server must answer at {self.url}, but none does ({_cause(error)}); "
                "is the head up, and is the tunnel or the address right?"
            ) from None
        except AuthenticationError:
            raise JobError(self._locked()) from None
        except JobError:
            raise
        except (RuntimeError, ValueError, TypeError, KeyError, requests.RequestException) as error:
            raise self._answered(job_id, str(error)) from None

    def _locked(self) -> str:
        have = f"{self._token} is wrong" if self._token else "there is none here"
        return (
            f"the job server at {self.url} asks for the cluster's token, but {have}; copy the head's token file here "
            f"and set {tokens.TOKEN_PATH} to its path"
        )

    def _answered(self, job_id: str, text: str) -> JobError:
        """Turns the server's answer into a sentence. Only their text tells Ray's errors apart."""
        if "does not exist" in text or ("status code 404" in text and job_id != "version"):
            return NoSuchJob(f"there is no job {job_id!r} at {self.url}; `hpo jobs` lists all jobs")
        if job_id == "version":
            return JobError(
                f"a Ray job server must answer at {self.url}, but something else does; "
                "its port is the dashboard's, 8265 by default"
            )
        line = next((part.strip() for part in reversed(text.splitlines()) if part.strip()), "no reason given")
        return JobError(f"the job server at {self.url} refused {job_id}: {line}")

    def _unsafe(self) -> Iterator[str]:
        if not in_the_clear(self.url):
            return
        if self._token is not None:
            yield f"the token travels to {self.url} unencrypted; use an SSH tunnel (ssh -L 8265:127.0.0.1:8265 HEAD) or TLS"
        else:
            yield f"{self.url} asks for no token, so anyone who reaches it can run code; start the head with RAY_AUTH_MODE=token"


def _job(details: JobDetails) -> Job:
    return Job(
        id=details.submission_id or details.job_id,
        status=str(getattr(details.status, "value", details.status)),
        entrypoint=details.entrypoint,
        message=details.message or "",
        exit_code=details.driver_exit_code,
        error=details.error_type,
        started=details.start_time / 1000 if details.start_time else None,
        ended=details.end_time / 1000 if details.end_time else None,
        metadata=details.metadata or {},
    )


def _plain(job_id: str) -> str:
    """Returns a job's id if it is safe in a URL's path, where it goes unescaped."""
    if not job_id or not all(c.isalnum() or c in "-_." for c in job_id):
        raise NoSuchJob(f"a job's id must be letters, digits, - and _, but got {job_id!r}; `hpo jobs` lists all jobs")
    return job_id


async def _next(stream: AsyncIterator[str]) -> str:
    return await anext(stream)


async def _close(stream: Any) -> None:
    await stream.aclose()


def _cause(error: BaseException) -> str:
    """Returns the innermost reason: requests and urllib3 wrap it several times."""
    text = f"{error} {error.__context__}"
    for words in ("Connection refused", "timed out", "Name or service not known", "No route to host"):
        if words in text:
            return words.lower()
    return type(error).__name__
