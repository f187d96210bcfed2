"""Events for many listeners from one source: each is written once, and a slow listener keeps nobody waiting. Knows no study.

A listener is told the newest state, however many it missed, and every piece of news that it missed since the event that
it names. Ids grow, also over restarts of the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse

KEPT = 200  # pieces of news that a listener may have missed
QUIET_SECONDS = 15.0  # after which a comment shows that the stream lives
BEGIN, HEARTBEAT = b"retry: 2000\n\n", b": \n\n"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # a proxy passes on each event as it comes

AGAIN_SECONDS = 2.0  # after an error

log = logging.getLogger("hpo.service")


def answer(events: AsyncIterator[bytes]) -> Response:
    """Returns an answer that goes on for as long as there are events."""
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


def written(id: str, kind: str, data: bytes) -> bytes:
    """Returns an event as it is sent; data is one line of JSON."""
    return f"id: {id}\nevent: {kind}\ndata: ".encode() + data + b"\n\n"


@dataclass(frozen=True)
class Event:
    """An event as it is sent. `digest` tells a state from another; `number` grows from event to event."""

    number: int
    digest: str
    content: bytes

    @classmethod
    def of(cls, number: int, kind: str, data: bytes, digest: str = "") -> Event:
        """Writes an event down; data is one line of JSON."""
        return cls(number, digest, written(f"{number}.{digest}", kind, data))


class Stream:
    """What is told of one thing, such as a study, to any number of listeners.

    `pump`: tells the stream what happens, for as long as it runs: it is started for the first listener and ended with the
    last one. After an error of ours it is started again, since its listeners would wait for ever.
    """

    def __init__(self, pump: Callable[[Stream], Awaitable[None]]) -> None:
        self._pump = pump
        self._state: Event | None = None
        self._news: deque[Event] = deque(maxlen=KEPT)
        self._number = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None

    def state(self, kind: str, data: bytes, digest: str) -> None:
        """Tells a state, which replaces the one before."""
        if self._state is None or self._state.digest != digest:
            self._state = Event.of(self._next(), kind, data, digest)
            self._wake()

    def news(self, kind: str, data: bytes) -> None:
        """Tells what every listener should learn."""
        self._news.append(Event.of(self._next(), kind, data))
        self._wake()

    def end(self) -> None:
        """Tells that nothing will follow."""
        self._ended = True
        self._wake()

    async def listen(self, last: str = "", quiet: float = QUIET_SECONDS) -> AsyncIterator[bytes]:
        """Yields events, and comments while nothing happens. `last`: the id of the last event that the listener had."""
        heard, digest = _id(last)
        heard = heard if last else self._number  # a new listener hears no old news
        self._begin()
        try:
            yield BEGIN
            while True:
                changed = self._changed
                for event in self._since(heard, digest):
                    heard, digest = max(heard, event.number), event.digest or digest
                    yield event.content
                if self._changed is not changed:
                    continue  # more happened while these were sent
                if self._ended:
                    return
                try:
                    await asyncio.wait_for(changed.wait(), quiet)
                except TimeoutError:
                    yield HEARTBEAT
        finally:
            self._leave()

    def _since(self, heard: int, digest: str) -> list[Event]:
        """Returns what a listener missed, in order: news, and the state if it has another."""
        missed = [event for event in self._news if event.number > heard]
        if self._state is not None and self._state.digest != digest:
            missed.append(self._state)
        return sorted(missed, key=lambda event: event.number)

    def _next(self) -> int:
        self._number = max(self._number + 1, int(time.time() * 1000))
        return self._number

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _begin(self) -> None:
        self._listeners += 1
        if self._task is None or self._task.done():
            self._ended = False
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                await self._pump(self)
            except Exception as error:
                log.error("a stream of events broke, and begins again", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self.end()
                return

    def _leave(self) -> None:
        self._listeners -= 1
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = self._state = None  # the state will be another when the next listener comes

    @property
    def idle(self) -> bool:
        """Whether nobody listens."""
        return not self._listeners

    async def close(self) -> None:
        """Ends the stream and its source."""
        self.end()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def _id(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(".")
    return (int(number), digest) if number.isascii() and number.isdigit() and len(number) < 20 else (0, "")
