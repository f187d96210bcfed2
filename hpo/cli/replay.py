"""`hpo replay`: plays a study over recorded curves, once or at several numbers of workers and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.compare import print_comparison, print_found, print_tasks
from hpo.cli.options import (
    AllTablesOption,
    FormatOption,
    MethodsOption,
    SeedsOption,
    StudyArgument,
    TableFormat,
    as_json,
    check_picture,
    command_line,
    errors,
    out,
    seed_numbers,
    words,
    writing,
)
from hpo.errors import HpoError
from hpo.storage.place import is_sealed

if TYPE_CHECKING:
    from hpo.api.replaying import Playing
    from hpo.replay.sweep import Sweep
    from hpo.study.study import Study
    from hpo.study.suite import Suite

WORKERS = 100_000


class BetweenAnswers(StrEnum):
    nearest = "nearest"
    surrogate = "surrogate"


class Space(StrEnum):
    from_table = "from-table"


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
TaskOption = Annotated[
    str | None, typer.Option(metavar="T", help="The task or study to read, where the curves hold several.")
]
TasksOption = Annotated[
    str | None,
    typer.Option(metavar="A,B|all", help="Tasks of a suite, or of the curves, that the study is played for: a suite."),
]
IntoOption = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URI", help="Write the results there as of a live study; what it holds is not played again."
    ),
]
SpaceOption = Annotated[
    Space | None, typer.Option(help="Take the recorded configurations as candidates, instead of the study's space.")
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Processes that play side by side (default: one for each processor)."),
]
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
    tasks: TasksOption = None,
    store: IntoOption = None,
    space: SpaceOption = None,
    workers: WorkersOption = None,
    budget: EpochsOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    between: BetweenOption = BetweenAnswers.nearest,
    times: TimesOption = None,
    processes: ProcessesOption = None,
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
    """Play a study, or a suite of tasks, over recorded curves, without a cluster and without training."""
    from hpo.replay import Weather

    axes = _axes(sweep, good, picture, task, tasks, store)
    loaded = _loaded(
        study, curves, task=task, tasks=words(tasks), apart=store is not None, space=space.value if space else None,
        methods=words(methods), seeds=seed_numbers(seeds), **({} if sweep else {"epochs": budget, "parallelism": workers}),
    )  # fmt: skip
    playing = _playing(
        loaded, curves, task, between=between.value, times=times.value if times else None,
        weather=Weather(stragglers, failures, preemptions, weather_seed),
    )  # fmt: skip
    if sweep:
        _sweep(playing, axes, good, {"workers": workers, "budget": budget}, format, picture)
    else:
        (_shown if store is None else partial(_into, store))(playing, processes, format, all_tables)


def _playing(loaded: Study | Suite[Study], curves: str, task: str | None, **how: Any) -> Playing:
    """Reads the curves of each study, and warns of what they lack."""
    from hpo.api.replaying import Playing, recorded

    playing = Playing.of(loaded, lambda one, own: recorded(curves, one, own), task=task, **how)
    for warning in playing.warnings:
        errors.print(f"warning: {warning}")
    return playing


def _loaded(source: str, curves: str, **wanted: Any) -> Study | Suite[Study]:
    """Loads the study or the suite that the curves are to answer; the options replace what it says."""
    from hpo.api.replaying import to_replay
    from hpo.study.study import Study

    if not is_sealed(source):
        return to_replay(source, curves, kind=Study, **wanted)
    from hpo.bundle import studies_in

    if wanted["space"]:
        raise HpoError(f"{source} is a bundle with its own space; leave --space out")
    return studies_in(source, **{name: wanted[name] for name in wanted.keys() - {"task", "apart", "space"}})


def _into(store: str, playing: Playing, processes: int | None, format: TableFormat, all_tables: bool) -> None:
    """Plays into a store, tells of each game when it is over, and compares what the store holds then."""
    from hpo.api.replaying import record_games
    from hpo.live.stopping import stoppable

    with stoppable(command_line()):
        record_games(playing, store, _side_by_side(processes), command_line(), errors.print)
    names = [game.study.study for game in playing.games]
    if len(names) > 1:
        print_tasks(store, names, format.value, all_tables=all_tables)
    else:
        print_comparison(store, names[0], format.value, all_tables=all_tables)
    errors.print(f"store: {store}")


def _shown(playing: Playing, processes: int | None, format: TableFormat, all_tables: bool) -> None:
    """Plays, and prints the comparison of what nothing stores."""
    from hpo.replay.players import whole

    data, answers = whole(playing.games, _side_by_side(processes))
    print_found(data, format.value, all_tables=all_tables)
    errors.print(answers.sentence())


def _side_by_side(processes: int | None) -> int:
    from hpo.replay.players import processors

    return processes or processors()


def _sweep(
    playing: Playing, axes: Mapping[str, Sequence[int]], good: float | None, given: Mapping[str, int | None],
    format: TableFormat, picture: Path | None,
) -> None:  # fmt: skip
    """Plays one study at each number of workers and budget; `given`: those of a replay that the axes leave as they are."""
    from hpo.replay import game as games
    from hpo.replay import sweep as sweeps

    game, *others = playing.games
    if others:
        raise HpoError("--sweep plays one study, but this is a suite; choose a task with --task")

    def play(workers: int | None, budget: int | None) -> games.Replay:
        study = games.sized(game.study, workers or given["workers"], budget or given["budget"])
        return replace(game, study=study).play()

    target = games.best_recorded(game.study, table=game.table, data=game.data) if good is None else good
    found = sweeps.sweep(play, axes, target)
    _print_sweep(found, format, picture)
    errors.print(found.answers.sentence())


def _axes(
    sweep: list[str] | None,
    good: float | None,
    picture: Path | None,
    task: str | None,
    tasks: str | None,
    store: str | None,
) -> dict[str, list[int]]:
    """Returns the axes of the sweep, none without one. Raises HpoError for options that cannot hold, or exclude each other."""
    from hpo.replay.sources import CurvesError
    from hpo.replay.sweep import axes

    check_picture(picture)
    if task is not None and tasks is not None:
        raise HpoError("--task reads one task, but --tasks names tasks too; give one of them")
    if sweep and (tasks is not None or store is not None):
        raise HpoError("--sweep plays one study many times and stores nothing; leave --tasks and --store out")
    if sweep is None and (picture is not None or good is not None):
        raise CurvesError("--picture and --good belong to a sweep, but --sweep is not given")
    return axes([part for text in sweep or () for part in text.split()])


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
