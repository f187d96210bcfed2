"""Answers that last: each ends once its caller may no longer have it, and streams of events end when the service does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from starlette.types import Message, Send

SECONDS = 1.0  # between two looks at whether the caller may still listen
PIECE = 2**18  # bytes: a larger part of an answer is sent in pieces, so that a slow client has not been given all of it


class Streams:
    """The streams and downloads of a service. `end` ends the streams; browsers then ask for new ones."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Ends every stream, and each that begins from now on."""
        self._ending.set()

    async def carry(self, send: Send, stays: Callable[[], bool], answer: Callable[[Send], Awaitable[None]]) -> None:
        """Lets `answer` send its answer, for as long as the caller stays admitted.

        A stream then ends, while a download breaks off: nobody must take a part of a file for the file.
        """
        task, watch, over, stream = asyncio.current_task(), None, False, False
        assert task is not None

        def stop(done: asyncio.Task[None]) -> None:
            if not over and not done.cancelled():
                task.cancel()

        async def sending(message: Message) -> None:
            nonlocal watch, stream
            if message["type"] == "http.response.start":
                stream = _is_stream(message)
            for piece in _pieces(message):
                if watch is None and piece.get("more_body"):
                    watch = asyncio.create_task(self._ended(stays, self._ending if stream else asyncio.Event()))
                    watch.add_done_callback(stop)
                await send(piece)

        try:
            await answer(sending)
        except asyncio.CancelledError:
            if watch is None or not watch.done() or watch.cancelled():
                raise
            task.uncancel()
            if stream:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            over = True
            if watch is not None:
                watch.cancel()

    async def _ended(self, stays: Callable[[], bool], ending: asyncio.Event) -> None:
        """Returns once the answer must end."""
        while stays():
            try:
                await asyncio.wait_for(ending.wait(), self._seconds)
            except TimeoutError:
                continue
            return


def _pieces(message: Message) -> Iterator[Message]:
    """Yields a message, or several that say the same."""
    body, more = message.get("body", b""), message.get("more_body", False)
    if len(body) <= PIECE:
        yield message
        return
    for begin in range(0, len(body), PIECE):
        end = begin + PIECE
        yield {**message, "body": body[begin:end], "more_body": more or end < len(body)}


def _is_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message.get("headers", ())
    )
