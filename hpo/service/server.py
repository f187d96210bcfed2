"""The service's routes and its server. The only file of the service that opens the store; it only reads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import resources
from typing import Any

import uvicorn
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hpo import store
from hpo.report import palette
from hpo.service import access, views
from hpo.service.watch import Watch
from hpo.storage.place import place
from hpo.store import journal

_PAGES = resources.files("hpo.service") / "pages"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
CURVES = 200  # default number of trials in an answer with curves
FRESH_SECONDS = 90.0  # a driver's figures are no older while it lives; on S3 they are up to a minute late


def serve(uri: str, *, host: str = "127.0.0.1", port: int = 8080, token: str | None = None) -> None:
    """Serves a store until interrupted. `token`: default HPO_SERVE_TOKEN of the environment. `port`: 0 takes a free one.

    Raises UnsafeAddress if others could reach the service without a token, AddressTaken if it cannot listen at the
    address, StoreError if the store cannot be read.
    """
    token = os.environ.get(access.VARIABLE) if token is None else token
    access.check(host, token)
    store.studies(uri)
    with access.listen(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        print(f"serving {uri} at http://{shown}:{listener.getsockname()[1]} (Ctrl-C to stop)", file=sys.stderr)
        config = uvicorn.Config(application(uri, token=token), log_level="warning", timeout_graceful_shutdown=2)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def application(uri: str, *, token: str | None = None, seconds: float = 2.0) -> Starlette:
    """Returns the service as an ASGI application; the live page's events are at least `seconds` apart."""
    routes = [
        Route("/", partial(_index, uri)),
        Route("/studies/{study}", partial(_live, uri)),
        Route("/studies/{study}/report", partial(_report, uri)),
        Route("/api/studies", partial(_studies, uri)),
        Route("/api/studies/{study}", partial(_state, uri)),
        Route("/api/studies/{study}/runs", partial(_view, uri, views.runs)),
        Route("/api/studies/{study}/curves", partial(_curves, uri)),
        Route("/api/studies/{study}/comparison", partial(_view, uri, _comparison)),
        Route("/api/studies/{study}/events", partial(_events, Watch(partial(_progress, uri), seconds=seconds))),
        Route("/pages/{name}", _page_file),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(access.Gate, token=token)],
        exception_handlers={store.StoreError: _unknown},
    )


# -- JSON ---------------------------------------------------------------------------------------------------------


async def _studies(uri: str, request: Request) -> Response:
    names = await asyncio.to_thread(store.studies, uri)
    return _json({"studies": [{"study": name, "url": f"/api/studies/{name}"} for name in names]})


async def _view(uri: str, view: Callable[[store.StudyData], Any], request: Request) -> Response:
    return _json(await asyncio.to_thread(_read_through, uri, request.path_params["study"], view))


async def _state(uri: str, request: Request) -> Response:
    return _json(await asyncio.to_thread(_progress, uri, request.path_params["study"]))


async def _curves(uri: str, request: Request) -> Response:
    query = request.query_params
    try:
        limit = int(query.get("limit", CURVES))
    except ValueError:
        return _json({"error": f"limit must be a whole number, but got {query['limit']!r}"}, 400)
    view = partial(views.curves, trial=query.get("trial"), limit=max(1, limit))
    return _json(await asyncio.to_thread(_read_through, uri, request.path_params["study"], view))


def _read_through(uri: str, study: str, view: Callable[[store.StudyData], Any]) -> Any:
    return view(store.read(uri, study))


def _progress(uri: str, study: str) -> dict[str, Any]:
    figures = journal.figures(place(uri), study)
    fresh = figures is not None and time.time() - figures["time"] < FRESH_SECONDS
    return views.progress(store.read(uri, study), figures if fresh else None)


def _comparison(data: store.StudyData) -> Any:
    from hpo.results.compare import compare

    return compare(data).to_json()


def _json(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status, headers=_HEADERS)


async def _unknown(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/api/"):
        return _json({"error": str(error)}, 404)
    return HTMLResponse(_render("message.html.j2", title="Not found", message=str(error)), 404, _HEADERS)


async def _events(watch: Watch, request: Request) -> Response:
    states = watch.states(request.path_params["study"])
    first = await anext(states)  # refuses an unknown study before the stream begins

    async def stream() -> AsyncIterator[str]:
        yield f"retry: 3000\ndata: {first}\n\n"
        try:
            async for state in states:
                yield f"data: {state}\n\n" if state is not None else ": nothing new\n\n"
        except store.StoreError as error:  # the page keeps its state and asks again
            yield f"event: trouble\ndata: {error}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers=_HEADERS | {"X-Accel-Buffering": "no"})


# -- pages --------------------------------------------------------------------------------------------------------


async def _index(uri: str, request: Request) -> Response:
    names = await asyncio.to_thread(store.studies, uri)
    return HTMLResponse(_render("index.html.j2", title="Studies", uri=uri, studies=names), headers=_HEADERS)


async def _live(uri: str, request: Request) -> Response:
    name = request.path_params["study"]
    data = await asyncio.to_thread(store.read, uri, name)
    looks = palette.looks([method["label"] for method in data.definition["methods"]])
    drawn = {label: {"tint": look.tint.name, "dash": look.dash[1]} for label, look in looks.items()}
    page = _render("live.html.j2", title=name, study=name, metric=data.definition["metric"], looks=drawn)
    return HTMLResponse(page, headers=_HEADERS)


async def _report(uri: str, request: Request) -> Response:
    text = await asyncio.to_thread(_read_through, uri, request.path_params["study"], partial(_report_page, uri))
    return HTMLResponse(text, headers=_HEADERS | {"Content-Security-Policy": _REPORT_POLICY})


def _report_page(uri: str, data: store.StudyData) -> str:
    from hpo.report.html import page
    from hpo.report.record_section import command_of
    from hpo.results.compare import compare
    from hpo.results.importance import importance_or_none

    return page(data, compare(data), importance_or_none(data, seed=0), command=command_of(data, uri))


async def _page_file(request: Request) -> Response:
    """Returns the pages' style sheet or script."""
    name = request.path_params["name"]
    kinds = {"live.js": "text/javascript", "service.css": "text/css"}
    if name not in kinds:
        return _json({"error": f"there is no page file {name!r}"}, 404)
    text = (_PAGES / name).read_text(encoding="utf-8")
    return Response((palette.css() if name == "service.css" else "") + text, media_type=kinds[name], headers=_HEADERS)


def _render(template: str, **values: Any) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    frame = environment.from_string((_PAGES / "frame.html.j2").read_text(encoding="utf-8"))
    body = environment.from_string((_PAGES / template).read_text(encoding="utf-8")).render(**values)
    return frame.render(title=values["title"], body=Markup(body))
