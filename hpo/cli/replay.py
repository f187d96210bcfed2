"""`hpo replay`: plays a study over recorded curves, once or at several numbers of workers and budgets."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.compare import print_found
from hpo.cli.options import (
    AllTablesOption,
    FormatOption,
    MethodsOption,
    SeedsOption,
    StudyArgument,
    TableFormat,
    as_json,
    check_picture,
    errors,
    load_study,
    out,
    writing,
)

if TYPE_CHECKING:
    from hpo.api.replaying import Recorded
    from hpo.replay.sweep import Sweep
    from hpo.study.study import Study

WORKERS = 100_000


class BetweenAnswers(StrEnum):
    nearest = "nearest"
    surrogate = "surrogate"


class EpochTimes(StrEnum):
    declared = "declared"
    recorded = "recorded"


CurvesOption = Annotated[
    str,
    typer.Option(
        metavar="FILE|STORE|NAME:PATH",
        help="Recorded curves: a store, a .npz, .csv or .parquet file, an Optuna storage, a Ray Tune folder, or a public "
        "benchmark (see `hpo benchmarks`).",
    ),
]
TaskOption = Annotated[str | None, typer.Option(help="The task or study to read, where the curves hold several.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, max=WORKERS, help="Virtual workers of each run (default: the study's).")
]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Budget of each run in what the study's counts (default: the study's).")
]
BetweenOption = Annotated[
    BetweenAnswers,
    typer.Option(help="Curve for an unrecorded configuration: the nearest recorded one, or a prediction."),
]
TimesOption = Annotated[
    EpochTimes | None,
    typer.Option(
        help="Time that an epoch takes: as the trainable declares (default for a store) or as recorded (default otherwise)."
    ),
]
SweepOption = Annotated[
    list[str] | None,
    typer.Option(metavar="workers=1,4 budget=100,200", help="Replay at every combination of these values."),
]
GoodOption = Annotated[float | None, typer.Option(help="Target value for a sweep (default: the best recorded).")]
StragglersOption = Annotated[float, typer.Option(help="Sigma of the log-normal factor on each trial's epoch time.")]
FailuresOption = Annotated[float, typer.Option(help="Probability that a trial fails.")]
PreemptionsOption = Annotated[float, typer.Option(help="Probability that a trained epoch is lost and trained again.")]
WeatherSeedOption = Annotated[int, typer.Option(min=0, help="Seed of stragglers, failures and preemptions.")]
PictureOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw the sweep into FILE (.svg, .png or .pdf).")
]


def replay(
    study: StudyArgument,
    curves: CurvesOption,
    task: TaskOption = None,
    workers: WorkersOption = None,
    budget: EpochsOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    between: BetweenOption = BetweenAnswers.nearest,
    times: TimesOption = None,
    sweep: SweepOption = None,
    good: GoodOption = None,
    stragglers: StragglersOption = 0.0,
    failures: FailuresOption = 0.0,
    preemptions: PreemptionsOption = 0.0,
    weather_seed: WeatherSeedOption = 0,
    picture: PictureOption = None,
    all_tables: AllTablesOption = False,
    format: FormatOption = TableFormat.table,
) -> None:
    """Play a study over recorded curves, without a cluster and without training."""
    from hpo.replay import Weather, game
    from hpo.replay import sweep as sweeps
    from hpo.store.recover import prior_observations

    axes = _axes(sweep, good, picture)
    loaded = load_study(study, methods=methods, seeds=seeds)
    found = _recorded(curves, loaded, task)
    play = partial(
        game.replay, loaded, table=found.table, data=found.data, prior=prior_observations(loaded), between=between.value,
        times=times.value if times else None, weather=Weather(stragglers, failures, preemptions, weather_seed),
    )  # fmt: skip
    if sweep:
        target = game.best_recorded(loaded, table=found.table, data=found.data) if good is None else good
        swept = sweeps.sweep(lambda w, b: play(workers=w or workers, budget=b or budget), axes, target)
        _print_sweep(swept, format, picture)
    else:
        played = play(workers=workers, budget=budget)
        print_found(played.data, format.value, all_tables=all_tables)
    errors.print((swept if sweep else played).answers.sentence())


def _axes(sweep: list[str] | None, good: float | None, picture: Path | None) -> dict[str, list[int]]:
    """Returns the axes of the sweep, none without one. Raises HpoError for options that cannot hold."""
    from hpo.replay.sources import CurvesError
    from hpo.replay.sweep import axes

    check_picture(picture)
    if sweep is None and (picture is not None or good is not None):
        raise CurvesError("--picture and --good belong to a sweep, but --sweep is not given")
    return axes([part for text in sweep or () for part in text.split()])


def _recorded(curves: str, study: Study, task: str | None) -> Recorded:
    """Reads the curves, and warns of what they lack."""
    from hpo.api.replaying import recorded

    found = recorded(curves, study, task)
    for warning in found.warnings:
        errors.print(f"warning: {warning}")
    return found


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
        with writing("--picture", picture):
            sweep_picture(found, picture)
