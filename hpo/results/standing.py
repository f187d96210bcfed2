"""Where a study's runs and trials stand, derived from its charges: a snapshot may be older than they are. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.results.anytime import Vector, epoch_seconds, played
from hpo.store import columns as stored

if TYPE_CHECKING:
    from hpo.store import StudyData

Row = dict[str, Any]
SUMS = ("charged_epochs", "shared_epochs", "wasted_epochs")


def current(data: StudyData) -> StudyData:
    """Returns the study with the rows of `runs` and `trials` that its charges give.

    A driver writes these two tables from time to time, and charges as they come: of an unfinished study the tables may be
    old or missing. The same data are returned where they agree with the charges.
    """
    charged = _charged(data)
    known = {row["run"]: row["charged_epochs"] for row in data.runs.to_pylist()}
    return data if all(known.get(run) == count for run, count in charged.items()) else derived(data)


def derived(data: StudyData) -> StudyData:
    """Returns the study with both tables derived from the charges, also where they are up to date.

    What no charge tells stays as the snapshot has it: a run's status, and that of a trial that did not go on since.
    """
    trials = _trials(data)
    more = [field for field in _configs(data) if field.name not in data.trials.schema.names]
    whole = pa.schema([*data.trials.schema, *more])
    runs = pa.Table.from_pylist(_runs(data, trials), schema=data.runs.schema)
    return replace(data, trials=pa.Table.from_pylist(trials, schema=whole), runs=runs)


def sums(data: StudyData) -> dict[str, dict[str, int]]:
    """Returns each run's charged, shared and wasted epochs, by the run's name."""
    each = charge(data)
    cells = data.charges.select(["run", "trial", "epoch"])
    users = cells.group_by(["trial", "epoch"]).aggregate([("run", "count")])
    shared = cells.join(users.filter(pc.greater(users["run_count"], 1)), ["trial", "epoch"], join_type="left semi")
    again = data.epochs.filter(pc.greater(data.epochs["attempt"], 0)).select(["trial"])
    wasted = again.join(cells.group_by(["run", "trial"]).aggregate([]), "trial", join_type="inner")
    found: dict[str, dict[str, int]] = {run: dict.fromkeys(SUMS, 0) for run in pc.unique(cells["run"]).to_pylist()}
    for name, rows in zip(SUMS, (cells, shared, wasted), strict=True):
        for entry in rows["run"].value_counts().to_pylist():
            found[entry["values"]][name] = entry["counts"] * each
    return found


def charge(data: StudyData) -> int:
    """Returns how many epochs are charged for one: as many as the data have folds."""
    return int((data.definition.get("data") or {}).get("folds") or 1)


def _charged(data: StudyData) -> dict[str, int]:
    counts = data.charges["run"].value_counts().to_pylist() if data.charges.num_rows else []
    return {entry["values"]: entry["counts"] * charge(data) for entry in counts}


# -- trials -------------------------------------------------------------------------------------------------------


class _Trial(NamedTuple):  # cheap to make: a study may have 100,000
    """What the charges tell of one trial of a run; `best` is NaN, at epoch 0, if no value is finite."""

    run: str
    number: int
    trial: str
    epochs: int
    best_epoch: int
    best: float


def _trained(data: StudyData) -> Iterator[_Trial]:
    """Yields each trial that was charged for, in the order of runs and numbers."""
    charges = data.charges
    if not charges.num_rows:
        return
    names, trials = charges["run"].unique().to_pylist(), charges["trial"].unique().to_pylist()
    run, trial = stored.codes(charges["run"], names), stored.codes(charges["trial"], trials)
    number, epoch = stored.whole(charges, "number"), stored.whole(charges, "epoch")
    value, rank = _ranked(data)
    rows = np.lexsort((epoch, rank, number, run))  # the best epoch of a trial comes first; of equal ones the earliest
    starts = np.flatnonzero(np.diff(run[rows], prepend=-1) | np.diff(number[rows], prepend=-1))
    last = np.maximum.reduceat(epoch[rows], starts)
    for at, epochs in zip(rows[starts].tolist(), last.tolist(), strict=True):
        known = math.isfinite(rank[at])
        best = (int(epoch[at]), float(value[at])) if known else (0, math.nan)
        yield _Trial(names[run[at]], int(number[at]), trials[trial[at]], epochs, *best)


def _ranked(data: StudyData) -> tuple[Vector, Vector]:
    """Returns the charges' values and their ranks, of which the smallest is best; infinite where no value is [charges]."""
    value = stored.numbers(data.charges, "value")
    rank = -value if data.definition["mode"] == "max" else value
    return value, np.where(np.isfinite(value), rank, np.inf)


def _trials(data: StudyData) -> list[Row]:
    """Returns a row for each trial that was charged for or failed; others of the snapshot stay as they are."""
    rows: dict[tuple[str, int], Row] = {(row["run"], row["number"]): row for row in data.trials.to_pylist()}
    longest, configs = (data.definition.get("budget") or {}).get("max_epochs"), _config_rows(data)
    for one in _trained(data):
        key = (one.run, one.number)
        old = rows.get(key) or {"status": "running", "epochs": -1, "kind": None, "reason": None}
        on = old["epochs"] < one.epochs and old["status"] != "failed"
        status = "completed" if on and one.epochs == longest else "running" if on else old["status"]
        best = (one.best_epoch, one.best) if one.best_epoch else (None, None)
        rows[key] = {
            **old, **_of_run(data, one.run), **configs.get(one.trial, {}), "number": one.number, "trial": one.trial,
            "status": status, "epochs": one.epochs, "best_epoch": best[0], "best_value": best[1],
        }  # fmt: skip
    _mark_failed(data, rows, configs)
    return list(rows.values())


