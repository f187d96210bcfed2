"""A service on a real socket, with tokens, for tests of who may come in and how."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from hpo.service.access import Access, Sessions, Tokens
from hpo.service.app import application
from hpo.service.connections import Limits
from hpo.service.context import Context
from tests import serving

LARGE = 32 * 2**20  # bytes: more than what the system holds between two sockets
SECRET = "a-token-of-the-environment"


def entry(folder: Path, *, look: float = 0.0, **more: Any) -> Access:
    """Returns tokens and sessions in a folder, with one token of the environment."""
    tokens = Tokens(folder / "tokens.json", environment=SECRET, seconds=look)
    return Access(tokens, Sessions(folder / "sessions.json", look=look), **more)


def context(folder: Path, access: Access | None, **settings: Any) -> Context:
    """Returns what the service of the store `results` in a folder is made of."""
    return serving.context(folder / "results", folder / "cache", access=access, **settings)


def app_of(made: Context) -> FastAPI:
    """Returns the service with further routes: one that says what it was sent, one that never ends, two that take long."""
    app = application(made)

    async def echo(request: Request) -> dict[str, Any]:
        return {"bytes": len(await request.body()), "client": request.client.host if request.client else None}

    async def ticking() -> AsyncIterator[str]:
        while True:
            yield ": alive\n\n"
            await asyncio.sleep(0.05)

    async def stream() -> StreamingResponse:
        return StreamingResponse(ticking(), media_type="text/event-stream")

    def large() -> Response:
        return Response(bytes(LARGE))

    def file() -> FileResponse:
        path = made.settings.cache / "large"
        with path.open("wb") as stream:
            stream.truncate(LARGE)
        return FileResponse(path)

    app.add_api_route("/api/v1/large", large, include_in_schema=False)
    app.add_api_route("/api/v1/file", file, include_in_schema=False)
    app.add_api_route("/api/v1/echo", echo, methods=["GET", "POST"], include_in_schema=False)
    app.add_api_route("/api/v1/ticking", stream, include_in_schema=False)
    return app


def served(
    made: Context, limits: Limits | None = None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AbstractContextManager[int]:
    """Runs a real server of the service with these routes, and yields its port."""
    return serving.serving(made, app_of(made), limits=limits, tls=tls, host=host)


def ask(
    port: int, path: str, method: str = "GET", *, body: Any = None, token: str | None = None, host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None, **headers: str,
) -> tuple[int, http.client.HTTPMessage, str]:  # fmt: skip
    """Returns status, headers and body of an answer. An object or a list is sent as JSON."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    if isinstance(body, dict | list):
        body, sent["Content-Type"] = json.dumps(body), "application/json"
    kind = http.client.HTTPSConnection(host, port, timeout=30, context=tls) if tls else None
    connection = kind or http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def log_in(port: int, token: str, **more: Any) -> str:
    """Logs in by the form, and returns the cookie."""
    form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
    status, headers, _ = ask(port, "/login", "POST", body=f"token={token}", **(form | more))
    assert status == 303
    return headers["set-cookie"].split(";")[0]


def raw(port: int, *parts: bytes, pause: float = 0.0, wait: float = 10.0) -> bytes:
    """Sends bytes as they are, with a pause after each part, and returns all that came until the other side closed."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as client, suppress(ConnectionError):
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        while chunk := client.recv(65536):
            got += chunk
    return got
