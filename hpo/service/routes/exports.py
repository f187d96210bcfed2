"""Downloads of a study, of several as tasks, or of a suite: report, figures, LaTeX, bundle; all made in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import HTMLResponse

from hpo.service import answering
from hpo.service.context import Context, Making
from hpo.service.documented import content, errors, making, unchanged
from hpo.service.problems import Problem
from hpo.service.routes.parameters import StudyName, StudyNames, SuiteName

Download = Annotated[bool, Query(description="Have a browser save it as a file.")]
Figure = Literal["anytime", "curves", "parallel", "importance"]
# The report is one file that needs no network: its styles are its own, and it runs no script.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
WAITING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width"><title>{study}: report</title></head>
<body><p>The report of {study} is being made. This page shows it once it is there.</p></body></html>
"""


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(tags=["downloads"])
    _report(routes, context)
    _files(routes, context)
    return routes


def _report(routes: APIRouter, context: Context) -> None:
    responses = (
        content("text/html", "The report: one HTML file that needs no network.")
        | {202: {"description": "It is being made: a page that refreshes itself.", "content": {"text/html": {}}}}
        | unchanged() | errors(404, 409)
    )  # fmt: skip

    @routes.get("/studies/{study}/report", summary="Read the report", response_class=HTMLResponse, responses=responses)
    async def report(request: Request, study: StudyName, download: Download = False) -> Response:
        """The report, as `hpo compare STORE --format html` writes it."""
        return await _reported(context, request, [study], download)

    @routes.get(
        "/report", summary="Read the report over several studies", response_class=HTMLResponse, responses=responses
    )
    async def over_studies(request: Request, study: StudyNames, download: Download = False) -> Response:
        """The report over several studies as tasks, as `hpo compare STORE --study A --study B --format html` writes it."""
        return await _reported(context, request, list(dict.fromkeys(study)), download)


async def _reported(context: Context, request: Request, names: Sequence[str], download: bool) -> Response:
    readings = await asyncio.gather(*(context.readings.reading(name) for name in names))
    found = await context.analysis.ask("report", readings)
    title = names[0] if len(names) == 1 else f"{len(names)}-studies"
    if isinstance(found, Making):
        headers = {"Retry-After": answering.AGAIN, "Cache-Control": "no-store"}
        answer: Response = HTMLResponse(WAITING.format(study=escape(title)), 202, headers)
    else:
        answer = await answering.made(request, found, "report", name=f"{title}.html" if download else None)
    answer.headers["Content-Security-Policy"] = REPORT_POLICY
    return answer


def _files(routes: APIRouter, context: Context) -> None:
    async def ask(request: Request, study: str, what: str, file: str, **options: str) -> Response:
        reading = await context.readings.reading(study)
        return await answering.made(request, await context.analysis.ask(what, [reading], options), what, name=file)

    @routes.get(
        "/studies/{study}/figures/{figure}.{format}", summary="Download a figure", response_class=Response,
        responses=content("image/svg+xml", "The figure.", "image/png") | making() | unchanged() | errors(404, 409, 422),
    )  # fmt: skip
    async def figure(
        request: Request,
        study: StudyName,
        figure: Annotated[Figure, Path(description="Which one.")],
        format: Annotated[Literal["svg", "png"], Path(description="What kind of picture.")],
    ) -> Response:
        """A figure of the report."""
        return await ask(request, study, "figure", f"{study}-{figure}.{format}", name=figure, format=format)

    @routes.get(
        "/studies/{study}/latex", summary="Download the tables as LaTeX", response_class=Response,
        responses=content("application/x-tex", "The tables.", "text/x-tex", "text/plain")
        | making() | unchanged() | errors(404, 409),
    )  # fmt: skip
    async def latex(request: Request, study: StudyName) -> Response:
        """The comparison's tables, as `hpo compare STORE --format latex` prints them."""
        return await ask(request, study, "latex", f"{study}.tex")

    @routes.get(
        "/studies/{study}/bundle", summary="Download the bundle", response_class=Response,
        responses=content("application/gzip", "The bundle.", "application/x-tar") | making() | unchanged() | errors(404, 409),
    )  # fmt: skip
    async def bundle(request: Request, study: StudyName) -> Response:
        """The study with its results, as `hpo bundle` packs it: for a paper's supplement."""
        return await ask(request, study, "bundle", f"{study}.tar.gz")

    @routes.get(
        "/suites/{suite}/bundle", summary="Download the bundle of a suite", response_class=Response,
        responses=content("application/gzip", "The bundle.", "application/x-tar") | making() | unchanged() | errors(404, 409),
    )  # fmt: skip
    async def suite_bundle(request: Request, suite: SuiteName) -> Response:
        """All studies of a suite with their results in one archive, as `hpo bundle` packs them."""
        names = sorted(one.study for one in await context.readings.summaries() if one.suite == suite)
        if not names:
            raise Problem(404, f"a suite of the store must be named, but it holds none of the name {suite}")
        readings = await asyncio.gather(*(context.readings.reading(name) for name in names))
        found = await context.analysis.ask("bundle", readings, {"suite": suite})
        return await answering.made(request, found, "bundle", name=f"{suite}.tar.gz")
