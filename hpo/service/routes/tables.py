"""Trials, curves, the ledger, failures, and the stored tables whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Path, Query, Request, Response

from hpo.service import answering, threads
from hpo.service.answers import failing, files, progress, runs
from hpo.service.answers import trials as pages
from hpo.service.answers.columns import Trials, trials
from hpo.service.answers.curves import curves
from hpo.service.answers.selecting import chosen
from hpo.service.answers.trial import trial as one_trial
from hpo.service.context import Context, Reading
from hpo.service.documented import content, errors, unchanged
from hpo.service.models.curves import AnytimeAnswer, CurvesAnswer, ParallelAnswer
from hpo.service.models.ledger import FailuresAnswer, LedgerAnswer
from hpo.service.models.trials import TrialAnswer, TrialsAnswer
from hpo.service.problems import encoded
from hpo.service.routes.parameters import StudyName

TrialName = Annotated[str, Path(description="The trial.", examples=["1ab89db3ee5e3d8c"], max_length=200)]
Where = Annotated[
    list[Annotated[str, Query(max_length=2000)]],
    Query(
        max_length=50,
        description="COLUMN:OPERATOR:VALUE, as often as wanted; all must hold. Operators: eq, ne, lt, le, gt, ge, in (values "
        "with commas between; a comma within one is %2C), has (text within). An empty value of eq and ne means an empty cell.",
        examples=["best_value:gt:0.9"],
    ),
]
Text = Annotated[str, Query(max_length=200, description="Text that occurs in the row, in either case.")]
Order = Annotated[
    str,
    Query(max_length=500, description="Columns with commas between; `-`: the largest first. Empty cells come last.",
          examples=["-best_value"]),
]  # fmt: skip
RunName = Annotated[
    str | None, Query(max_length=300, description="Only of this run, METHOD/SEED.", examples=["asha/0"])
]
Table = Literal["epochs", "charges", "trials", "runs", "failures", "run_failures", "exams"]
FILES = content("application/vnd.apache.parquet", "The table as a file.", files.MEDIA["csv"], files.MEDIA["arrow"])


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(tags=["tables"])
    _trials(routes, context)
    _trial(routes, context)
    _curves(routes, context)
    _record(routes, context)
    return routes


def _trials(routes: APIRouter, context: Context) -> None:
    others: dict[int | str, dict[str, Any]] = {200: {"content": {files.MEDIA["csv"]: {}, files.MEDIA["arrow"]: {}}}}

    @routes.get(
        "/studies/{study}/trials", summary="List trials", response_model=TrialsAnswer,
        responses=others | unchanged() | errors(404, 422),
    )  # fmt: skip
    async def list_trials(
        request: Request,
        study: StudyName,
        where: Where = [],  # noqa: B006
        search: Text = "",
        sort: Order = "",
        offset: Annotated[int, Query(ge=0, le=10**9, description="Place of the first row.")] = 0,
        limit: Annotated[
            int | None,
            Query(ge=1, le=1_000_000, description="Most rows: 100 by default as JSON, all in other formats."),
        ] = None,
        format: Annotated[Literal["json", "csv", "arrow"], Query(description="What the answer is.")] = "json",
    ) -> Response:
        """The trials of all runs, a row for each trial of each run: filtered, in any order, page by page."""
        reading = await context.readings.reading(study)
        options = (tuple(where), search, sort, offset, limit, format)
        etag = answering.tag(study, reading.version, "trials", *options)
        if answering.matches(request, etag):
            return answering.unchanged(etag)

        def make() -> bytes:
            known = table_of(reading)
            matched = chosen(known, where, search, sort)
            if format != "json":
                return files.written(matched.slice(offset, limit), format)
            return encoded(pages.page(known, matched, offset, min(limit or 100, 10_000)))

        body = await threads.made(make)
        name = None if format == "json" else f"{study}-trials.{format}"
        return await answering.compressed(request, body, etag=etag, media=files.MEDIA[format], name=name)


def _trial(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/studies/{study}/trials/{trial}", summary="Read a trial", response_model=TrialAnswer,
        responses=unchanged() | errors(404),
    )  # fmt: skip
    async def read_trial(request: Request, study: StudyName, trial: TrialName) -> Response:
        """A trial: its configuration, its learning curve, the runs that asked for it, its failure."""
        reading = await context.readings.reading(study)

        def make() -> dict[str, Any]:
            kept = files.checkpoint(context.settings.store, study, trial)
            return one_trial(reading.standing, trial, kept)

        return await answering.answer(request, reading, "trial", make, trial, keep=False)

    @routes.get(
        "/studies/{study}/parallel", summary="Read parallel coordinates", response_model=ParallelAnswer,
        responses=unchanged() | errors(404, 422),
    )  # fmt: skip
    async def parallel(
        request: Request,
        study: StudyName,
        limit: Annotated[int, Query(ge=1, le=20_000, description="About the most lines.")] = 2000,
    ) -> Response:
        """A line for each trial with a value: its hyperparameters and its best value."""
        reading = await context.readings.reading(study)

        def make() -> dict[str, Any]:
            return pages.parallel(reading.standing, table_of(reading), limit)

        return await answering.answer(request, reading, "parallel", make, limit)


def _curves(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/studies/{study}/curves", summary="Read learning curves", response_model=CurvesAnswer,
        responses=unchanged() | errors(404, 422),
    )  # fmt: skip
    async def learning(
        request: Request,
        study: StudyName,
        trial: Annotated[
            list[Annotated[str, Query(max_length=200)]], Query(max_length=1000, description="Only of these trials.")
        ] = [],  # noqa: B006
        run: RunName = None,
        metric: Annotated[str | None, Query(max_length=200, description="Default: the study's.")] = None,
        limit: Annotated[int, Query(ge=1, le=5000, description="About the most curves.")] = 200,
    ) -> Response:
        """Learning curves, as far as the runs were charged for them, with rungs, pauses and promotions."""
        reading = await context.readings.reading(study)

        def make() -> dict[str, Any]:
            return curves(reading.standing, limit, trials=trial, run=run, metric=metric)

        options = (tuple(trial), run, metric, limit)
        return await answering.answer(request, reading, "curves", make, *options, keep=not trial)

    @routes.get(
        "/studies/{study}/anytime", summary="Read anytime curves", response_model=AnytimeAnswer,
        responses=unchanged() | errors(404, 409, 422),
    )  # fmt: skip
    async def anytime(
        request: Request,
        study: StudyName,
        over: Annotated[
            progress.Over, Query(description="What x counts; seconds: as if each run were alone.")
        ] = "epochs",
    ) -> Response:
        """The best value so far: the mean and the 95 percent interval of each method, and every run."""
        reading = await context.readings.reading(study)
        return await answering.answer(
            request, reading, "anytime", lambda: progress.anytime_curves(reading.data, over), over
        )


def _record(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/studies/{study}/ledger",
        summary="Read the ledger",
        response_model=LedgerAnswer,
        responses=unchanged() | errors(404),
    )
    async def ledger(request: Request, study: StudyName) -> Response:
        """What every run may spend and what it was charged, shared and wasted epochs apart."""
        reading = await context.readings.reading(study)
        return await answering.answer(request, reading, "ledger", lambda: runs.ledger(reading.standing))

    @routes.get(
        "/studies/{study}/failures", summary="List failures", response_model=FailuresAnswer,
        responses=unchanged() | errors(404),
    )  # fmt: skip
    async def failures(request: Request, study: StudyName) -> Response:
        """The failed trials by reason, the most frequent first."""
        reading = await context.readings.reading(study)
        return await answering.answer(request, reading, "failures", lambda: failing.failures(reading.data))

    @routes.get(
        "/studies/{study}/tables/{table}", summary="Download a table", response_class=Response,
        responses=FILES | unchanged() | errors(404, 422),
    )  # fmt: skip
    async def download(
        request: Request,
        study: StudyName,
        table: Annotated[Table, Path(description="The table.")],
        format: Annotated[files.Format, Query(description="arrow: an IPC stream.")] = "parquet",
    ) -> Response:
        """A table of the study as the store has it, every row once."""
        reading = await context.readings.reading(study)
        etag = answering.tag(study, reading.version, "table", table, format)
        if answering.matches(request, etag):
            return answering.unchanged(etag)
        found: pa.Table = getattr(reading.data, table)
        body = await reading.later(("file", table, format), lambda: files.written(found, format))  # once for all
        name = f"{study}-{table}.{format}"
        return await answering.compressed(request, body, etag=etag, media=files.MEDIA[format], name=name)


def table_of(reading: Reading) -> Trials:
    """Returns the trials table of a reading, made once. Blocks."""
    found: Trials = reading.once("trials", lambda: trials(reading.standing))
    return found
