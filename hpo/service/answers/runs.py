"""What a study's runs have come to: from its charges, which are never behind. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa

from hpo.results import anytime
from hpo.results.anytime import Played
from hpo.results.standing import charge
from hpo.store import StudyData


def played(data: StudyData, epochs: pa.Table | None = None) -> dict[str, Played]:
    """Returns each run's charges in the order of its clock; with the `epochs` that they paid for, with their seconds."""
    empty = data.epochs.slice(0, 0)
    return anytime.played(data.charges, empty if epochs is None else epochs, data.definition["mode"], charge(data))


def unit(data: StudyData) -> str:
    """Returns what the study's budget counts: epochs or cost."""
    return "cost" if "cost" in data.definition["budget"] else "epochs"


def planned(data: StudyData) -> list[tuple[str, int]]:
    """Returns (method, seed) of every run, seed by seed; then those that only the store knows."""
    definition = data.definition
    found = [
        (str(m["label"]), int(seed)) for seed in definition.get("seeds", ()) for m in definition.get("methods", ())
    ]
    if data.runs.num_rows:
        found += zip(data.runs["method"].to_pylist(), data.runs["seed"].to_pylist(), strict=True)
    return list(dict.fromkeys(found))


def run_list(data: StudyData) -> list[dict[str, Any]]:
    """Returns one entry for every run of the study, also for those that have not begun. `data`: as its charges give it."""
    budget, counts = data.definition["budget"], _by_status(data)
    stored = {row["run"]: row for row in data.runs.to_pylist()}
    found = []
    for method, seed in planned(data):
        run = f"{method}/{seed}"
        row = stored.get(run, {})
        charged = row.get("charged_epochs") or 0
        found.append(
            {
                "run": run,
                "method": method,
                "seed": seed,
                "status": row.get("status") if charged or row.get("status") == "complete" else "waiting",
                "reason": row.get("reason"),
                "budget_epochs": row.get("budget_epochs") or budget.get("epochs"),
                "budget_cost": row.get("budget_cost") or budget.get("cost"),
                "charged_epochs": charged,
                "charged_cost": row.get("charged_cost"),
                "wasted_epochs": row.get("wasted_epochs") or 0,
                "best": row.get("incumbent_value"),
                "incumbent": row.get("incumbent_trial"),
                "trials": counts.get(run, {}),
            }
        )
    return found


def _by_status(data: StudyData) -> dict[str, dict[str, int]]:
    """Returns each run's number of trials by status."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    if data.trials.num_rows:
        counted = data.trials.group_by(["run", "status"]).aggregate([("number", "count")])
        for row in counted.to_pylist():
            found[row["run"]][row["status"]] = row["number_count"]
    return found


def ledger(data: StudyData) -> dict[str, Any]:
    """Returns every run's budget and charges, in what the study's budget counts. `data`: as its charges give it."""
    from hpo.report.record_section import ledger as section

    counts = unit(data)
    rows = []
    for row in data.runs.to_pylist():
        charged = row["charged_cost"] if counts == "cost" else row["charged_epochs"]
        rows.append(
            {
                **{name: row[name] for name in ("run", "method", "seed", "reason", "train_seconds")},
                **{name: row[name] or 0 for name in ("charged_epochs", "shared_epochs", "wasted_epochs")},
                "unit": counts,
                "budget": row["budget_cost"] if counts == "cost" else row["budget_epochs"],
                "charged": charged or 0,
            }
        )
    return {
        "study": data.name,
        "unit": counts,
        "trained_epochs": trained_epochs(data),
        "sentence": section(data).parts[0].text,  # type: ignore[union-attr]
        "runs": rows,
    }


def trained_epochs(data: StudyData) -> int:
    """Returns the epochs trained, without those trained again after a fault."""
    import pyarrow.compute as pc

    return int(pc.sum(pc.equal(data.epochs["attempt"], 0)).as_py() or 0) if data.epochs.num_rows else 0
