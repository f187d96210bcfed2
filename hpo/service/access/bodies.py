"""What a request's body may be: so large, no slower than it could be, and one of a few uploads at a time. Plain ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import NoReturn

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpo.service.problems import Problem

TEXT_BYTES = 2 * 2**20  # of a body that is no upload of files
FRAME_BYTES = 2**20  # of an upload beside its files
FIRST_SECONDS = 20.0  # for a body to arrive, and a second more for each SLOWEST bytes of it
SLOWEST = 2000
UPLOADS = 4  # at a time: until the cluster has it, one takes some three times its archive, and what that unpacks to
TURN_SECONDS = 20.0  # that a further one waits for its turn, unread


class _Refused(HTTPException):
    """Ends the reading of a body. Of this class, so that routes let it pass, instead of calling the body malformed."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, str(problem), problem.headers)
        self.problem = problem


class Bodies:
    """Answers 413 to a body that is too large, and 408 to one that comes too slowly, whatever the route does with it."""

    def __init__(self, app: ASGIApp, *, upload_bytes: int, seconds: float = FIRST_SECONDS) -> None:
        self._app = app
        self._upload_bytes = upload_bytes
        self._seconds = seconds
        self._turns = asyncio.Semaphore(UPLOADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        upload = headers.get("content-type", "").startswith("multipart/form-data") and "caller" in scope.get(
            "state", {}
        )
        body = _Body(receive, send, self._upload_bytes + FRAME_BYTES if upload else TEXT_BYTES)
        try:
            body.check(int(headers.get("content-length", 0)))
            async with self._turn(body) if upload else nullcontext():
                body.begin(self._seconds)
                await self._app(scope, body.receive, body.send)
        except _Refused as refused:
            body.refused = refused
        except Exception:
            if body.refused is None:  # else the route has only made another error of ours
                raise
        if body.refused is not None and not body.answered:
            await body.refused.problem.answer()(scope, receive, send)

    @asynccontextmanager
    async def _turn(self, body: _Body) -> AsyncIterator[None]:
        """Holds a place among the uploads, once one is free."""
        try:
            await asyncio.wait_for(self._turns.acquire(), TURN_SECONDS)
        except TimeoutError:
            body.refuse(503, f"a service takes {UPLOADS} uploads at a time, but as many are under way; try again")
        try:
            yield
        finally:
            self._turns.release()


class _Body:
    """A body as it arrives, and its answer."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self._most = receive, send, most
        self._due = 0.0
        self._bytes, self._whole = 0, False
        self.answered = False
        self.refused: _Refused | None = None

    def begin(self, seconds: float) -> None:
        """Lets the time begin that the body has to arrive."""
        self._due = time.monotonic() + seconds

    def check(self, size: int) -> None:
        if size > self._most:
            self.refuse(413, f"a body must have at most {self._most:,} bytes here, but this one has more; send less")

    async def receive(self) -> Message:
        if self._whole:  # what comes now is only that the other side has gone
            return await self._receive()
        try:
            due = self._due + self._bytes / SLOWEST
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self.refuse(408, f"a body must arrive with {SLOWEST:,} bytes a second, but this one is slower; try again")
        self._bytes += len(message.get("body", b""))
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        self.check(self._bytes)
        return message

    async def send(self, message: Message) -> None:
        if self.refused is not None and not self.answered:
            return  # the route's words on a body that it could not read
        self.answered = True
        await self._send(message)

    def refuse(self, status: int, sentence: str) -> NoReturn:
        """Has the request answered with a problem, whatever the route makes of it."""
        self.refused = _Refused(Problem(status, sentence, headers={"Connection": "close"}))
        raise self.refused
