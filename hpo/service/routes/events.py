"""Server-sent events: of one study, and of all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from hpo.service.context import Context, Reading
from hpo.service.documented import content, errors
from hpo.service.problems import Problem, encoded
from hpo.service.routes.parameters import LastEvent, StudyName
from hpo.service.routes.studies import said, whole
from hpo.service.streams import Stream, answer
from hpo.store.errors import StoreError
from hpo.store.summary import Summary

AGAIN_SECONDS = 2.0  # after which a store that is away is asked again
REST = 4  # times as long as a large study took to tell passes before it is told again
LastQuery = Annotated[
    str, Query(alias="last-event-id", max_length=200, description="The same, for clients that cannot set headers.")
]
OF_STUDY = """`study`: the study, as GET /studies/{study} answers it, whenever it changes. `making` and `made`: an analysis of it
begins or is there, with `what` and `etag`. `trouble`: the store is away, with `detail`; the stream goes on. `gone`: there is
no such study any more; the stream ends."""
OF_ALL = """`summary`: a line of GET /studies that has changed. `trouble`: the store is away, with `detail`; the stream goes on.
The last 200 are kept for who comes back after a break, but not over a restart of the service: then ask for the list again."""


class Streams:
    """The streams that somebody listens to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str | None, Stream] = {}
        self._told: dict[str, Summary] = {}  # what was last known of each study while anybody listened to all

    def of_study(self, study: str) -> Stream:
        """Returns the stream of a study."""
        return self._stream(study, lambda stream: _follow_study(self._context, study, stream))

    def of_all(self) -> Stream:
        """Returns the stream of all studies."""
        return self._stream(None, lambda stream: _follow_all(self._context, stream, self._told))

    def _stream(self, name: str | None, pump: Any) -> Stream:
        for idle in [
            key for key, stream in self._known.items() if stream.idle and key != name and len(self._known) > 100
        ]:
            del self._known[idle]
        return self._known.setdefault(name, Stream(pump))


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes, streams = APIRouter(tags=["events"]), Streams(context)

    @routes.get(
        "/studies/{study}/events", summary="Follow a study", response_class=StreamingResponse,
        responses=content("text/event-stream", OF_STUDY) | errors(404),
    )  # fmt: skip
    async def of_study(study: StudyName, request: Request, header: LastEvent = "", query: LastQuery = "") -> Response:
        """What changes of a study, as it changes. After a break, the stream goes on where it ended."""
        await context.readings.reading(study)  # refuses an unknown study before the stream begins
        return answer(streams.of_study(study).listen(header or query))

    @routes.get(
        "/events", summary="Follow all studies", response_class=StreamingResponse,
        responses=content("text/event-stream", OF_ALL) | errors(),
    )  # fmt: skip
    async def of_all(request: Request, header: LastEvent = "", query: LastQuery = "") -> Response:
        """Each line of the list of studies that changes."""
        return answer(streams.of_all().listen(header or query))

    return routes


async def _follow_study(context: Context, study: str, stream: Stream) -> None:
    """Tells a stream of a study and of its analyses until the study is gone."""
    news = asyncio.create_task(_follow_news(context, study, stream))
    try:
        while True:
            try:
                async for reading in context.readings.changes(study):
                    began = time.monotonic()
                    await _tell(context, reading, stream)
                    await asyncio.sleep(REST * (time.monotonic() - began))
                return
            except StoreError as error:
                stream.news("trouble", encoded({"detail": str(error)}))
                await asyncio.sleep(AGAIN_SECONDS)
    except Problem as error:
        stream.news("gone", encoded({"detail": str(error)}))
    finally:
        news.cancel()


async def _tell(context: Context, reading: Reading, stream: Stream) -> None:
    verdict = await said(context, reading)
    body = await reading.later(("json", "study", verdict), lambda: encoded(whole(reading, verdict)))
    stream.state("study", body, hashlib.sha256(f"{reading.version}{verdict}".encode()).hexdigest()[:16])


async def _follow_news(context: Context, study: str, stream: Stream) -> None:
    async for news in context.analysis.news():
        if study in news.studies:
            told = {"what": news.what, "etag": news.etag, "studies": list(news.studies), "problem": news.sentence}
            stream.news("made" if news.done else "making", encoded(told))
            if news.done and news.what == "comparison":
                with contextlib.suppress(Problem, StoreError):  # of a store that is away the stream is told besides
                    await _tell(context, await context.readings.reading(study), stream)  # its verdict is there


async def _follow_all(context: Context, stream: Stream, known: dict[str, Summary]) -> None:
    """Tells a stream of each summary that changes, also of those that changed while the store was away or nobody listened.

    known: the summaries as they were told last, which this goes on with.
    """

    def tell(summary: Summary) -> None:
        known[summary.study] = summary
        stream.news("summary", encoded(summary.to_json()))

    while True:
        try:
            found = await context.readings.summaries()
            for summary in found if known else ():
                if known.get(summary.study) != summary:
                    tell(summary)
            known |= {summary.study: summary for summary in found}
            async for summary in context.readings.summary_changes():
                tell(summary)
            return
        except StoreError as error:
            stream.news("trouble", encoded({"detail": str(error)}))
            await asyncio.sleep(AGAIN_SECONDS)
