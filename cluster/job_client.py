"""Ray's client of a head's job server, with time limits, and with its address as the only one that counts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cluster.job import JobError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 60.0


def client(url: str, headers: dict[str, str]) -> JobSubmissionClient:
    """Opens Ray's client with time limits for requests; it has none of its own. Raises JobError where it is missing."""
    if find_spec("aiohttp") is None:
        raise JobError("Ray's client of jobs must be installed, but is not: pip install 'hpo-arena[cluster]'")
    from ray.job_submission import JobSubmissionClient

    class Bounded(JobSubmissionClient):  # type: ignore[misc]
        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            limits = {"timeout": (CONNECT_SECONDS, ANSWER_SECONDS), "allow_redirects": False}
            return super()._do_request(method, endpoint, **(limits | options))

    logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.WARNING)
    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    return Bounded(url, headers=headers)


@contextmanager
def override(name: str, value: str) -> Iterator[None]:
    """Sets a variable for a while: Ray prefers this one, and then RAY_ADDRESS, to its own argument."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})
