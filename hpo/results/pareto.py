"""Two objectives of every run: Pareto fronts and their hypervolume, from the stored epochs. Pure; reads StudyData only.

Reporting, not optimization: the methods have seen the study's metric alone. Every epoch that a run was charged for is a
candidate: a configuration trained so far. Values are oriented here so that larger is better in both objectives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.errors import HpoError
from hpo.results.anytime import Vector
from hpo.results.measured import measured
from hpo.results.statistics import mean_interval
from hpo.store import columns as stored
from hpo.study.modes import mode_of
from hpo.text import shown

if TYPE_CHECKING:
    from hpo.results.values import Interval
    from hpo.store import StudyData

Pair = tuple[float, float]
Mode = Literal["min", "max"]
Rows = NDArray[np.int64]
NO_ROWS: Rows = np.empty(0, dtype=np.int64)
OUTWARD = 0.1  # of the fronts' range: how far beyond their worst values the reference point lies
RATES = frozenset({"per", "throughput", "fps", "speed"})
COSTS = frozenset({
    "latency", "seconds", "time", "ms", "parameters", "params", "memory", "bytes", "mb", "flops", "macs", "size", "cost",
    "energy", "epoch", "epochs",
})  # fmt: skip


class BadObjectives(HpoError):
    """Objectives or a reference point that cannot be read."""


@dataclass(frozen=True)
class Objective:
    """A measure that is better when it is larger (max) or smaller (min)."""

    name: str
    mode: Mode

    @property
    def sign(self) -> float:
        return 1.0 if self.mode == "max" else -1.0


@dataclass(frozen=True)
class Candidate:
    """A configuration trained for some epochs by a run, and its two values with their own signs."""

    method: str
    seed: int
    trial: str
    epoch: int
    values: Pair


@dataclass(frozen=True)
class MethodFront:
    """A method over its complete runs.

    `hypervolume`: mean area that a run's front dominates, up to the reference point, in the objectives' units; `share`:
    the same as a share of the box between the reference and the ideal point, 0 to 1, with the 95 percent interval of its
    mean. `front`: what no other candidate of the method dominates; `contributes`: how many of these no method dominates.
    """

    method: str
    runs: int
    hypervolume: float | None
    share: float | None
    ci95: Interval
    contributes: int
    front: tuple[Candidate, ...]


@dataclass(frozen=True)
class Pareto:
    """The fronts of a study's methods. `ideal`: the best value of each objective, of any candidate."""

    study: str
    objectives: tuple[Objective, Objective]
    reference: Pair
    ideal: Pair
    methods: tuple[MethodFront, ...]
    front: tuple[Candidate, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# -- reading ------------------------------------------------------------------------------------------------------


def objectives(text: str, definition: Mapping[str, Any]) -> tuple[Objective, Objective]:
    """Reads `NAME,NAME`, each with `:min` or `:max` if its name does not tell which is better. Raises BadObjectives.

    The study's own metric has the study's mode; names of losses, errors and costs are better when smaller, accuracies
    and rates (`images_per_second`) when larger.
    """
    parts = [part.strip() for part in text.split(",")]
    names = [part.partition(":")[0] for part in parts]
    if len(parts) != 2 or not all(names) or names[0] == names[1]:
        raise BadObjectives(
            f"objectives must be two different names, such as val_accuracy,images_per_second, but got {shown(text)}"
        )
    first, second = (_objective(part, definition) for part in parts)
    return first, second


def _objective(text: str, definition: Mapping[str, Any]) -> Objective:
    name, colon, given = text.partition(":")
    mode = given if colon else definition["mode"] if name == definition["metric"] else _mode(name)
    if mode == "min":
        return Objective(name, "min")
    if mode != "max":
        raise BadObjectives(
            f"an objective must say which is better where its name does not: {name}:min or {name}:max, but got {shown(text)}"
        )
    return Objective(name, "max")


def _mode(name: str) -> Mode | None:
    parts = set(re.split(r"[^a-z0-9]+", name.lower()))
    return "max" if RATES & parts else "min" if COSTS & parts else mode_of(name)


def reference(text: str) -> Pair:
    """Reads `NUMBER,NUMBER`. Raises BadObjectives."""
    try:
        first, second = map(float, text.split(","))
    except ValueError:
        first = second = math.nan
    if not (math.isfinite(first) and math.isfinite(second)):
        raise BadObjectives(
            f"a reference point must be two numbers, one for each objective, such as 0.5,100, but got {shown(text)}"
        )
    return first, second


# -- fronts -------------------------------------------------------------------------------------------------------


def nondominated(values: Vector) -> Rows:
    """Returns the rows of values [n, 2] that no other row dominates, larger being better; the best in the first comes first.

    Of equal rows the first counts. Rows with NaN never count.
    """
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    order = known[np.lexsort((known, -values[known, 1], -values[known, 0]))]
    second = values[order, 1]
    before = np.append(-np.inf, np.maximum.accumulate(second)[:-1]) if len(order) else second
    return np.asarray(order[second > before], dtype=np.int64)


def hypervolume(values: Vector, point: Pair) -> float:
    """Returns the area that values [n, 2] dominate above `point`, larger being better in both.

    The S metric of Zitzler and Thiele (1998) in two dimensions. Values that are not better than the point in both
    objectives add nothing.
    """
    gains: Vector = values - np.asarray(point, dtype=float)
    gains = gains[(gains > 0).all(axis=1)]
    gains = gains[nondominated(gains)]  # the first falls, the second rises
    rises = np.diff(gains[:, 1], prepend=0.0)
    return float((gains[:, 0] * rises).sum())


def pareto(data: StudyData, chosen: tuple[Objective, Objective], point: Pair | None = None) -> Pareto:
    """Returns the fronts and hypervolumes of a study's methods.

    `point`: the reference point (default: the worst value of each objective on any run's front, moved outward by a tenth
    of the fronts' range, as Ishibuchi et al. (2018) advise, so that the ends of a front count). Epochs without a finite
    metric, such as those that break a constraint, are no candidates. Raises UnknownMeasure.
    """
    seen = _candidates(data, chosen)
    fronts = seen.fronts()
    ends = seen.values[_joined(fronts.values())]
    ideal = ends.max(axis=0) if len(ends) else np.full(2, math.nan)
    corner = _corner(ends) if point is None else seen.signs * np.asarray(point)
    front = seen.front(_joined(fronts.values()))
    frame = _Frame(
        _pair(corner), float(np.prod(np.maximum(ideal - corner, 0))) if len(ends) else 0.0, seen.cells(front)
    )
    return Pareto(
        study=data.name,
        objectives=chosen,
        reference=_pair(seen.signs * corner),
        ideal=_pair(seen.signs * ideal),
        methods=tuple(_method(label, seen, fronts, frame) for label in stored.labels(data.definition, data.runs)),
        front=tuple(map(seen.candidate, front.tolist())),
    )


@dataclass(frozen=True)
class _Candidates:
    """The charged epochs of a study as candidates: `values` [charges, 2], oriented; NaN for those that are none."""

    data: StudyData
    signs: Vector
    values: Vector

    def fronts(self) -> dict[str, Rows]:
        """Returns the rows of each run's front, by the run's name."""
        runs = self.data.charges["run"].unique().to_pylist()
        code = stored.codes(self.data.charges["run"], runs)
        order = np.argsort(code, kind="stable")
        bounds = np.searchsorted(code[order], np.arange(len(runs) + 1))
        return {run: self.front(order[start:stop]) for run, start, stop in zip(runs, bounds, bounds[1:], strict=False)}

    def front(self, rows: Rows) -> Rows:
        """Returns those of the rows that none of them dominates."""
        return np.asarray(rows[nondominated(self.values[rows])])

    def cells(self, rows: Rows) -> set[tuple[float, ...]]:
        """Returns the rows' values."""
        return {tuple(values) for values in self.values[rows].tolist()}

    def candidate(self, row: int) -> Candidate:
        """Returns the candidate of a row with the measures' own signs."""
        told = {name: self.data.charges[name][row].as_py() for name in ("method", "seed", "trial", "epoch")}
        return Candidate(**told, values=_pair(self.signs * self.values[row]))


@dataclass(frozen=True)
class _Frame:
    """What all methods are measured by: the oriented reference point, the area up to the ideal point, the common front."""

    corner: Pair
    box: float
    best: set[tuple[float, ...]]


def _candidates(data: StudyData, chosen: Sequence[Objective]) -> _Candidates:
    signs = np.array([objective.sign for objective in chosen])
    values = signs * np.column_stack([measured(data, objective.name) for objective in chosen])
    values[~np.isfinite(stored.numbers(data.charges, "value"))] = np.nan
    return _Candidates(data, signs, values)


def _method(label: str, seen: _Candidates, fronts: Mapping[str, Rows], frame: _Frame) -> MethodFront:
    mine = [row for row in seen.data.runs.to_pylist() if row["method"] == label]
    whole = [fronts.get(row["run"], NO_ROWS) for row in mine if row["status"] == "complete"]
    areas = [hypervolume(seen.values[rows], frame.corner) for rows in whole]
    share, ci95 = mean_interval([area / frame.box for area in areas] if frame.box else [])
    bounded = ci95 and (max(0.0, ci95[0]), min(1.0, ci95[1]))
    front = seen.front(_joined(fronts.get(row["run"], NO_ROWS) for row in mine))
    contributes = sum(cell in frame.best for cell in map(tuple, seen.values[front].tolist()))
    return MethodFront(
        label,
        len(areas),
        mean_interval(areas)[0],
        share,
        bounded,
        contributes,
        tuple(map(seen.candidate, front.tolist())),
    )


def _corner(ends: Vector) -> Vector:
    """Returns the default reference point of oriented values on fronts [n, 2]."""
    if not len(ends):
        return np.full(2, math.nan)
    worst = ends.min(axis=0)
    extent = ends.max(axis=0) - worst
    return np.asarray(worst - OUTWARD * np.where(extent > 0, extent, np.maximum(np.abs(worst), 1e-9)))


def _joined(parts: Iterable[Rows]) -> Rows:
    return np.concatenate([NO_ROWS, *parts])


def _pair(values: Vector) -> Pair:
    first, second = values.tolist()
    return first, second
