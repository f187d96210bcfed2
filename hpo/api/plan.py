"""A study's check and its plan: what it would run, without running it. Reads what `validate` reads; writes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError
from hpo.errors import HpoError
from hpo.game.runs import prices, schedule_of
from hpo.study.amounts import COST, EPOCHS
from hpo.study.study import Study

if TYPE_CHECKING:
    from hpo.study.suite import Suite

MOST = 10**15  # configurations: larger numbers tell a reader nothing more
WIDTH = 12  # of a row's name


@dataclass(frozen=True)
class Plan:
    """What a study would run: `rows` of (name, text), and the `methods`, each with its options."""

    study: str
    rows: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    note: str = ""

    @classmethod
    def of(cls, study: Study) -> Plan:
        """Returns the plan. Raises HpoError for a study that cannot be played."""
        runs = len(study.methods) * len(study.seeds)
        rows = (
            ("study", study.study),
            ("task", _task(study)),
            ("space", f"{', '.join(study.space.names)}: {_counted(study.space.size)} configurations"),
            ("runs", f"{len(study.methods)} methods x {len(study.seeds)} seeds = {runs}"),
            ("budget", _budget(study, runs)),
            ("clock", _clock(study)),
            ("resources", str(study.resources)),
            ("metric", f"{study.metric}, {study.mode}"),
            ("store", study.store),
        )
        return cls(study.study, rows, tuple(_methods(study)), _grid(study))

    def __str__(self) -> str:
        lines = [f"{name:<{WIDTH}}{text}" for name, text in self.rows]
        note = [f"{'grid':<{WIDTH}}{self.note}"] if self.note else []
        return "\n".join([*lines, "methods", *(f"  {line}" for line in self.methods), *note])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from hpo.api.html import box, definitions

        rows = [*self.rows[1:], *(("method" if i == 0 else "", line) for i, line in enumerate(self.methods))]
        return box(definitions([*rows, *([("grid", self.note)] if self.note else [])]), title=self.study)


@dataclass(frozen=True)
class SuitePlan:
    """What a suite would run: the plan of each task's study, and what they have in common."""

    suite: str
    plans: Mapping[str, Plan]

    @classmethod
    def of(cls, suite: Suite[Any], plans: Sequence[Plan]) -> SuitePlan:
        """Returns the plan of a suite, whose studies have these plans."""
        return cls(suite.name, dict(zip(suite.tasks, plans, strict=True)))

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Rows of (name, text): one for all tasks where their plans agree, else one for each task."""
        found = [("suite", self.suite), ("tasks", f"{len(self.plans)}: {', '.join(self.plans)}")]
        columns = [dict(plan.rows[1:]) | {"grid": plan.note} for plan in self.plans.values()]
        for name in columns[0]:
            texts = {task: column[name] for task, column in zip(self.plans, columns, strict=True)}
            if len(set(texts.values())) > 1:
                found += [(name if i == 0 else "", f"{task}: {text}") for i, (task, text) in enumerate(texts.items())]
            elif text := texts[next(iter(texts))]:
                found.append((name, text))
        return found

    @property
    def methods(self) -> list[str]:
        """The methods with their options; for each task where they differ, because budgets do."""
        of_tasks = {task: plan.methods for task, plan in self.plans.items()}
        if len(set(of_tasks.values())) == 1:
            return list(next(iter(of_tasks.values())))
        return [f"{task}: {line}" for task, lines in of_tasks.items() for line in lines]

    def __str__(self) -> str:
        lines = [f"{name:<{WIDTH}}{text}" for name, text in self.rows]
        return "\n".join([*lines, "methods", *(f"  {line}" for line in self.methods)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from hpo.api.html import box, definitions

        methods = [("method" if i == 0 else "", line) for i, line in enumerate(self.methods)]
        return box(definitions([*self.rows[1:], *methods]), title=self.suite)


def checked(study: Study, address: str | None = None) -> Plan:
    """Validates a study as a run does, and returns its plan. Raises HpoError; with an `address`, for that cluster too."""
    from hpo.live.validation import validate

    validate(study, elsewhere=address is not None)
    if address is not None:
        from hpo.live.session import check_cluster

        try:
            check_cluster(study, address)
        except ClusterError as error:
            raise HpoError(str(error)) from error
    return Plan.of(study)


def _methods(study: Study) -> list[str]:
    lines = []
    for method in study.methods:
        schedule = schedule_of(study, method, study.seeds[0])
        options = ", ".join(f"{name}={value}" for name, value in method.options.items()) or "-"
        workers = method.parallelism or study.parallelism
        lines.append(f"{method.label:<20} R={schedule.max_epochs:<4} workers={workers:<4} options: {options}")
    return lines


def _budget(study: Study, runs: int) -> str:
    budget, unit = study.budget, study.budget.unit
    whole = f"{unit.shown(runs * budget.amount)} in all"
    if unit == EPOCHS:
        return f"{unit.words(budget.amount)} per run, at most {budget.max_epochs} per trial; {whole}"
    return (
        f"{unit.words(budget.amount)} per run, at most {budget.max_epochs} epochs per trial; {whole}; {_costs(study)}"
    )


def _clock(study: Study) -> str:
    told = f"{study.clock}, {study.parallelism} virtual workers per run"
    return f"{told}; {_costs(study)}" if study.clock == "cost" and study.budget.unit == EPOCHS else told


def _costs(study: Study) -> str:
    """Tells what epochs of the space's configurations cost."""
    found = prices(study)
    price = " to ".join(dict.fromkeys(_rounded(COST.value(end)) for end in (found[0], found[-1])))
    return f"an epoch costs {price}, {_rounded(COST.value(sum(found) // len(found)))} on average"


def _rounded(cost: float) -> str:
    return f"{cost:.3g}"


def _task(study: Study) -> str:
    parts = [study.trainable, str(study.data.get("name", "")), str(study.model.get("name", ""))]
    return " ".join(part for part in parts if part)


def _counted(number: float) -> str:
    if number == math.inf:  # isinf refuses whole numbers that are too large for a float
        return "infinitely many"
    return f"{number:g}" if number < MOST else f"more than {MOST:g}"


def _grid(study: Study) -> str:
    grid = next((method for method in study.methods if method.name == "grid"), None)
    if grid is None:
        return ""
    points = study.space.grid(grid.options.get("points", 5)).total
    if points > MOST:
        return f"more than {MOST:g} points: the budget covers the first few"
    if study.budget.epochs is None:
        return f"{points} points x {study.budget.max_epochs} epochs"
    needed, budget = points * study.budget.max_epochs, study.budget.epochs
    note = f"{points} points x {study.budget.max_epochs} epochs = {needed} epochs"
    if needed > budget:
        return f"{note}: the budget covers the first {budget // study.budget.max_epochs}"
    return note if needed == budget else f"{note}: {budget - needed} epochs of each grid run remain unused"
