"""Checks what trials and runs came to: statuses, best values, counts and failures, against charges and the study. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hpo.store.checks.book import Account, Real
from hpo.store.checks.ledger import budget_of
from hpo.store.reader import StudyData

Row = Mapping[str, Any]
ENDS = ("paused", "stopped", "completed", "failed")
DIVERGED = "the metric is "  # begins the reason that a run gives itself, whatever the worker said of the trial


def runs(data: StudyData) -> Iterator[str]:
    """Checks that every run of the study has one row, with the method and the budget that the study gives it.

    Charged runs that the study named before, and its last command did not, keep their rows.
    """
    rows = {row["run"]: row for row in data.runs.to_pylist()}
    methods = {method["label"]: method for method in data.definition["methods"]}
    wanted = {f"{label}/{seed}" for label in methods for seed in data.definition["seeds"]}
    if rows and wanted - rows.keys():
        yield f"run {min(wanted - rows.keys())} of the study has no row in the runs table"
    strangers = rows.keys() - wanted - set(data.charges["run"].unique().to_pylist())
    if strangers:
        yield f"run {min(strangers)} has a row in the runs table, but no method and seed of the study"
    for run, row in rows.items():
        method = methods.get(row["method"])
        if method is None:
            continue
        try:
            options = json.loads(row["options"] or "{}")
        except ValueError:
            options = None
        budget = data.definition["budget"]
        told = (row["name"], options, row["budget_epochs"], row.get("budget_cost"))
        right = (method["name"], dict(method.get("options") or {}), budget.get("epochs"), budget.get("cost"))
        for name, a, b in zip(("method", "options", "budget", "budget in cost"), told, right, strict=True):
            if a != b:
                yield f"run {run}: its row has the {name} {a}, but the study has {b}"


def failures(data: StudyData) -> Iterator[str]:
    """Checks the kinds and reasons of failures, and that rows of failed trials agree with them."""
    for row in data.failures.to_pylist():
        if not row["kind"] or not row["reason"]:
            yield f"trial {row['trial']} failed with the kind {row['kind']!r} and the reason {row['reason']!r}"
    known = {row["trial"]: row for row in data.failures.to_pylist()}
    for row in data.trials.to_pylist():
        if row["status"] == "failed" and (failure := known.get(row["trial"])) and row["epochs"] == failure["epoch"]:
            for name in ("kind",) if str(row["reason"]).startswith(DIVERGED) else ("kind", "reason"):
                if row[name] != failure[name]:
                    yield f"trial {row['trial']} failed with the {name} {failure[name]!r}, but its row has {row[name]!r}"
                    break


def trials(account: Account, rows: Sequence[Row], data: StudyData) -> Iterator[str]:
    """Checks the rows of the trials of a run that is over, ordered by number, against its charges."""
    if [row["number"] for row in rows] != list(range(len(rows))):
        yield "its trials are not numbered from 0 without gaps"
        return
    if len(account.number) and account.number.max() >= len(rows):
        yield f"{account.number.max() + 1} of its trials were charged, but the trials table has {len(rows)}"
        return
    book, names = account.book, list(account.book.trials)
    failed = set(data.failures["trial"].to_pylist())
    order = np.argsort(account.number, kind="stable")
    bounds = np.searchsorted(account.number[order], np.arange(len(rows) + 1))
    charged, values = account.cells[order] // book.span, account.value[order]
    for row, start, stop in zip(rows, bounds, bounds[1:], strict=False):
        others = {names[trial] for trial in set(charged[start:stop].tolist())} - {row["trial"]}
        if others:
            yield f"its trial {row['number']} was charged as {min(others)}, but its row has {row['trial']}"
        yield from _sums(row, values[start:stop], account.sign)
        yield from _status(row, values[start:stop], row["trial"] in failed)


def _sums(row: Row, values: Real, sign: float) -> Iterator[str]:
    """Checks how far a trial was trained and its best epoch; `values` [epochs charged]."""
    whose = f"its trial {row['number']}"
    if row["epochs"] != len(values):
        yield f"{whose} was charged {len(values)} epochs, but its row has {row['epochs']}"
    known = np.where(np.isfinite(values), sign * values, -np.inf)
    best = int(known.argmax()) if np.isfinite(known).any() else None
    right = (None, None) if best is None else (best + 1, float(values[best]))
    told = (row["best_epoch"], row["best_value"])
    if told != right:
        yield f"{whose} was best at epoch {right[0]} with {right[1]}, but its row has epoch {told[0]} with {told[1]}"


def _status(row: Row, values: Real, failed: bool) -> Iterator[str]:
    """Checks whether a trial failed, and says why; `failed`: a failure of it is stored."""
    whose, status = f"its trial {row['number']}", row["status"]
    diverged = len(values) > 0 and not math.isfinite(values[-1])
    if status not in ENDS:
        yield f"{whose} has the status {status!r}, although the run is over"
    elif status == "failed" and not (failed or diverged):
        yield f"{whose} has the status failed, but no failure of it is stored"
    elif status != "failed" and diverged:
        yield f"{whose} diverged, but has the status {status}"
    if {status == "failed", row["kind"] is not None, bool(row["reason"])} == {True, False}:
        yield f"{whose} has the status {status}, the kind {row['kind']!r} and the reason {row['reason']!r}"


def counts(row: Row, rows: Sequence[Row], total: int) -> Iterator[str]:
    """Checks a run's own row: the numbers of its trials, and whether it may be over or not."""
    failed = sum(trial["status"] == "failed" for trial in rows)
    for name, number in (("trials", len(rows)), ("failed_trials", failed)):
        if row[name] != number:
            yield f"the trials table has {number} of its {name.replace('_', ' ')}, but its row has {row[name]}"
    if row["status"] not in ("complete", "partial"):
        yield f"its row has the status {row['status']!r}"
    _, budget, charged = budget_of(row)
    if row["status"] == "partial" and (row["reason"] or (charged == budget and total >= row["charged_epochs"])):
        yield "it is over, but its row has the status partial"
    elif row["status"] == "complete" and row["reason"] and charged == budget:
        yield "it used up its budget, but gives a reason why not"


