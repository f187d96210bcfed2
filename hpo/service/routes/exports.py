"""Downloads: report, figures, LaTeX, bundle; all made in the background."""

from __future__ import annotations

from html import escape
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import HTMLResponse

from hpo.service import answering
from hpo.service.context import Context, Making
from hpo.service.documented import content, errors, making, unchanged
from hpo.service.routes.parameters import StudyName

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
    @routes.get(
        "/studies/{study}/report", summary="Read the report", response_class=HTMLResponse,
        responses=content("text/html", "The report: one HTML file that needs no network.")
        | {202: {"description": "It is being made: a page that refreshes itself.", "content": {"text/html": {}}}}
        | unchanged() | errors(404, 409),
    )  # fmt: skip
    async def report(
        request: Request,
        study: StudyName,
        download: Annotated[bool, Query(description="Have a browser save it as a file.")] = False,
    ) -> Response:
        """The report, as `hpo compare STORE --format html` writes it."""
        reading = await context.readings.reading(study)
        found = await context.analysis.ask("report", [reading])
        if isinstance(found, Making):
            headers = {"Retry-After": answering.AGAIN, "Cache-Control": "no-store"}
            answer: Response = HTMLResponse(WAITING.format(study=escape(study)), 202, headers)
        else:
            answer = await answering.made(request, found, "report", name=f"{study}.html" if download else None)
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
