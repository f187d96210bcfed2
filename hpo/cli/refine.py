"""`hpo refine`: the winner of a stored study and its one-at-a-time neighbours, trained beside each other (paper 003)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.options import RunFormat, StoreArgument, StudyOption, as_json, command_line, seed_numbers
from hpo.study.study import Study

if TYPE_CHECKING:
    from hpo.results.importance import Importance
    from hpo.results.refinement import Refinement, RefinePlan
    from hpo.store import StudyData

LABEL = "refine"


def refine(
    store: StoreArgument,
    study: StudyOption = None,
    method: Annotated[
        str | None, typer.Option(metavar="M", help="Refine this method's winner; else the best one.")
    ] = None,
    points: Annotated[int, typer.Option(min=1, help="Other values of a range to try.")] = 5,
    seeds: Annotated[
        str, typer.Option(metavar="0,1", help="Training seeds; pairs are made by seed.")
    ] = "0,1,2,3,4,5,6,7",
    folds: Annotated[int | None, typer.Option(min=2, help="Validate each training on so many folds.")] = None,
    folder: Annotated[Path, typer.Option(help="Where relative paths of the study start.")] = Path(),
    address: Annotated[str | None, typer.Option(metavar="A")] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N")] = None,
    quiet: Annotated[bool, typer.Option("--quiet")] = False,
    format: Annotated[RunFormat, typer.Option()] = RunFormat.table,
) -> None:
    """Vary the most and the least important hyperparameter of a winner, one at a time; say whether a gain is real."""
    found = play(
        store, study, method=method, points=points, seeds=seed_numbers(seeds) or [], folds=folds, folder=folder,
        address=address, workers=workers, quiet=quiet, command=command_line(),
    )  # fmt: skip
    print(text(found) if format is RunFormat.table else as_json(found.to_json()))


def play(
    uri: str,
    name: str | None,
    *,
    method: str | None,
    points: int,
    seeds: Sequence[int],
    folds: int | None,
    folder: Path,
    address: str | None,
    workers: int | None,
    quiet: bool,
    command: str,
) -> Refinement:
    """Trains the plan as a study of its own in the same store, NAME-refine, and says whether a gain is real.

    `folder`: where relative paths of the study start. Raises what reading, planning and running raise.
    """
    from hpo import store as stores
    from hpo.live.session import play as play_study
    from hpo.results.importance import importance
    from hpo.results.refinement import from_study
    from hpo.results.refinement import plan as plan_of

    data = stores.read(uri, name)
    found = importance(data, pairs=False, seed=0)
    plan = plan_of(data, found, method=method, points=points)
    if doubts := doubt(found, plan):
        print(doubts, file=sys.stderr)
    study = Study.model_validate({**_values(data, plan, seeds, folds, uri), "folder": folder})
    play_study(study, address=address, workers=workers, quiet=quiet, command=command)
    return from_study(stores.read(uri, study.study), plan.config)


def doubt(found: Importance, plan: RefinePlan) -> str:
    """What to know where the hyperparameters that are changed were a guess; empty where they were not."""
    if found.decided:
        return ""
    return (
        f"note: the trials of {found.study} do not tell which hyperparameters matter most and least (the surrogate explains "
        f"{100 * max(0.0, found.fit):.0f} % of the variance of unseen ones): {plan.most} and {plan.least} are a guess"
    )


def _values(data: StudyData, plan: RefinePlan, seeds: Sequence[int], folds: int | None, uri: str) -> Mapping[str, Any]:
    """The study file of the refinement: the same task and space; its start configurations are all there is to train."""
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
    }


def text(found: Refinement) -> str:
    """The refinement as a plain table under its verdict."""
    rows = [("change", "from", f"mean {found.metric}", "gain", "95 % interval", "pairs", "p adjusted", "verdict")]
    for change in found.changes:
        low, high = change.ci95 if change.ci95 else (None, None)
        interval = "-" if low is None or high is None else f"{low:.4f} to {high:.4f}"
        before = str(found.config.get(change.name, "-"))
        rows.append(
            (f"{change.name}={change.value}", before, f"{change.mean:.4f}", f"{change.gain:+.4f}", interval,
             str(change.pairs), f"{change.p_adjusted:.3f}", change.verdict)
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([found.verdict, "", f"winner: {dict(found.config)}, mean {found.mean:.4f}", *lines])
