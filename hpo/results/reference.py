"""The reference line "random x2": random search with twice the budget, joined from the runs that a study has. Pure; arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.results import anytime
from hpo.results.anytime import Corners, Vector
from hpo.results.statistics import ranks

if TYPE_CHECKING:
    from hpo.results.values import RunSummary
    from hpo.store import StudyData

RANDOM = "random"


@dataclass(frozen=True)
class Reference:
    """Random search with twice the budget, the baseline of Li et al. 2018. No rank, test or verdict takes it into account.

    Two runs of random search with different seeds share no trial, so that together they are one run with twice the
    budget, whose result is the better of theirs. Every figure is a mean over all pairs of the seeds of a task, and over
    several tasks the mean of theirs; such pairs share runs, so that no interval is given.

    `method`: the label of the runs; `runs` and `pairs`: how many there are. `mean`: of the pairs' validation values;
    `test_mean`: of their winners' exams, None unless every winner has one. `task_means`: validation by task. `anytime`: by
    task, the mean of the pairs' best values so far; at x each of the two runs was charged x epochs, so together 2x.
    """

    name: str
    method: str
    runs: int
    pairs: int
    mean: float
    test_mean: float | None
    task_means: Mapping[str, float]
    anytime: Mapping[str, Corners]

    @property
    def how(self) -> str:
        """How the line is computed, in two sentences."""
        pairs = "the one pair" if self.pairs == 1 else f"all {self.pairs:,} pairs"
        return (
            f"{self.name} is a reference, not a method: random search with twice the budget, which is the better of two "
            f"runs of {self.method}, as a mean over {pairs} of seeds. It takes no part in ranks, tests and verdict."
        )


def random_twice(
    studies: Sequence[StudyData], runs: Sequence[RunSummary], mode: str, test_metric: str
) -> Reference | None:
    """Returns the reference of studies with these runs; None if no task has two complete runs of random search."""
    label = _label([data.definition for data in studies])
    by_task: dict[str, list[RunSummary]] = {}
    for run in runs:
        if run.method == label and run.complete:
            by_task.setdefault(run.study, []).append(run)
    sign = 1.0 if mode == "max" else -1.0
    found = {task: mine for task, mine in by_task.items() if len(mine) > 1 and any(run.anytime for run in mine)}
    if label is None or not found:
        return None
    wins = {task: best_of_two(sign * _values(mine)) for task, mine in found.items()}
    means = {task: _weighted(wins[task], _values(mine)) for task, mine in found.items()}
    tests = [_weighted(wins[task], np.array([r.test(test_metric) for r in mine])) for task, mine in found.items()]
    test = float(np.mean(tests))
    return Reference(
        name=f"{label} x2",
        method=label,
        runs=sum(map(len, found.values())),
        pairs=sum(math.comb(len(mine), 2) for mine in found.values()),
        mean=float(np.mean(list(means.values()))),
        test_mean=None if math.isnan(test) else test,
        task_means=means,
        anytime={task: _curve([run.anytime for run in mine], sign) for task, mine in found.items()},
    )


def _label(definitions: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the label under which the studies run random search: `random` itself if several do."""
    methods = [method for definition in definitions for method in definition.get("methods", ())]
    labels = [str(m["label"]) for m in methods if m.get("name", m["label"]) == RANDOM]
    return RANDOM if RANDOM in labels else next(iter(labels), None)


def best_of_two(values: Vector) -> Vector:
    """Returns the share of all pairs of rows in which each row has the larger value: values [n, ...] -> shares [n, ...].

    Equal rows share their pair. A row without a value (NaN) loses to any other; pairs without a value do not count. The
    mean of the pairs' larger values, sum(shares * values), is the unbiased estimate of the expected best of two runs
    (Tang et al. 2020, "Showing Your Work Doesn't Always Work", with n = 2).

    >>> best_of_two(np.array([0.3, 0.1, 0.2])) * 3      # of three pairs, 0.3 wins two and 0.2 wins one
    array([2., 0., 1.])
    """
    known = np.isfinite(values)
    below = ranks(np.where(known, values, -np.inf), axis=0) - 1  # a tie counts half
    wins = np.where(known, below, 0.0)
    total = wins.sum(axis=0)
    return np.asarray(wins / np.where(total > 0, total, 1.0))


def _values(runs: Sequence[RunSummary]) -> Vector:
    return np.array([run.value for run in runs])


def _weighted(weights: Vector, values: Vector) -> float:
    """Returns the weighted sum; NaN only if a value that has a weight is NaN."""
    return float(np.where(weights > 0, weights * values, 0.0).sum())


def _curve(curves: Sequence[Corners], sign: float) -> Corners:
    """Returns the mean of the pairs' best values so far, from where every run that has a value has one."""
    known = [curve for curve in curves if curve]
    first = max(curve[0][0] for curve in known)
    x = np.unique([place for curve in known for place, _ in curve if place >= first])
    values = np.array([anytime.at(curve, x) for curve in curves])
    shares = best_of_two(sign * values)
    mean = np.where(shares > 0, shares * values, 0.0).sum(axis=0)
    return tuple(zip(x.tolist(), mean.tolist(), strict=True))
