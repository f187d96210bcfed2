"""A job of the service's cluster: what plays a submitted study."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hpo.client.transport import Transport

LOG_SECONDS = 1.0  # between two looks at a log


@dataclass(frozen=True)
class Job:
    """A job as the service reports it. `series`: the name that its attempts share. Times are seconds since 1970.

    `state`: Ray's word, or queued. `done`: whether it has ended. `page`: its address on the cluster's dashboard.
    """

    id: str
    series: str
    study: str | None
    owner: str | None
    attempt: int
    state: str
    done: bool
    store: str | None
    started: float | None
    ended: float | None
    message: str
    page: str | None
    _transport: Transport = field(repr=False, compare=False)

    @classmethod
    def of(cls, facts: Mapping[str, Any], transport: Transport) -> Job:
        """Returns the job of an answer."""
        return cls(
            id=facts["id"], series=facts.get("series") or facts["id"], study=facts.get("study"), owner=facts.get("owner"),
            attempt=int(facts.get("attempt") or 1), state=facts["state"], done=bool(facts["done"]),
            store=facts.get("store"), started=facts.get("started"), ended=facts.get("ended"),
            message=facts.get("message") or "", page=facts.get("page"), _transport=transport,
        )  # fmt: skip

    @property
    def over(self) -> bool:
        """Whether it has ended, and no further attempt of its series will come."""
        return self.done and "retried" not in self.state

    def log(self, follow: bool = False, later: bool = False) -> Iterator[str]:
        """Yields the job's log, piece by piece; `follow`: also what comes, until the job ends; `later`: or the last attempt."""
        yield from self._pieces(follow)
        following = self._next() if follow and later else None
        while following is not None:
            yield from following._pieces(follow)
            following = following._next()

    def _pieces(self, follow: bool) -> Iterator[str]:
        offset = 0
        while True:
            found = self._transport.json("GET", f"/jobs/{quote(self.id, safe='')}/log", params={"offset": offset})
            if found["text"]:
                yield found["text"]
            stuck, offset = found["next"] == offset, found["next"]
            if stuck and (found["ended"] or not follow):
                return
            if stuck:
                time.sleep(LOG_SECONDS)

    def _next(self) -> Job | None:
        """Returns the attempt that follows this one, once it is there; None where none will."""
        while True:
            newest = Job.of(self._transport.json("GET", f"/jobs/{quote(self.series, safe='')}"), self._transport)
            if newest.id != self.id:
                return newest
            if newest.over:
                return None
            time.sleep(LOG_SECONDS)
