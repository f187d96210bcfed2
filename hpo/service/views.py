"""What the service answers, as plain JSON-able values made from a study's tables. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from hpo.results import anytime
from hpo.store import StudyData


def progress(data: StudyData) -> dict[str, Any]:
    """How a study stands: every run's charged epochs, incumbent, trials and anytime curve; failures; last sign of life."""
    definition = data.definition
    return plain(
        {
            "study": data.name,
            "metric": definition["metric"],
            "mode": definition["mode"],
            "budget_epochs": definition["budget"]["epochs"],
            "runs": _runs(data),
            "failures": data.failures.to_pylist()[-20:],
            "failed": data.failures.num_rows,
            "trained_epochs": _trained(data),
            "updated": max(data.epochs.column("finished").to_pylist(), default=None) if data.epochs.num_rows else None,
        }
    )


def _trained(data: StudyData) -> int:
    return sum(1 for attempt in data.epochs.column("attempt").to_pylist() if not attempt) if data.epochs.num_rows else 0


def _runs(data: StudyData) -> list[dict[str, Any]]:
    """One entry for every run that the study plans, those that have not begun included."""
    definition = data.definition
    states, curves = _states(data), _anytime(data)
    stored = {row["run"]: row for row in data.runs.to_pylist()}
    found = []
    for seed in definition.get("seeds", ()):
        for method in definition.get("methods", ()):
            run = f"{method['label']}/{seed}"
            row, curve = stored.get(run, {}), curves.get(run, ())
            found.append(
                {
                    "run": run,
                    "method": method["label"],
                    "seed": seed,
                    "status": row.get("status") or ("partial" if curve else "waiting"),
                    "reason": row.get("reason"),
                    "budget_epochs": row.get("budget_epochs") or definition["budget"]["epochs"],
                    "charged_epochs": max(row.get("charged_epochs") or 0, curve[-1][0] if curve else 0),
                    "wasted_epochs": row.get("wasted_epochs") or 0,
                    "best": curve[-1][1] if curve else row.get("incumbent_value"),
                    "trials": dict(states.get(run, {})),
                    "anytime": curve,
                }
            )
    return found


def _anytime(data: StudyData) -> dict[str, anytime.Corners]:
    """The corners of each run's anytime curve: charged epochs, best value so far."""
    charge = int((data.definition.get("data") or {}).get("folds") or 1)  # an epoch of k folds is charged k times
    runs = anytime.played(data.charges, data.epochs.slice(0, 0), data.definition["mode"], charge)
    return {name: anytime.corners(run.charged, run.best) for name, run in runs.items()}


def _states(data: StudyData) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    if data.trials.num_rows:
        for run, status in zip(*(data.trials.column(n).to_pylist() for n in ("run", "status")), strict=True):
            counts[run][status] += 1
    return counts


def curves(data: StudyData, trial: str | None, limit: int) -> dict[str, Any]:
    """Learning curves of all metrics: {trial: {"epoch": [...], "val_accuracy": [...], ...}}, at most `limit` trials."""
    table = data.epochs.sort_by([("trial", "ascending"), ("epoch", "ascending")])
    skipped = {"study", "trial", "worker", "ended", "max_epochs"}
    names = [name for name in table.schema.names if name not in skipped and not name.startswith("config_")]
    found: dict[str, dict[str, list[Any]]] = {}
    columns = [table.column(name).to_pylist() for name in names]
    for i, key in enumerate(table.column("trial").to_pylist()):
        if (trial is not None and key != trial) or (key not in found and len(found) >= limit):
            continue
        curve = found.setdefault(key, {name: [] for name in names})
        for name, column in zip(names, columns, strict=True):
            curve[name].append(column[i])
    return plain({"study": data.name, "curves": found})


def runs(data: StudyData) -> dict[str, Any]:
    """The stored tables of runs and of trials, row by row."""
    return plain({"study": data.name, "runs": data.runs.to_pylist(), "trials": data.trials.to_pylist()})


def plain(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer with null in the place of NaN and infinities, which JSON does not know."""
    return {str(key): _plain(item) for key, item in answer.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
