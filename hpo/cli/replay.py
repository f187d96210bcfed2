"""`hpo replay`: a study over recorded curves."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.compare import print_found
from hpo.cli.options import StudyArgument, TableFormat, as_json, errors, load_study, out

if TYPE_CHECKING:
    from hpo.replay import Replay
    from hpo.replay.sweep import Sweep

WORKERS = 100_000


class BetweenAnswers(StrEnum):
    nearest = "nearest"
    surrogate = "surrogate"


class EpochTimes(StrEnum):
    declared = "declared"
    recorded = "recorded"


def replay(
    study: StudyArgument,
    curves: Annotated[
        str,
        typer.Option(
            metavar="FILE|STORE",
            help="A store, .npz, .csv, .parquet, an Optuna storage, or a Ray Tune experiment's folder.",
        ),
    ],
    task: Annotated[str | None, typer.Option(help="Which task or study of a source that records several.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=WORKERS, help="Virtual workers of each run.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Epochs of each run.")] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1")] = None,
    between: Annotated[
        BetweenAnswers, typer.Option(help="What answers for configurations that are not recorded.")
    ] = BetweenAnswers.nearest,
    times: Annotated[
        EpochTimes | None,
        typer.Option(help="What an epoch takes; a store's: as the trainable declares, another source's: as recorded."),
    ] = None,
    sweep: Annotated[
        list[str] | None, typer.Option(metavar="workers=1,4 budget=100,200", help="Replay at each.")
    ] = None,
    good: Annotated[
        float | None, typer.Option(help="A sweep tells when this value was reached; else the best recorded one.")
    ] = None,
    stragglers: Annotated[float, typer.Option(help="Sigma of the log-normal factor on epoch times.")] = 0.0,
    failures: Annotated[float, typer.Option(help="Probability that a trial fails.")] = 0.0,
    preemptions: Annotated[float, typer.Option(help="Probability that an epoch is trained in vain.")] = 0.0,
    weather_seed: Annotated[int, typer.Option(min=0, help="Of stragglers, failures and preemptions.")] = 0,
    picture: Annotated[Path | None, typer.Option(help="A sweep's picture: .svg, .png or .pdf.")] = None,
    format: Annotated[TableFormat, typer.Option()] = TableFormat.table,
) -> None:
    """Play a study over recorded curves: no cluster, no training."""
    from hpo.replay import Weather, best_recorded, from_store
    from hpo.replay import replay as play
    from hpo.replay import sweep as sweeps
    from hpo.replay.sources import CurvesError, knows, load
    from hpo.store.recover import prior_observations

    if picture is not None and picture.suffix not in (".svg", ".png", ".pdf"):
        raise CurvesError(f"--picture must end in .svg, .png or .pdf, but got {picture.name}")
    if sweep is None and (picture is not None or good is not None):
        raise CurvesError("--picture and --good belong to a sweep, but --sweep is not given")
    grid = sweeps.axes([part for text in sweep or () for part in text.split()])
    loaded = load_study(study, methods=methods, seeds=seeds)
    foreign = knows(curves)
    table = load(curves, loaded.space, loaded.metric, task, loaded.mode) if foreign else None
    data = None if foreign else from_store(curves, loaded)
    weather = Weather(stragglers, failures, preemptions, weather_seed)
    prior = prior_observations(loaded)

    def played(at_workers: int | None, at_budget: int | None) -> Replay:
        return play(
            loaded, table=table, data=data, workers=at_workers or workers, budget=at_budget or budget, weather=weather,
            prior=prior, between=between.value, times=None if times is None else times.value,
        )  # fmt: skip

    if sweep:
        known = best_recorded(loaded, table=table, data=data)
        found = sweeps.sweep(played, grid, known if good is None else good)
        _print_sweep(found, format, picture)
        answers = found.answers
    else:
        once = played(None, None)
        print_found(once.data, format.value)
        answers = once.answers
    errors.print(answers.sentence())


def _print_sweep(found: Sweep, format: TableFormat, picture: Path | None) -> None:
    from hpo.replay.sweep import rows
    from hpo.report.sweeps import picture as sweep_picture
    from hpo.report.sweeps import table as sweep_table
    from hpo.report.tables import render_tables

    if format is TableFormat.json:
        print(as_json(rows(found)))
    else:
        out(render_tables([sweep_table(found)], format.value), None)
    if picture is not None:
        sweep_picture(found, picture)
