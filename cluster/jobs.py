"""A head's job server, over HTTP with a token: submits a driver, watches it, reads its log, stops it."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cluster import packing, tokens
from cluster.addresses import in_the_clear, job_server_url
from cluster.job import (
    ATTEMPT,
    SERIES,
    STORE,
    STORE_AWAY,
    HeadUnreachable,
    Job,
    JobError,
    NoSuchJob,
    Submission,
    attempt_id,
    new_series,
)

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 60.0
STOP_SECONDS = 60  # time for a stopped driver to finish its writes; then Ray kills it
POLL_SECONDS = 0.5
JOB_ENVIRONMENT = {
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    "HPO_STORE_AWAY": str(STORE_AWAY),
}

WAITING = "still waits for a node that meets its requirements; it ends once it gets one, or by itself after 15 minutes"


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
        """Submits a driver, with `after` as the next attempt in that job's series."""
        series = after.series if after else new_series(submission.name)
        attempt = after.attempt + 1 if after else 1
        metadata = {SERIES: series, ATTEMPT: str(attempt)} | ({STORE: submission.store} if submission.store else {})
        with tempfile.TemporaryDirectory(prefix="hpo-job-") as folder:
            environment = _runtime_env(submission, Path(folder))
            with self._explained(series):
                job_id = self._client.submit_job(
                    entrypoint=submission.entrypoint,
                    submission_id=attempt_id(series, attempt),
                    runtime_env=environment,
                    metadata=dict(metadata),
                    **_placement(submission),
                )
        return Job(job_id, "PENDING", submission.entrypoint, metadata=metadata)

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

    def stop(self, job_id: str, *, wait: float = STOP_SECONDS + 15) -> Job:
        """Asks a job's driver to stop in an orderly way and waits until it has. Does nothing to a job that has ended."""
        with self._explained(job_id):
            self._client.stop_job(_plain(job_id))
        return self.wait(job_id, wait)

    def wait(self, job_id: str, seconds: float) -> Job:
        """Returns the job once it has ended. Raises JobError after `seconds`."""
        until = time.monotonic() + seconds
        while not (job := self.job(job_id)).done:
            if time.monotonic() > until:
                still = "is still running" if job.status == "RUNNING" else WAITING
                raise JobError(f"job {job_id} must end within {seconds:.0f} s, but {still}")
            time.sleep(POLL_SECONDS)
        return job

    # -- the wire -------------------------------------------------------------------------------------------------

    def _open(self) -> JobSubmissionClient:
        headers = {"Authorization": f"Bearer {self._token.secret}"} if self._token else {}
        with self._explained("version"), _override("RAY_API_SERVER_ADDRESS", self.url):
            return _client(self.url, headers)

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


def _runtime_env(submission: Submission, folder: Path) -> dict[str, Any]:
    """Returns the job's runtime environment: the image's own, plus a working folder and variables."""
    environment: dict[str, Any] = {"env_vars": {**JOB_ENVIRONMENT, **submission.environment}}
    if submission.working_dir is not None:
        package = packing.pack(
            submission.working_dir, folder / "job.zip", excludes=submission.excludes, needed=submission.needed
        )
        environment["working_dir"] = str(package)
    return environment


def _placement(submission: Submission) -> dict[str, Any]:
    """Returns what the driver's node must have; without requirements Ray takes the head."""
    asked = {
        "entrypoint_num_cpus": submission.cpus,
        "entrypoint_num_gpus": submission.gpus,
        "entrypoint_memory": submission.memory,
        "entrypoint_resources": dict(submission.resources),
        "entrypoint_label_selector": dict(submission.labels),
    }
    return {name: value for name, value in asked.items() if value}


def _client(url: str, headers: dict[str, str]) -> JobSubmissionClient:
    """Opens Ray's client with time limits for requests; it has none of its own."""
    from ray.job_submission import JobSubmissionClient

    class Bounded(JobSubmissionClient):  # type: ignore[misc]
        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            limits = {"timeout": (CONNECT_SECONDS, ANSWER_SECONDS), "allow_redirects": False}
            return super()._do_request(method, endpoint, **(limits | options))

    logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.WARNING)
    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    return Bounded(url, headers=headers)


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


@contextmanager
def _override(name: str, value: str) -> Iterator[None]:
    """Sets a variable for a while: Ray prefers this one, and then RAY_ADDRESS, to its own argument."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})
