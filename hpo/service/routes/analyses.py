"""Comparison and importance: made in the background, kept for each state of the studies."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from hpo.service import answering
from hpo.service.context import Context
from hpo.service.documented import errors, making, unchanged
from hpo.service.models.analyses import ComparisonAnswer, ImportanceAnswer
from hpo.service.routes.parameters import StudyName, StudyNames
from hpo.study.difference import Difference

DifferenceQuery = Annotated[
    str | None,
    Query(
        max_length=50,
        description="The smallest difference that matters: 0.005, or `1 %` of the mean.",
        examples=["0.005"],
    ),
]
Target = Annotated[
    float | None, Query(allow_inf_nan=False, description="Count the epochs until the metric reaches this value.")
]
Workers = Annotated[
    int | None, Query(ge=1, le=100_000, description="Estimate the time of each method alone on so many.")
]


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(tags=["analyses"])
    _comparison(routes, context)
    _importance(routes, context)
    return routes


def _comparison(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/studies/{study}/comparison", summary="Compare the methods of a study", response_model=ComparisonAnswer,
        responses=making() | unchanged() | errors(404, 409, 422),
    )  # fmt: skip
    async def comparison(
        request: Request,
        study: StudyName,
        difference: DifferenceQuery = None,
        target: Target = None,
        workers: Workers = None,
    ) -> Response:
        """The methods of a study, compared as `hpo compare --format json` does."""
        return await _compared(context, request, [study], difference, target, workers)

    @routes.get(
        "/comparison", summary="Compare over several studies", response_model=ComparisonAnswer,
        responses=making() | unchanged() | errors(404, 409, 422),
    )  # fmt: skip
    async def over_studies(
        request: Request,
        study: StudyNames,
        difference: DifferenceQuery = None,
        target: Target = None,
        workers: Workers = None,
    ) -> Response:
        """The methods over several studies as tasks."""
        return await _compared(context, request, list(dict.fromkeys(study)), difference, target, workers)


def _importance(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/studies/{study}/importance", summary="Read the importance of hyperparameters", response_model=ImportanceAnswer,
        responses=making() | unchanged() | errors(404, 409, 422),
    )  # fmt: skip
    async def importance(
        request: Request,
        study: StudyName,
        pairs: Annotated[bool, Query(description="Include pairs of hyperparameters.")] = False,
    ) -> Response:
        """Which hyperparameters matter, as `hpo importance --format json` prints it; 409 where there are too few trials."""
        reading = await context.readings.reading(study)
        options = {"pairs": True} if pairs else {}
        return await answering.made(request, await context.analysis.ask("importance", [reading], options), "importance")


async def _compared(
    context: Context,
    request: Request,
    names: list[str],
    difference: str | None,
    target: float | None,
    workers: int | None,
) -> Response:
    if difference is not None:
        Difference.parse(difference)  # refused at once, not by what is made later
    readings = await asyncio.gather(*(context.readings.reading(name) for name in names))
    given = {"difference": difference, "target": target, "workers": workers}
    options = {name: value for name, value in given.items() if value is not None}
    return await answering.made(request, await context.analysis.ask("comparison", readings, options), "comparison")
