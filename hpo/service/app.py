"""The service assembled: routes, what every request goes through, how errors are answered, the OpenAPI document."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpo import __version__
from hpo.errors import HpoError
from hpo.service import documented, shells
from hpo.service.access import middleware
from hpo.service.context import Context
from hpo.service.problems import Problem, encoded
from hpo.store.errors import StoreError, Unreachable
from hpo.text import shown

ROUTES = ("studies", "tables", "analyses", "exports", "events", "actions", "jobs", "drafts", "entrance")
PAGES = ("pages", "login")  # at the root, and not in the document
# Media types that are not compressed again; what `answering` compressed is left alone, too.
PACKED = ("application/vnd.apache.parquet", "application/x-tar", *DEFAULT_EXCLUDED_CONTENT_TYPES)
ENDS = "the service must go on to answer this, but it ends; try again"
OURS = "the service must answer this, but failed; its log has the details. Try again, and report it if it happens again"

log = logging.getLogger("hpo.service")


def application(context: Context) -> FastAPI:
    """Returns the service as an ASGI application. Its readings and analyses begin and end with it."""
    app = FastAPI(
        title="HPO Arena", version=__version__, docs_url=None, redoc_url=None, openapi_url=None,
        lifespan=_lifespan(context), redirect_slashes=False,
        middleware=[
            *middleware(context),
            Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=5, exclude_content_types=PACKED),
            Middleware(Caught),
        ],
    )  # fmt: skip
    api = APIRouter(prefix=documented.PREFIX)
    for name in ROUTES:
        api.include_router(importlib.import_module(f"hpo.service.routes.{name}").router(context))
    _document(app, api)
    app.include_router(api)
    for name in PAGES:
        app.include_router(
            importlib.import_module(f"hpo.service.routes.{name}").router(context), include_in_schema=False
        )
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    return app


def _lifespan(context: Context) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with contextlib.closing(context.checker):
            async with context.readings, context.analysis, context.queue or contextlib.nullcontext():
                yield

    return lifespan


def _document(app: FastAPI, api: APIRouter) -> None:
    @api.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:  # in a thread: it takes a while the first time
        return Response(encoded(documented.document(app)), media_type="application/json")


# -- errors -------------------------------------------------------------------------------------------------------


async def _ours(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return error.answer()
    if isinstance(error, Unreachable):
        return Problem(503, str(error)).answer()
    return Problem(404 if isinstance(error, StoreError) else 422, str(error)).answer()


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return Problem(422, sentence(error.errors()[0])).answer()


async def _refused(request: Request, error: Exception) -> Response:
    """Answers for a path that leads nowhere, a method that a path does not take, and the like."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and _reads(request):
        return shells.shell(request, "message", title="Not found", status=404, message="The service has no such page.")
    path, method = shown(request.url.path, 120), request.method
    told = {404: f"the path must be one of the service's, but got {path}", 405: f"{path} does not take {method}"}
    if error.status_code == 400:  # a body that is no text
        return Problem(422, "the body must be JSON as UTF-8, but cannot be read").answer()
    headers = dict(error.headers or {})
    if error.status_code == 405 and (taken := documented.methods(request.app, request.url.path)):
        headers["Allow"] = ", ".join(taken)  # of all routes of this path; the error names those of the first one
    return Problem(error.status_code, told.get(error.status_code, str(error.detail)), headers=headers).answer()


def _reads(request: Request) -> bool:
    """Tells whether a person with a browser asks, rather than a program."""
    return "text/html" in request.headers.get("accept", "") and "/api/" not in request.url.path


class Caught:
    """Answers for a bug of ours, while the log gets the traceback, and for the service's end: one sentence each.

    Stands within all other middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def sending(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if began or scope["type"] != "http":
                raise
            await Problem(503, ENDS).answer()(scope, receive, send)
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.error("%s %s failed", scope["method"], shown(scope["path"], 120), exc_info=error)
            if began:
                raise  # the connection must not look as if the answer were whole
            await Problem(500, OURS).answer()(scope, receive, send)


_ANSWERS: dict[Any, Any] = {
    HpoError: _ours,
    RequestValidationError: _invalid,
    HTTPException: _refused,
}


def sentence(error: Any) -> str:
    """Returns a mistake that the validation found as one sentence."""
    where, *names = error["loc"]
    name = ".".join(map(str, names)) or str(where)
    says = str(error["msg"]).replace("Input should be", "must be").replace("Field required", "is required, but missing")
    if error["type"] in ("missing", "json_invalid"):
        return f"{name} {says[:1].lower()}{says[1:]}"
    given = f", but got {shown(error['input'])}" if "input" in error else ""
    return f"{name}: {says}{given}" if not says.startswith("must") else f"{name} {says}{given}"
