"""The data behind the trials' figures, from a study's tables: axes, trials, curves, rungs. Pure; reads StudyData only."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.report.tables import short
from hpo.report.trial_plots import Axis, Line, Points
from hpo.store import StudyData
from hpo.store.columns import PREFIX, labels
from hpo.study.space_file import entries

DRAWN = 240  # most lines in a figure: more would blur, and the page would grow large


@dataclass(frozen=True)
class TrialRow:
    """A method's trial, once even if several seeds asked for it. `best` is NaN if no value was finite."""

    method: str
    trial: str
    number: int
    seed: int
    config: Mapping[str, Any]
    status: str
    epochs: int
    best: float
    kind: str
    reason: str


def trials(data: StudyData) -> list[TrialRow]:
    """Returns every trial of every method in the runs' order; a trial that several seeds share appears at the first."""
    found: dict[tuple[str, str], TrialRow] = {}
    for row in data.trials.to_pylist():
        config = {k.removeprefix(PREFIX): v for k, v in row.items() if k.startswith(PREFIX) and v is not None}
        best = row["best_value"]
        key = (row["method"], row["trial"])
        trial = TrialRow(
            row["method"], row["trial"], row["number"], row["seed"], config, row["status"], row["epochs"],
            math.nan if best is None else best, row["kind"] or "", row["reason"] or "",
        )  # fmt: skip
        if key not in found or trial.epochs > found[key].epochs:
            found[key] = trial
    return list(found.values())


def axes(data: StudyData) -> dict[str, Axis]:
    """Returns an axis for each searched hyperparameter, in the study's order."""
    return {name: _axis(name, domain) for name, domain in entries(data.definition.get("space", {})).items()}


def _axis(name: str, domain: Mapping[str, Any]) -> Axis:
    values = domain.get("values")
    if values is not None:
        return Axis(name, 0, len(values) - 1, names=tuple(str(value) for value in values))
    return Axis(name, float(domain["low"]), float(domain["high"]), bool(domain.get("log")))


def place(axis: Axis, value: Any) -> float:
    """Returns the position of `value` on the axis; NaN if the trial does not have the hyperparameter."""
    if value is None:
        return math.nan
    if axis.names:
        return float(axis.names.index(str(value))) if str(value) in axis.names else math.nan
    return float(value)


def curves(data: StudyData) -> dict[str, list[float]]:
    """Returns the metric after epochs 1, 2, ... of every trial; only the first training of an epoch counts."""
    metric = data.definition.get("metric", "val_accuracy")
    if metric not in data.epochs.schema.names:
        return {}
    table = data.epochs.select(["trial", "epoch", "attempt", metric]).sort_by(
        [("trial", "ascending"), ("epoch", "ascending")]
    )
    found: dict[str, list[float]] = defaultdict(list)
    columns = (table.column(name).to_pylist() for name in table.schema.names)
    for trial, epoch, _, value in zip(*columns, strict=True):
        curve = found[trial]
        if epoch == len(curve) + 1:
            curve.append(math.nan if value is None else value)
    return dict(found)


def thinned(rows: Sequence[TrialRow], keep: set[str], most: int = DRAWN) -> list[TrialRow]:
    """Returns about `most` trials, spread evenly over their order, and always those in `keep`."""
    if len(rows) <= most:
        return list(rows)
    chosen = {round(i) for i in np.linspace(0, len(rows) - 1, most)}
    return [row for i, row in enumerate(rows) if i in chosen or row.trial in keep]


def winners(data: StudyData) -> set[tuple[str, str]]:
    """Returns (method, trial) of each run's incumbent."""
    rows = data.runs.select(["method", "incumbent_trial"]).to_pylist()
    return {(row["method"], row["incumbent_trial"]) for row in rows if row["incumbent_trial"]}


def coordinates(data: StudyData, infeasible: bool = False) -> tuple[list[Axis], list[Line]]:
    """Returns the axes of the hyperparameters and of the metric, and a line for each trial with a value.

    `infeasible`: trained trials without a value have lines too, which end before the metric.
    """
    ways, best = axes(data), winners(data)
    known = trials(data)
    rows = [row for row in known if math.isfinite(row.best)]
    metric = data.definition["metric"]
    worse, better = value_range([row.best for row in rows])
    if data.definition["mode"] == "min":
        worse, better = better, worse
    lines = []
    others = [row for row in known if infeasible and row.epochs and not math.isfinite(row.best)]
    for row in [*thinned(others, set(), DRAWN // 2), *thinned(rows, {trial for _, trial in best})]:
        values = [place(axis, row.config.get(name)) for name, axis in ways.items()]
        strong = (row.method, row.trial) in best
        lines.append(Line(row.method, [*values, row.best], describe(row, metric), strong))
    return [*ways.values(), Axis(metric, worse, better)], lines


def describe(row: TrialRow, metric: str) -> str:
    """Returns a trial's tooltip."""
    if not math.isfinite(row.best):
        return f"{row.method}: infeasible; {config_text(row.config)}"
    return f"{row.method}: {metric} {row.best:.4f} after {row.epochs} epochs; {config_text(row.config)}"


def config_text(config: Mapping[str, Any]) -> str:
    """Returns a configuration as `name=value, ...`."""
    return ", ".join(f"{name}={short(value)}" for name, value in config.items())


def learning(
    data: StudyData, method: str, rows: Iterable[TrialRow], values: Mapping[str, Sequence[float]]
) -> list[Line]:
    """Returns one line for each trial of a method, up to the last epoch charged to the method."""
    best, metric = winners(data), data.definition["metric"]
    mine = [row for row in rows if row.method == method and row.epochs > 0 and row.trial in values]
    return [
        Line(method, values[row.trial][: row.epochs], describe(row, metric), (method, row.trial) in best)
        for row in thinned(
            mine, {trial for _, trial in best}, max(30, 2 * DRAWN // len(labels(data.definition, data.runs)))
        )
    ]


def rungs(rows: Iterable[TrialRow], method: str) -> list[int]:
    """Returns the epochs, short of the last, at which a method left several trials: there its schedule compares them."""
    stops = [row.epochs for row in rows if row.method == method and row.status in ("paused", "stopped", "completed")]
    furthest = max(stops, default=0)
    return sorted({stop for stop in stops if 0 < stop < furthest and stops.count(stop) > 1})


def value_range(values: Iterable[float], room: float = 0.0) -> tuple[float, float]:
    """Returns the ends of an axis: the smallest and the largest finite value, extended by `room` of their distance."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    more = room * (high - low)
    return (low - more, high + more) if high > low else (low - 0.5, high + 0.5)


def points(rows: Sequence[TrialRow], axis: Axis) -> dict[str, Points]:
    """Returns, by method, the trials' positions on an axis, their best values, and whether they were trained to the end."""
    longest = max((row.epochs for row in rows), default=0)
    found: dict[str, tuple[list[float], list[float], list[bool]]] = {}
    for row in rows:
        x = place(axis, row.config.get(axis.name))
        if math.isfinite(x) and math.isfinite(row.best):
            xs, ys, whole = found.setdefault(row.method, ([], [], []))
            xs.append(x)
            ys.append(row.best)
            whole.append(row.status == "completed" or row.epochs == longest)
    return dict(found)
