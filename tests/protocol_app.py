"""A small HTTP service for tests of the client: it breaks off, redirects, is away for a while, and notes what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from hpo.service.access.addresses import listen
from tests.serving import in_a_thread

LARGE = 24 * 2**20  # bytes of a bundle


class Protocol:
    """The application and what it has seen: `asked` counts the requests by path, `headers` are those of the last one."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, list[dict[str, str]]] = {}
        self.elsewhere = ""
        self.events: list[str | None] = []  # pieces of a stream; None breaks it off
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked[path] += 1
        self.headers.setdefault(path, []).append(dict(request.headers))
        word = path.rpartition("/")[2]
        if word.isdigit():
            return problem(
                int(word), f"this must hold, but got {word}", problems=[{"line": 3, "column": 1, "message": "m"}]
            )
        return await getattr(self, f"_{word}")(request)

    async def _flaky(self, request: Request) -> Response:
        if self.asked[request.url.path] < 3:
            return problem(503, "the store must answer, but it is away", headers={"Retry-After": "0"})
        return JSONResponse({"ok": True})

    async def _away(self, request: Request) -> Response:
        return problem(503, "the store must answer, but it is away", headers={"Retry-After": "1"})

    async def _making(self, request: Request) -> Response:
        if self.asked[request.url.path] < 3:
            return JSONResponse({"making": True}, 202, headers={"Retry-After": "0"})
        return JSONResponse({"ok": True})

    async def _page(self, request: Request) -> Response:
        return PlainTextResponse("<h1>a proxy's page</h1>", 502 if self.asked[request.url.path] < 2 else 404)

    async def _text(self, request: Request) -> Response:
        return PlainTextResponse("hello")

    async def _bundle(self, request: Request) -> Response:
        """Is made first, breaks off, and then is sent whole: LARGE bytes, which do not come packed."""
        asked = self.asked[request.url.path]
        if asked < 2:
            return JSONResponse({"making": True}, 202, headers={"Retry-After": "0"})

        async def content() -> AsyncIterator[bytes]:
            for number in range(LARGE // 2**20):
                if asked < 3 and number == 3:
                    raise ConnectionAbortedError
                yield bytes([asked]) * 2**20

        return StreamingResponse(content(), headers={"Content-Length": str(LARGE)})

    async def _foreign(self, request: Request) -> Response:
        return RedirectResponse(f"{self.elsewhere}/api/v1/token?secret=1")

    async def _own(self, request: Request) -> Response:
        return RedirectResponse("flaky")

    async def _loop(self, request: Request) -> Response:
        return RedirectResponse("loop")

    async def _token(self, request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def _studies(self, request: Request) -> Response:
        """Takes a submission, and answers only the second time that it is asked."""
        await request.body()
        if self.asked[request.url.path] < 2:
            return problem(503, "the cluster must answer, but it is away", headers={"Retry-After": "0"})
        return JSONResponse(
            {"study": "digits", "job": "digits-1", "series": "digits", "state": "queued", "url": "/"}, 201
        )

    async def _events(self, request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            while self.events:
                piece = self.events.pop(0)
                if piece is None:
                    raise ConnectionAbortedError
                yield piece
                await asyncio.sleep(0)

        return StreamingResponse(stream(), media_type="text/event-stream")


def problem(status: int, sentence: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """Returns a problem as the service answers one."""
    body = {"type": "about:blank", "title": "Problem", "status": status, "detail": sentence, **more}
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


@contextmanager
def listening(app: ASGIApp, **options: Any) -> Iterator[int]:
    """Runs a real server of an application in a thread and yields its port."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, **options))
    with listen("127.0.0.1", 0) as listener, in_a_thread(server, listener) as port:
        yield port
