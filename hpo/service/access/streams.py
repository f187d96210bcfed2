"""Open streams of events: each ends once its caller may no longer listen, and all end when the service does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Message, Send

SECONDS = 1.0  # between two looks at whether the caller may still listen


class Streams:
    """The streams of a service. `end` ends them all; browsers then ask for new ones."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Ends every stream, and each that begins from now on."""
        self._ending.set()

    async def carry(self, send: Send, stays: Callable[[], bool], answer: Callable[[Send], Awaitable[None]]) -> None:
        """Lets `answer` send its answer, for as long as the caller stays admitted where it is a stream of events."""
        task, watch, over = asyncio.current_task(), None, False
        assert task is not None

        def stop(done: asyncio.Task[None]) -> None:
            if not over and not done.cancelled():
                task.cancel()

        async def sending(message: Message) -> None:
            nonlocal watch
            if watch is None and message["type"] == "http.response.start" and _is_stream(message):
                watch = asyncio.create_task(self._ended(stays))
                watch.add_done_callback(stop)
            await send(message)

        try:
            await answer(sending)
        except asyncio.CancelledError:
            if watch is None or not watch.done() or watch.cancelled():
                raise
            task.uncancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            over = True
            if watch is not None:
                watch.cancel()

    async def _ended(self, stays: Callable[[], bool]) -> None:
        """Returns once the stream must end."""
        while stays():
            try:
                await asyncio.wait_for(self._ending.wait(), self._seconds)
            except TimeoutError:
                continue
            return


def _is_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message.get("headers", ())
    )
