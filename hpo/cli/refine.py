"""`hpo refine`: trains the winner of a stored study beside its one-at-a-time neighbours (paper 003)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from hpo.cli.options import (
    PlainOption,
    QuietOption,
    RayAddressOption,
    RunFormat,
    RunFormatOption,
    SlotsOption,
    StoreArgument,
    StudyOption,
    as_json,
    command_line,
    errors,
    out,
    seed_numbers,
)
from hpo.errors import StudyError, StudyFailed
from hpo.study.messages import explain, first
from hpo.study.study import Study

if TYPE_CHECKING:
    from hpo.results.importance import Importance
    from hpo.results.refinement import RefinePlan
    from hpo.store import StudyData

LABEL = "refine"

TrainingSeedsOption = Annotated[
    str, typer.Option(metavar="0,1", help="Training seeds; values are compared in pairs of equal seeds.")
]
FoldsOption = Annotated[
    int | None, typer.Option(min=2, help="Validate each training by this many folds (default: the study's).")
]
CurvesOption = Annotated[
    str | None,
    typer.Option(metavar="FILE|STORE", help="The recorded curves that answer, where the study was replayed over them."),
]
TaskOption = Annotated[str | None, typer.Option(metavar="T", help="The task to read, where the curves hold several.")]


def refine(
    store: StoreArgument,
    study: StudyOption = None,
    method: Annotated[
        str | None, typer.Option(metavar="M", help="Refine the winner of this method (default: the best of all).")
    ] = None,
    points: Annotated[int, typer.Option(min=1, help="How many other values of a range to try.")] = 5,
    seeds: TrainingSeedsOption = "0,1,2,3,4,5,6,7",
    folds: FoldsOption = None,
    curves: CurvesOption = None,
    task: TaskOption = None,
    folder: Annotated[Path, typer.Option(help="Folder where relative paths of the study start.")] = Path(),
    address: RayAddressOption = None,
    workers: SlotsOption = None,
    quiet: QuietOption = False,
    plain: PlainOption = False,
    format: RunFormatOption = RunFormat.table,
) -> None:
    """Change a winner's most and least important hyperparameters one at a time, and test whether any gain is real."""
    from hpo.report.refinement_tables import render_refinement
    from hpo.results import refinement
    from hpo.results.importance import importance
    from hpo.store import failures, read

    data = read(store, study)
    found = importance(data, pairs=False, seed=0)
    plan = refinement.plan(data, found, method=method, points=points)
    if doubts := doubt(found, plan):
        errors.print(doubts)
    refined = refining_study(data, plan, store, seeds=seed_numbers(seeds) or [], folds=folds, folder=folder)
    check_origin(data, curves)
    if curves is not None:
        replay_refined(refined, data, curves, task)
    else:
        train_refined(refined, address=address, workers=workers, quiet=quiet, plain=plain)
    trained = read(store, refined.study)
    if failure := failures.without_result(trained):
        raise StudyFailed(failure)
    result = refinement.from_study(trained, plan.config)
    out(render_refinement(result) if format is RunFormat.table else as_json(result.to_json()), None)


def refining_study(
    data: StudyData, plan: RefinePlan, uri: str, *, seeds: Sequence[int], folds: int | None, folder: Path
) -> Study:
    """Returns the study that trains the plan: the same task and space, in the same store, as NAME-refine.

    `folder`: where relative paths of the study start. Raises StudyError if the seeds or folds are invalid.
    """
    try:
        return Study.model_validate({**_values(data, plan, seeds, folds, uri), "folder": folder})
    except ValidationError as error:
        raise StudyError(explain(first(error), Study.model_fields, "")) from None


def check_origin(data: StudyData, curves: str | None) -> None:
    """Raises StudyError unless a replayed study is refined over recorded curves, and a trained one by training."""
    from hpo.store.agreement import REPLAY

    replay = data.environment.get(REPLAY)
    if replay and curves is None:
        raise StudyError(
            f"{data.name} was replayed over {replay['curves']}, so that its winner must be refined over recorded curves; "
            "name them with --curves"
        )
    if curves is not None and not replay:
        raise StudyError(f"{data.name} was trained, and its winner's neighbours must be too; leave --curves out")


def train_refined(refined: Study, **how: Any) -> None:
    """Trains the refinement on a cluster, into its store."""
    from hpo.live.session import play

    play([refined], command=command_line(), **how)


def replay_refined(refined: Study, data: StudyData, curves: str, task: str | None) -> None:
    """Plays the refinement into its store, over curves that answer as those of the replayed study did."""
    from hpo.api.replaying import Playing, record_games, recorded
    from hpo.replay import Weather
    from hpo.store.agreement import REPLAY

    how = data.environment[REPLAY]
    playing = Playing.of(
        refined, lambda study, own: recorded(curves, study, own), between=how["between"], times=how["times"],
        weather=Weather(**how.get("weather", {})), task=task,
    )  # fmt: skip
    record_games(playing, refined.store, 1, command_line(), errors.print)


def doubt(found: Importance, plan: RefinePlan) -> str:
    """Warns if the choice of hyperparameters is a guess; returns an empty text if it is not."""
    if found.decided:
        return ""
    return (
        f"note: the trials of {found.study} do not tell which hyperparameters matter most and least (the surrogate "
        f"explains {100 * max(0.0, found.fit):.0f} % of the variance of unseen trials): {plan.most} and {plan.least} "
        "are a guess"
    )


def _values(data: StudyData, plan: RefinePlan, seeds: Sequence[int], folds: int | None, uri: str) -> Mapping[str, Any]:
    """Returns the refinement as a study file; its start configurations are all that it trains."""
    known = dict(data.definition)
    configs = [dict(config) for config in plan.configs]
    longest = known["budget"]["max_epochs"]
    section = {**known.get("data", {}), **({"folds": folds} if folds else {})}
    charge = int(section.get("folds") or 1)
    name = "-".join([data.name, LABEL, *([plan.method] if plan.method else []), *([f"k{folds}"] if folds else [])])
    return {
        **known,
        "study": name,
        "data": section,
        "budget": {"epochs": len(configs) * longest * charge, "max_epochs": longest},
        "methods": [{"random": {"label": LABEL}}],
        "seeds": list(seeds),
        "start": configs,
        "clock": "virtual",
        "store": uri,
        "final": {"retrain": "none"},
        "prior": None,
        "suite": None,
    }
