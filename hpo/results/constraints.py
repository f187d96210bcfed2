"""Constraints such as `val_latency <= 20`: which trained configurations are feasible, and a study with only these. Pure.

A configuration is feasible after an epoch at which every constrained metric is known and within its bound.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hpo.errors import HpoError
from hpo.results.measured import measured
from hpo.results.standing import current, derived
from hpo.results.values import Comparison
from hpo.store import columns as stored
from hpo.text import shown

if TYPE_CHECKING:
    from hpo.store import StudyData

_FORM = re.compile(r"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*([^\s<>=]+)\s*")
_WITHIN: dict[str, Callable[[Any, float], Any]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


class BadConstraint(HpoError):
    """A constraint that cannot be read."""


@dataclass(frozen=True)
class Feasibility:
    """What constraints leave of a run: how many of its trials have a value, and which of these no epoch made feasible."""

    study: str
    method: str
    seed: int
    trials: int
    infeasible: tuple[str, ...]


@dataclass(frozen=True)
class Constraint:
    """A bound on a measure: `name` `sign` `bound`."""

    name: str
    sign: str  # <=, <, >=, >
    bound: float

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.bound:g}"

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Reads NAME<=NUMBER or the like. Raises BadConstraint."""
        form = _FORM.fullmatch(text)
        try:
            bound = float(form[3]) if form else math.nan
        except ValueError:
            bound = math.nan
        if form is None or not math.isfinite(bound):
            raise BadConstraint(
                "a constraint must be a metric, one of <= < >= >, and a number, such as 'val_latency<=20', but got "
                f"{shown(text)}"
            )
        return cls(form[1], form[2], bound)

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tells for each value whether it is within the bound; an unknown one (NaN) is not."""
        return np.asarray(_WITHIN[self.sign](values, self.bound))


def feasible(data: StudyData, constraints: Sequence[Constraint]) -> NDArray[np.bool_]:
    """Tells of each charged epoch whether its configuration was feasible after it [charges]. Raises UnknownMeasure."""
    found = np.ones(data.charges.num_rows, dtype=bool)
    for constraint in constraints:
        found &= constraint.holds(measured(data, constraint.name))
    return found


def constrained(data: StudyData, constraints: Sequence[Constraint]) -> StudyData:
    """Returns the study as if configurations had no value while they are infeasible; charges and orders stay.

    Incumbents and the trials' best values are derived anew: a run without a feasible configuration has none.
    """
    if not constraints:
        return data
    value = np.where(feasible(data, constraints), stored.numbers(data.charges, "value"), np.nan)
    place = data.charges.schema.get_field_index("value")
    charges = data.charges.set_column(place, "value", pa.array(value, from_pandas=True))
    return derived(replace(current(data), charges=charges))


def told(
    comparison: Comparison, before: Sequence[StudyData], after: Sequence[StudyData], constraints: Sequence[Constraint]
) -> Comparison:
    """Returns the comparison of constrained studies with what the constraints have left out.

    `before` and `after`: the studies without and with the constraints; `comparison`: of the latter.
    """
    if not constraints:
        return comparison
    rows = [row for old, new in zip(before, after, strict=True) for row in _feasibility(old, new)]
    texts = tuple(map(str, constraints))
    said, trials = " and ".join(texts), sum(row.trials for row in rows)
    infeasible = sum(len(row.infeasible) for row in rows)
    note = (
        f"Only configurations with {said} count: {infeasible:,} of {trials:,} trained trials are infeasible. A run without a "
        "feasible configuration has no result."
    )
    none = trials and infeasible == trials and not comparison.failure
    failure = f"no trained configuration satisfies {said}" if none else comparison.failure
    return replace(
        comparison, constraints=texts, feasibility=tuple(rows), notes=(note, *comparison.notes), failure=failure
    )


def _feasibility(before: StudyData, after: StudyData) -> list[Feasibility]:
    """Returns one row a run with a trained trial."""
    had = _valued(before)
    has = _valued(after)
    return [
        Feasibility(
            before.name, method, seed, len(trials), tuple(t for t in trials if t not in has.get((method, seed), ()))
        )
        for (method, seed), trials in had.items()
    ]


def _valued(data: StudyData) -> dict[tuple[str, int], dict[str, None]]:
    """Returns the trials with a value, by run (method, seed), in the order of their numbers."""
    charges = data.charges.filter(pa.array(np.isfinite(stored.numbers(data.charges, "value"))))
    rows = charges.group_by(["method", "seed", "trial"]).aggregate([("number", "min")]).sort_by("number_min")
    found: dict[tuple[str, int], dict[str, None]] = {}
    for row in rows.to_pylist():
        found.setdefault((row["method"], row["seed"]), {})[row["trial"]] = None
    return found
