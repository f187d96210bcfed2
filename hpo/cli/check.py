"""`hpo check`: validates a study and prints its plan; trains nothing."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from hpo.cli.lines import shown
from hpo.cli.options import StudyArgument, load_study
from hpo.game.runs import prices, schedule_of
from hpo.study.amounts import COST, EPOCHS
from hpo.study.study import Study

MOST = 10**15  # configurations: larger numbers tell a reader nothing more


def check(
    study: StudyArgument,
    address: Annotated[
        str | None,
        typer.Option(metavar="A", help="A running Ray cluster, auto or HOST:PORT: check that it can run the study."),
    ] = None,
) -> None:
    """Validate a study as `hpo run` does and print its plan, without training."""
    from hpo.live.validation import validate

    loaded = load_study(study)
    validate(loaded, elsewhere=address is not None)
    if address is not None:
        from hpo.live.session import check_cluster

        check_cluster(loaded, address)
    print(shown(plan_text(loaded), indent=12))


def plan_text(study: Study) -> str:
    """Describes what the study would run: runs, epochs, resources, grid. Raises StudyError if it cannot be played."""
    lines = [f"study       {study.study}", f"task        {_task(study)}", f"space       {_space(study)}"]
    runs = len(study.methods) * len(study.seeds)
    lines += [
        f"runs        {len(study.methods)} methods x {len(study.seeds)} seeds = {runs}",
        f"budget      {_budget(study, runs)}",
        f"clock       {study.clock}, {study.parallelism} virtual workers per run",
        f"resources   {study.resources}",
        f"metric      {study.metric}, {study.mode}",
        f"store       {study.store}",
        "methods",
    ]
    for method in study.methods:
        schedule = schedule_of(study, method, study.seeds[0])
        options = ", ".join(f"{name}={value}" for name, value in method.options.items()) or "-"
        workers = method.parallelism or study.parallelism
        lines.append(f"  {method.label:<20} R={schedule.max_epochs:<4} workers={workers:<4} options: {options}")
    return "\n".join([*lines, *_notes(study)])


def _budget(study: Study, runs: int) -> str:
    budget, unit = study.budget, study.budget.unit
    whole = f"{unit.shown(runs * budget.amount)} in all"
    if unit == EPOCHS:
        return f"{unit.words(budget.amount)} per run, at most {budget.max_epochs} per trial; {whole}"
    found = prices(study)
    price = " to ".join(dict.fromkeys(_rounded(COST.value(end)) for end in (found[0], found[-1])))
    about = f"an epoch costs {price}, {_rounded(COST.value(sum(found) // len(found)))} on average"
    return f"{unit.words(budget.amount)} per run, at most {budget.max_epochs} epochs per trial; {whole}; {about}"


def _rounded(cost: float) -> str:
    return f"{cost:.3g}"


def _task(study: Study) -> str:
    parts = [study.trainable, str(study.data.get("name", "")), str(study.model.get("name", ""))]
    return " ".join(part for part in parts if part)


def _space(study: Study) -> str:
    return f"{', '.join(study.space.names)}: {_counted(study.space.size)} configurations"


def _counted(number: float) -> str:
    if number == math.inf:  # isinf refuses whole numbers that are too large for a float
        return "infinitely many"
    return f"{number:g}" if number < MOST else f"more than {MOST:g}"


def _notes(study: Study) -> list[str]:
    grid = next((method for method in study.methods if method.name == "grid"), None)
    if grid is None:
        return []
    points = study.space.grid(grid.options.get("points", 5)).total
    if points > MOST:
        return [f"grid        more than {MOST:g} points: the budget covers the first few"]
    if study.budget.epochs is None:
        return [f"grid        {points} points x {study.budget.max_epochs} epochs"]
    needed, budget = points * study.budget.max_epochs, study.budget.epochs
    note = f"grid        {points} points x {study.budget.max_epochs} epochs = {needed} epochs"
    if needed > budget:
        return [f"{note}: the budget covers the first {budget // study.budget.max_epochs}"]
    return [note if needed == budget else f"{note}: {budget - needed} epochs of each grid run remain unused"]
