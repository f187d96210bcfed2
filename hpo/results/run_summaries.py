"""One summary a run, from a study's tables: ledger, incumbent with its exam, anytime curves, time alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.results import anytime
from hpo.results.standing import charge, current
from hpo.results.values import RunSummary, Winner
from hpo.store import columns as stored
from hpo.study.space_file import entries

if TYPE_CHECKING:
    from hpo.store import StudyData


def run_summaries(data: StudyData, workers: int) -> list[RunSummary]:
    """Returns every run in the tables, method by method. Charges take precedence over the last snapshot of the runs."""
    data = current(data)
    definition = data.definition
    played = anytime.played(data.charges, data.epochs, definition["mode"], charge(data))
    rows = {row["run"]: row for row in data.runs.to_pylist()}
    winners = _winners(data, rows, played)
    order = {label: i for i, label in enumerate(stored.labels(definition, data.runs))}
    names = sorted(rows, key=lambda name: (order.get(rows[name]["method"], len(order)), rows[name]["seed"]))
    slots = _slots(definition)
    return [
        _summary(data, row, played.get(row["run"]), winners.get(row["run"]), min(workers, slots.get(row["method"], 1)))
        for row in map(rows.__getitem__, names)
    ]


def _slots(definition: Mapping[str, Any]) -> dict[str, int]:
    """Returns each method's virtual workers: alone it could not use more."""
    shared = int(definition.get("parallelism") or 1)
    return {str(m["label"]): int(m.get("parallelism") or shared) for m in definition.get("methods", ())}


def _summary(
    data: StudyData, row: Mapping[str, Any], run: anytime.Played | None, winner: Winner | None, workers: int
) -> RunSummary:
    mode, budget, cost = data.definition["mode"], row["budget_epochs"], row.get("budget_cost")
    paid = run.paid if run else None
    ends = anytime.ends_alone(run.trial, run.seconds, workers, run.after) if run else np.array([])
    status = str(row["status"])
    return RunSummary(
        study=data.name,
        method=str(row["method"]),
        seed=int(row["seed"]),
        status=status,
        reason=row.get("reason"),
        budget_epochs=None if budget is None else int(budget),
        budget_cost=cost,
        charged_epochs=len(run) * run.charge if run else int(row.get("charged_epochs") or 0),
        charged_cost=float(paid[-1]) if paid is not None and len(paid) else None,
        shared_epochs=int(row.get("shared_epochs") or 0),
        wasted_epochs=int(row.get("wasted_epochs") or 0),
        trials=int(row.get("trials") or (len(np.unique(run.trial)) if run else 0)),
        failed_trials=int(row.get("failed_trials") or 0),
        train_seconds=float(row.get("train_seconds") or (np.nansum(run.seconds) if run else 0.0)),
        wall_seconds=float(ends.max()) if len(ends) else 0.0,
        incumbent=winner,
        anytime=anytime.corners(run.charged, run.best) if run else (),
        anytime_seconds=anytime.over_time(run, ends, mode) if run else (),
        anytime_cost=anytime.corners(paid, run.best) if run and paid is not None else (),
        area=_area(run, budget, cost, whole=status == "complete") if run else None,
    )


def _area(run: anytime.Played, epochs: int | None, cost: float | None, *, whole: bool) -> float | None:
    """Returns the mean height of a run's anytime curve over what its budget counts; up to its end if it is `whole`."""
    if cost is not None:
        return anytime.area_over_cost(run, cost if whole else 0.0)
    return anytime.area(run, epochs or 0 if whole else 0)


def _winners(
    data: StudyData, rows: Mapping[str, Mapping[str, Any]], played: Mapping[str, anytime.Played]
) -> dict[str, Winner]:
    """Returns each run's incumbent with its configuration, training value and exam."""
    best = {name: seen for name in rows if (seen := _incumbent(data, rows[name], played.get(name)))}
    trials = pa.array(sorted({trial for trial, _, _ in best.values()}), type=pa.string())
    configs = _configs(data, trials)
    train = _train_values(data, trials)
    exams = stored.exams(data, {(trial, epoch) for trial, epoch, _ in best.values()})
    asked = (data.definition.get("final") or {}).get("retrain", "none")
    found = {}
    for name, (trial, epoch, value) in best.items():
        test, number = _exam(exams[trial, epoch], retrained=asked != "none")
        found[name] = Winner(trial, configs.get(trial, {}), epoch, value, train.get((trial, epoch)), test, number)
    return found


def _incumbent(data: StudyData, row: Mapping[str, Any], run: anytime.Played | None) -> tuple[str, int, float] | None:
    if run is not None and len(run):
        place = run.incumbent
        if place is None:
            return None
        trial = data.charges.column("trial")[int(run.rows[place])].as_py()
        return trial, int(run.epoch[place]), float(run.value[place])
    if row.get("incumbent_trial") is None:
        return None
    return row["incumbent_trial"], int(row["incumbent_epoch"]), float(row["incumbent_value"])


def _configs(data: StudyData, trials: pa.Array) -> dict[str, dict[str, Any]]:
    space = entries(data.definition.get("space") or {})
    for table in (data.trials, data.epochs):
        if table.num_rows and "trial" in table.schema.names:
            columns = ["trial", *(name for name in table.schema.names if name.startswith(stored.PREFIX))]
            mine = table.select(columns).filter(pc.is_in(table.column("trial"), value_set=trials))
            if mine.num_rows:
                return {row["trial"]: stored.config(row, space) for row in mine.to_pylist()}
    return {}


def _train_values(data: StudyData, trials: pa.Array) -> dict[tuple[str, int], float]:
    """Returns the metric on training data (accuracy for val_accuracy) by (trial, epoch) of the given trials."""
    metric = str(data.definition["metric"]).removeprefix("val_")
    names = data.epochs.schema.names
    if metric == data.definition["metric"] or metric not in names or not data.epochs.num_rows:
        return {}
    mine = data.epochs.select(["trial", "epoch", metric]).filter(
        pc.is_in(data.epochs.column("trial"), value_set=trials)
    )
    return {(row["trial"], row["epoch"]): row[metric] for row in mine.to_pylist() if row[metric] is not None}


_NOT_METRICS = frozenset({"study", "trial", "exam", "seed", "epoch", "confusion", "classes", "seconds"})


def _exam(rows: Sequence[Mapping[str, Any]], *, retrained: bool) -> tuple[dict[str, float] | None, int]:
    """Returns an incumbent's mean test metrics and the number of exams behind them.

    Exams of the kind that the study asks for count; if there are none, exams of the other kind.
    """
    chosen = [row for row in rows if (row["exam"] != "winner") == retrained] or rows
    if not chosen:
        return None, 0
    names = [n for n, v in chosen[0].items() if n not in _NOT_METRICS and isinstance(v, int | float)]
    known = {name: [row[name] for row in chosen if row.get(name) is not None] for name in names}
    return {name: float(np.mean(values)) for name, values in known.items()}, len(chosen)
