"""The service's answers: JSON values made from a study's tables. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from hpo.results import anytime
from hpo.results.failures import failed_exams, without_result
from hpo.store import StudyData
from hpo.store.columns import PREFIX
from hpo.text import plain

FAILURES = 20  # most failures in an answer: the last ones


OCCUPANCY = ("slots", "busy", "starting", "waiting")


def progress(data: StudyData, figures: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns a study's progress: every run's charged epochs, incumbent, trials and anytime curve; failures; last update.

    `figures`: what its driver wrote lately, of which `occupancy` has the numbers of slots; None where no driver plays it.
    """
    definition = data.definition
    return _answer(
        {
            "study": data.name,
            "metric": definition["metric"],
            "mode": definition["mode"],
            "budget_epochs": definition["budget"].get("epochs"),
            "budget_cost": definition["budget"].get("cost"),
            "runs": _runs(data),
            "failures": data.failures.to_pylist()[-FAILURES:],
            "failed": data.failures.num_rows,
            "failure": without_result(data) or None,
            "failed_exams": failed_exams(data) or None,
            "trained_epochs": _trained(data),
            "occupancy": None if figures is None else {name: figures.get(name, 0) for name in OCCUPANCY},
            "updated": max(data.epochs.column("finished").to_pylist(), default=None) if data.epochs.num_rows else None,
        }
    )


def _trained(data: StudyData) -> int:
    """Returns the epochs trained, without those trained again after a fault."""
    return sum(1 for attempt in data.epochs.column("attempt").to_pylist() if not attempt) if data.epochs.num_rows else 0


def _runs(data: StudyData) -> list[dict[str, Any]]:
    """Returns one entry for every run of the study, including those that have not begun."""
    definition = data.definition
    states, budget, played = _states(data), definition["budget"], _played(data)
    stored = {row["run"]: row for row in data.runs.to_pylist()}
    found = []
    for seed in definition.get("seeds", ()):
        for method in definition.get("methods", ()):
            run = f"{method['label']}/{seed}"
            row, mine = stored.get(run, {}), played.get(run)
            curve = anytime.corners(mine.charged, mine.best) if mine else ()
            paid = mine.paid if mine else None
            found.append(
                {
                    "run": run,
                    "method": method["label"],
                    "seed": seed,
                    "status": row.get("status") or ("partial" if curve else "waiting"),
                    "reason": row.get("reason"),
                    "budget_epochs": row.get("budget_epochs") or budget.get("epochs"),
                    "budget_cost": row.get("budget_cost") or budget.get("cost"),
                    "charged_cost": row.get("charged_cost") if paid is None else float(paid[-1]),
                    "charged_epochs": max(row.get("charged_epochs") or 0, curve[-1][0] if curve else 0),
                    "wasted_epochs": row.get("wasted_epochs") or 0,
                    "best": curve[-1][1] if curve else row.get("incumbent_value"),
                    "trials": dict(states.get(run, {})),
                    "anytime": curve,
                    "anytime_cost": () if mine is None or paid is None else anytime.corners(paid, mine.best),
                }
            )
    return found


def _played(data: StudyData) -> dict[str, anytime.Played]:
    """Returns each run's charges."""
    charge = int((data.definition.get("data") or {}).get("folds") or 1)  # an epoch of k folds is charged k times
    return anytime.played(data.charges, data.epochs.slice(0, 0), data.definition["mode"], charge)


def _states(data: StudyData) -> dict[str, Counter[str]]:
    """Returns each run's number of trials by status."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    if data.trials.num_rows:
        for run, status in zip(*(data.trials.column(n).to_pylist() for n in ("run", "status")), strict=True):
            counts[run][status] += 1
    return counts


def curves(data: StudyData, trial: str | None, limit: int) -> dict[str, Any]:
    """Returns learning curves of all metrics: {trial: {"epoch": [...], "val_accuracy": [...], ...}}.

    `trial`: only this trial (default: all). `limit`: most trials in the answer.
    """
    table = data.epochs.sort_by([("trial", "ascending"), ("epoch", "ascending")])
    skipped = {"study", "trial", "worker", "ended", "max_epochs"}
    names = [name for name in table.schema.names if name not in skipped and not name.startswith(PREFIX)]
    found: dict[str, dict[str, list[Any]]] = {}
    columns = [table.column(name).to_pylist() for name in names]
    for i, key in enumerate(table.column("trial").to_pylist()):
        if (trial is not None and key != trial) or (key not in found and len(found) >= limit):
            continue
        curve = found.setdefault(key, {name: [] for name in names})
        for name, column in zip(names, columns, strict=True):
            curve[name].append(column[i])
    return _answer({"study": data.name, "curves": found})


def runs(data: StudyData) -> dict[str, Any]:
    """Returns the stored tables of runs and of trials, row by row."""
    return _answer({"study": data.name, "runs": data.runs.to_pylist(), "trials": data.trials.to_pylist()})


def _answer(values: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = plain(values)
    return answer
