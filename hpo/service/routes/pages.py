"""The pages: shells that read nothing but a study's head, and their built files, which browsers keep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from hpo.service import answering, shells
from hpo.service.context import Context
from hpo.storage.place import place
from hpo.store import StoreError, Unreachable, reader

YEAR = {"Cache-Control": "public, max-age=31536000, immutable"}
PLAIN = {"/": ("studies", "Studies"), "/compare": ("compare", "Compare"), "/access": ("access", "Access")}


def router(context: Context) -> APIRouter:
    """Returns the routes of the pages, and of their files, which need no token: the log-in page wants them, too."""
    routes = APIRouter(include_in_schema=False)

    async def study(study: str, request: Request) -> Response:
        if await _known(context, study):
            return shells.shell(request, "study", title=study, study=study)
        return _nowhere(request, f"This store has no study {study!r}.")

    async def trial(study: str, trial: str, request: Request) -> Response:
        if await _known(context, study):
            return shells.shell(request, "trial", title=f"{trial} of {study}", study=study, trial=trial)
        return _nowhere(request, f"This store has no study {study!r}, and so no trial of it.")

    def submit(request: Request) -> Response:
        return shells.shell(request, "submit", title="Submit a study", store=context.settings.store)

    def log(job: str, request: Request) -> Response:
        return shells.shell(request, "log", title=f"Log of {job}", job=job)

    for path, (name, title) in PLAIN.items():
        routes.add_api_route(path, _plain(name, title))
    routes.add_api_route("/submit", submit)
    routes.add_api_route("/studies/{study}", study)
    routes.add_api_route("/studies/{study}/trials/{trial}", trial)
    routes.add_api_route("/jobs/{job}", log)
    routes.add_api_route("/assets/{version}/{name}", _asset, methods=["GET", "HEAD"])
    routes.add_api_route("/favicon.ico", _icon)
    return routes


def _plain(name: str, title: str) -> Callable[[Request], Response]:
    def page(request: Request) -> Response:
        return shells.shell(request, name, title=title)

    return page


async def _known(context: Context, study: str) -> bool:
    """Tells whether a study has a head, or waits for its driver to write one."""
    try:
        if await asyncio.to_thread(reader.head, place(context.settings.store), study) is not None:
            return True
    except Unreachable:
        return True  # perhaps: the page tells what the API says of a store that is away
    except StoreError:
        return False  # no name of a study
    return any(summary.study == study for summary in await context.readings.summaries())


def _nowhere(request: Request, sentence: str) -> Response:
    return shells.shell(request, "message", title="Not found", status=404, message=sentence)


def _asset(version: str, name: str, request: Request) -> Response:
    """Sends a built file, compressed once at most. An address of an older build leads to the newest one."""
    made = shells.assets().get(name)
    if made is None:
        return _nowhere(request, f"The pages have no file {name!r}.")
    headers = {"ETag": f'"{shells.version()}"', "Vary": "Accept-Encoding"}
    headers |= YEAR if version == shells.version() else {"Cache-Control": "no-cache"}
    if answering.matches(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if answering.takes_gzip(request):
        return Response(made.compressed, headers=headers | {"Content-Encoding": "gzip"}, media_type=made.media)
    return Response(made.content, headers=headers, media_type=made.media)


def _icon(request: Request) -> Response:
    return RedirectResponse(f"{shells.root_of(request)}/assets/{shells.version()}/icon.svg")
