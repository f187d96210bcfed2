"""Answers over HTTP: JSON made once a version for all who ask, ETags, 304, gzip, what is being made. Knows no study's content."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from hpo import __version__
from hpo.service import threads
from hpo.service.context import Made, Making, Reading
from hpo.service.problems import encoded

WORTH = 2_000  # bytes from which on an answer is compressed
LEVEL = 5
AGAIN = "2"  # seconds after which to ask again for what is being made
SHARED = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}


def tag(*parts: object) -> str:
    """Returns the ETag of an answer that these parts determine, and this project's version."""
    return f'W/"{hashlib.sha256(repr((__version__, *parts)).encode()).hexdigest()[:24]}"'


def matches(request: Request, etag: str) -> bool:
    """Tells whether the client has the answer with this ETag."""
    given = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    return "*" in given or etag.removeprefix("W/") in given


def unchanged(etag: str) -> Response:
    """Returns 304."""
    return Response(status_code=304, headers={**SHARED, "ETag": etag})


def takes_gzip(request: Request) -> bool:
    """Tells whether the client takes compressed answers."""
    return "gzip" in request.headers.get("accept-encoding", "")


async def answer(
    request: Request, reading: Reading, what: str, make: Callable[[], Any], *options: object, keep: bool = True
) -> Response:
    """Answers with JSON of a version of a study. `keep`: for others who ask the same; not for what few ask twice."""
    etag = tag(reading.data.name, reading.version, what, *options)
    if matches(request, etag):
        return unchanged(etag)
    if not keep:
        return await compressed(request, await asyncio.to_thread(lambda: encoded(make())), etag=etag)
    body = await reading.later(("json", what, *options), lambda: encoded(make()))
    if len(body) < WORTH or not takes_gzip(request):
        return _response(body, etag)
    packed = await reading.later(("gzip", what, *options), lambda: gzip.compress(body, LEVEL))
    return _response(packed, etag, packed=True)


async def compressed(
    request: Request, body: bytes, *, etag: str, media: str = "application/json", name: str | None = None
) -> Response:
    """Answers with bytes, compressed where that is worth it. `name`: of the file as which a browser keeps them."""
    if matches(request, etag):
        return unchanged(etag)
    headers = attachment(name) if name else {}
    if len(body) < WORTH or not takes_gzip(request) or not _shrinks(media):
        return _response(body, etag, media, headers)
    return _response(await threads.made(lambda: gzip.compress(body, LEVEL)), etag, media, headers, packed=True)


async def made(request: Request, found: Made | Making, what: str, *, name: str | None = None) -> Response:
    """Answers with an analysis, or with 202 while it is being made."""
    if isinstance(found, Making):
        state = {"making": True, "what": what, "since": found.since, "etag": found.etag}
        return Response(
            encoded(state), 202, {"Retry-After": AGAIN, "Cache-Control": "no-store"}, media_type="application/json"
        )
    etag = f'W/"{found.etag}"'
    if matches(request, etag):
        return unchanged(etag)
    if found.path is not None:
        headers = {**SHARED, "ETag": etag, **(attachment(name) if name else {})}
        return FileResponse(found.path, media_type=found.media, headers=headers)
    return await compressed(request, found.content or b"", etag=etag, media=found.media, name=name)


def attachment(name: str) -> dict[str, str]:
    """Returns the header with which a browser saves an answer under this name."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


def _shrinks(media: str) -> bool:
    return media.startswith("text/") or any(kind in media for kind in ("json", "xml", "arrow"))


def _response(
    body: bytes, etag: str, media: str = "application/json", more: dict[str, str] | None = None, packed: bool = False
) -> Response:
    headers = {**SHARED, "ETag": etag, **(more or {}), **({"Content-Encoding": "gzip"} if packed else {})}
    return Response(body, headers=headers, media_type=media)
