"""One trial: its configuration, its curve, the runs that asked for it, its failure. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.service.answers.curves import metrics
from hpo.service.problems import Problem
from hpo.store import StudyData
from hpo.store.columns import config, numbers, whole
from hpo.study.space_file import entries
from hpo.study.stored import to_yaml
from hpo.text import shown


def trial(data: StudyData, name: str, checkpoint: str | None = None) -> dict[str, Any]:
    """Returns all that is known of a trial. `data`: as its charges give it. Raises Problem 404 for none.

    `checkpoint`: where its newest one lies.
    """
    rows = data.trials.filter(pc.equal(data.trials["trial"], name)).to_pylist()
    epochs = data.epochs.filter(pc.equal(data.epochs["trial"], name)).sort_by(
        [("epoch", "ascending"), ("attempt", "ascending")]
    )
    failure = next((row for row in data.failures.to_pylist() if row["trial"] == name), None)
    if not rows and not epochs.num_rows and failure is None:
        raise Problem(404, f"the trial must be one of {data.name}, but it has no {shown(name)}")
    space = entries(data.definition.get("space", {}))
    found = config(rows[0] if rows else epochs.slice(0, 1).to_pylist()[0] if epochs.num_rows else {}, space)
    first = epochs.filter(pc.equal(epochs["attempt"], 0))
    furthest = max(rows, key=lambda row: row["epochs"], default=None)
    return {
        "study": data.name,
        "trial": name,
        "config": found,
        "status": furthest["status"] if furthest else "failed" if failure else "running",
        "epochs": first.num_rows,
        **_best(data, first),
        "curve": {"epoch": first["epoch"].to_pylist(), **{m: numbers(first, m).tolist() for m in metrics(data)}},
        "runs": [_asked(data, row) for row in rows],
        "attempts": _again(epochs),
        "worker": epochs["worker"][-1].as_py() if epochs.num_rows else None,
        "seconds": pc.sum(epochs["seconds"]).as_py() if epochs.num_rows else None,
        "failure": None if failure is None else {key: failure[key] for key in ("epoch", "kind", "reason")},
        "checkpoint": checkpoint,
        "command": f"config = {found!r}",
        "yaml": to_yaml(found),
    }


def _best(data: StudyData, first: pa.Table) -> dict[str, Any]:
    """Returns the best value and its epoch over all epochs trained."""
    values = numbers(first, str(data.definition["metric"]))
    known = np.where(np.isfinite(values), values if data.definition["mode"] == "max" else -values, -np.inf)
    if not len(known) or not np.isfinite(known.max()):
        return {"best_epoch": None, "best_value": None}
    place = int(known.argmax())
    return {"best_epoch": int(whole(first, "epoch")[place]), "best_value": float(values[place])}


def _again(epochs: pa.Table) -> list[dict[str, Any]]:
    again = epochs.filter(pc.greater(epochs["attempt"], 0))
    rows: list[dict[str, Any]] = again.select(["epoch", "attempt", "worker", "seconds", "finished"]).to_pylist()
    return rows


def _asked(data: StudyData, row: dict[str, Any]) -> dict[str, Any]:
    mine = pc.and_(pc.equal(data.charges["run"], row["run"]), pc.equal(data.charges["trial"], row["trial"]))
    charges = data.charges.filter(mine)
    orders, times = pc.min_max(charges["order"]).as_py(), pc.min_max(charges["at"]).as_py()
    won = data.runs.filter(pc.equal(data.runs["run"], row["run"]))["incumbent_trial"].to_pylist()
    names = ("run", "method", "seed", "number", "status", "epochs", "best_epoch", "best_value")
    return {
        **{name: row[name] for name in names}, "incumbent": row["trial"] in won,
        "first_order": orders["min"], "last_order": orders["max"], "began": times["min"], "ended": times["max"],
    }  # fmt: skip