def run_failures(data: StudyData) -> Iterator[str]:
    """Checks that each failure that a run met stands in a gap of the run's order, and that no gap lacks one.

    Stores of earlier versions have no such rows, and runs under way may have gone on since their trials were written.
    """
    met = data.run_failures.to_pylist()
    over = {row["run"] for row in data.runs.to_pylist() if row["status"] == "complete"}
    stood = {(row["run"], row["number"]): row for row in data.trials.to_pylist()}
    orders: dict[str, set[int]] = {}
    for run, order in zip(data.charges["run"].to_pylist(), data.charges["order"].to_pylist(), strict=True):
        orders.setdefault(run, set()).add(order)
    for row in met:
        run, order = row["run"], row["order"]
        trial = stood.get((run, row["number"]))
        if run != f"{row['method']}/{row['seed']}":
            yield f"run {run}: a failure is that of method {row['method']} with seed {row['seed']}"
        elif order < 0 or order in orders.get(run, ()):
            yield f"run {run}: its order {order} is both a failure and a charge"
        elif run in over and (trial is None or (trial["trial"], trial["status"]) != (row["trial"], "failed")):
            yield f"run {run}: trial {row['trial']} failed at order {order}, but is not its failed trial {row['number']}"
        elif run in over and trial is not None and trial["epochs"] != row["epoch"]:
            yield f"run {run}: trial {row['trial']} failed after {row['epoch']} epochs, but was charged {trial['epochs']}"
    places = {run: orders.get(run, set()) | {row["order"] for row in met if row["run"] == run} for run in over}
    for run, taken in sorted(places.items()) if met else ():
        if taken and len(taken) != max(taken) + 1:
            yield f"run {run}: {max(taken) + 1 - len(taken)} of its orders are neither a charge nor a failure"