def _mark_failed(data: StudyData, rows: dict[tuple[str, int], Row], configs: Mapping[str, Row]) -> None:
    """Adds the failures that runs have met, with the reasons of the trials' own failures."""
    reasons = {row["trial"]: row for row in data.failures.to_pylist()}
    for met in data.run_failures.to_pylist():
        why = reasons.get(met["trial"], {})
        blank = {
            **_of_run(data, met["run"]), **configs.get(met["trial"], {}), "number": met["number"], "trial": met["trial"],
            "epochs": met["epoch"], "best_epoch": None, "best_value": None,
        }  # fmt: skip
        old = rows.get((met["run"], met["number"]), blank)
        failed = {"status": "failed", "kind": why.get("kind") or "error", "reason": why.get("reason")}
        rows[met["run"], met["number"]] = old if old.get("status") == "failed" else {**old, **failed}


def _of_run(data: StudyData, run: str) -> Row:
    method, _, seed = run.rpartition("/")
    return {"study": data.name, "run": run, "method": method, "seed": int(seed)}


def _configs(data: StudyData) -> list[pa.Field]:
    """Returns the columns of a configuration that the trained epochs have."""
    return [field for field in data.epochs.schema if field.name.startswith(stored.PREFIX)]


def _config_rows(data: StudyData) -> dict[str, Row]:
    """Returns the configurations' columns of every trained trial."""
    if not data.epochs.num_rows:
        return {}
    names = [field.name for field in _configs(data)]
    first = data.epochs.filter(pc.equal(data.epochs["epoch"], 1)).select(["trial", *names])
    return {row.pop("trial"): row for row in first.to_pylist()}


# -- runs ---------------------------------------------------------------------------------------------------------


def _runs(data: StudyData, trials: list[Row]) -> list[Row]:
    """Returns a row for each run of the snapshot and each run with a charge."""
    rows: dict[str, Row] = {row["run"]: row for row in data.runs.to_pylist()}
    found, seconds, best = sums(data), _seconds(data), _incumbents(data)
    mine: dict[str, list[Row]] = defaultdict(list)
    for trial in trials:
        mine[trial["run"]].append(trial)
    budget, paid = data.definition["budget"], _paid(data)
    blank = {
        "status": "partial", "reason": None, "budget_epochs": budget.get("epochs"), "budget_cost": budget.get("cost"),
        "charged_cost": None,
    }  # fmt: skip
    for run in [*rows, *(run for run in mine if run not in rows)]:
        old = {**blank, **_of_run(data, run), **dict.fromkeys(SUMS, 0), **rows.get(run, {})}
        count = found.get(run, {})
        failed = sum(trial["status"] == "failed" for trial in mine[run])
        rows[run] = {
            **old, **count, "trials": len(mine[run]), "failed_trials": failed,
            "train_seconds": seconds.get(run, 0.0), "charged_cost": paid.get(run, old["charged_cost"]),
            **best.get(run, NOBODY),
        }  # fmt: skip
    return list(rows.values())


NOBODY: Row = {"incumbent_trial": None, "incumbent_epoch": None, "incumbent_value": None}


def _paid(data: StudyData) -> dict[str, float]:
    """Returns what each run's epochs cost, under a budget in cost."""
    if "cost" not in data.definition["budget"]:
        return {}
    charges = played(data.charges, data.epochs, data.definition["mode"]).items()
    return {run: float(mine.paid[-1]) for run, mine in charges if mine.paid is not None and len(mine)}


def _seconds(data: StudyData) -> dict[str, float]:
    """Returns the seconds of training behind each run's charges."""
    took = np.nan_to_num(epoch_seconds(data.charges, data.epochs))
    table = pa.table({"run": data.charges["run"], "seconds": pa.array(took)})
    summed = table.group_by("run").aggregate([("seconds", "sum")])
    return dict(zip(summed["run"].to_pylist(), summed["seconds_sum"].to_pylist(), strict=True))


def _incumbents(data: StudyData) -> dict[str, Row]:
    """Returns each run's first charge with the best value; nothing for a run without a value."""
    charges = data.charges
    names = charges["run"].unique().to_pylist() if charges.num_rows else []
    run, (value, rank) = stored.codes(charges["run"], names), _ranked(data)
    rows = np.lexsort((stored.numbers(charges, "order"), rank, run))
    firsts = rows[np.flatnonzero(np.diff(run[rows], prepend=-1))]
    return {
        names[run[at]]: {
            "incumbent_trial": charges["trial"][at].as_py(), "incumbent_epoch": charges["epoch"][at].as_py(),
            "incumbent_value": float(value[at]),
        } for at in firsts.tolist() if np.isfinite(rank[at])
    }  # fmt: skip
