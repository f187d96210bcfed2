"""The list of studies, and one study: state, plan, definition, runs."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from hpo.service import answering, threads
from hpo.service.answers import definitions, runs
from hpo.service.answers.listing import Asked, listed
from hpo.service.answers.study import study
from hpo.service.context import Context, Made, Reading
from hpo.service.documented import errors, unchanged
from hpo.service.models.record import DefinitionAnswer, PlanAnswer
from hpo.service.models.studies import StudiesAnswer
from hpo.service.models.study import RunsAnswer, StudyAnswer
from hpo.service.problems import Problem, encoded
from hpo.service.routes.parameters import StudyName
from hpo.service.submitting.estimate import estimate
from hpo.service.verdicts import Verdicts, comparison_of
from hpo.store.state import LIVE, Word

Sort = Literal[
    "name", "state", "owner", "began", "updated", "progress", "best",
    "-name", "-state", "-owner", "-began", "-updated", "-progress", "-best",
]  # fmt: skip
Search = Annotated[
    str,
    Query(max_length=200, description="Words that occur in the name, suite, owner, task, metric or a method.",
          examples=["digits asha"]),
]  # fmt: skip
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(tags=["studies"])
    _list(routes, context)
    _study(routes, context)
    _record(routes, context)
    return routes


def _list(routes: APIRouter, context: Context) -> None:
    verdicts = Verdicts(context)

    @routes.get("/studies", summary="List studies", response_model=StudiesAnswer, responses=unchanged() | errors(422))
    async def studies(
        request: Request,
        search: Search = "",
        state: Annotated[list[Word], Query(description="Only studies in one of these states.")] = [],  # noqa: B006
        owner: Annotated[str | None, Query(max_length=200, description="Only those of this owner.")] = None,
        suite: Annotated[str | None, Query(max_length=200, description="Only the tasks of this suite.")] = None,
        archived: Annotated[bool, Query(description="The archived studies instead of the others.")] = False,
        sort: Annotated[
            Sort, Query(description="What comes first; `-`: the largest. Unknown values come last.")
        ] = "-updated",
        limit: Annotated[int, Query(ge=1, le=500, description="Most studies of a page.")] = 50,
        cursor: Cursor = None,
    ) -> Response:
        """The studies of the store, page by page. A page stays where it is when studies come and go."""
        found = await context.readings.summaries()
        verdicts.consider(found)
        asked = Asked(search, tuple(state), owner, suite, archived, sort, limit, cursor)
        body = await threads.made(lambda: encoded(listed(found, asked)), threads.SHORT)
        return await answering.compressed(request, body, etag=answering.tag(hashlib.sha256(body).hexdigest()))


def _study(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/studies/{study}", summary="Read a study", response_model=StudyAnswer, responses=unchanged() | errors(404)
    )
    async def read(request: Request, study: StudyName) -> Response:
        """A study whole, but for its tables."""
        reading = await context.readings.reading(study)
        verdict = await said(context, reading)
        return await answering.answer(request, reading, "study", lambda: whole(reading, verdict), verdict)

    @routes.get(
        "/studies/{study}/runs", summary="List the runs", response_model=RunsAnswer, responses=unchanged() | errors(404)
    )
    async def run_list(request: Request, study: StudyName) -> Response:
        """Every run of the study: a method with a seed, whether it has begun or not."""
        reading = await context.readings.reading(study)

        def make() -> dict[str, Any]:
            return {"study": study, "runs": runs.run_list(reading.standing)}

        return await answering.answer(request, reading, "runs", make)


def _record(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/studies/{study}/plan",
        summary="Read the plan",
        response_model=PlanAnswer,
        responses=unchanged() | errors(404, 409),
    )
    async def read_plan(request: Request, study: StudyName) -> Response:
        """What the study runs, as `hpo check` prints it."""
        allow = context.settings.allow_code
        reading = await context.readings.reading(study)
        plan, work = await reading.later("planned", lambda: definitions.planned(reading.data, allow))
        told = await estimate(context, [work], known=reading)
        return await answering.answer(request, reading, "plan", lambda: definitions.plan(plan, asdict(told)), told)

    @routes.get(
        "/studies/{study}/definition", summary="Read the definition", response_model=DefinitionAnswer,
        responses=unchanged() | errors(404),
    )  # fmt: skip
    async def definition(request: Request, study: StudyName) -> Response:
        """How the study was made, how to make it again, and what its driver wrote last."""
        reading = await context.readings.reading(study)

        def make() -> dict[str, Any]:
            return definitions.definition(reading.data, context.settings.store)

        return await answering.answer(request, reading, "definition", make)


def whole(reading: Reading, verdict: str | None) -> dict[str, Any]:
    """Returns the answer of one study."""
    return study(reading, reading.standing, verdict)


async def said(context: Context, reading: Reading) -> str | None:
    """Returns the verdict in sentences, an interim one until every run is complete; None while the first is being made."""
    live = reading.state.word in LIVE
    if live and not reading.data.charges.num_rows:  # nothing to compare yet
        return None
    try:
        found = await context.analysis.ask("comparison", [reading], old=True)
    except Problem:
        return None
    if not isinstance(found, Made):
        return None
    verdicts = await comparison_of(reading, found)
    over = not live and reading.summary.runs_complete == reading.summary.runs
    return verdicts.get("verdict" if over else "interim")
