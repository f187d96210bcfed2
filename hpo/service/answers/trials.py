"""A page of the trials table, and its parallel coordinates. Pure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.report.series import axes, place, value_range
from hpo.service.answers.columns import OWN, Trials
from hpo.store import StudyData
from hpo.store.columns import PREFIX


def page(trials: Trials, matched: pa.Table, offset: int, limit: int) -> dict[str, Any]:
    """Returns a page of the rows that the filters let through."""
    rows = matched.slice(offset, limit)
    cells = [rows[column.name].to_pylist() for column in trials.columns]
    return {
        "study": trials.study,
        "total": trials.table.num_rows,
        "matched": matched.num_rows,
        "offset": offset,
        "columns": trials.described,
        "rows": [list(row) for row in zip(*cells, strict=True)],
    }


def parallel(data: StudyData, trials: Trials, limit: int) -> dict[str, Any]:
    """Returns the axes and at most about `limit` lines, spread evenly over the trials with a value; the best are kept."""
    ways, metric = axes(data), data.definition["metric"]
    known = trials.table.filter(pc.is_valid(trials.table["best_value"]))
    winners = pc.is_in(known["trial"], value_set=data.runs["incumbent_trial"].combine_chunks().drop_null())
    rows = known.take(pa.array(_spread(known.num_rows, limit, np.flatnonzero(winners.to_numpy()))))
    best = set(data.runs["incumbent_trial"].to_pylist())
    named = {name: PREFIX + name if name in OWN else name for name in ways}
    columns = [
        [place(axis, value) for value in rows[named[name]].to_pylist()] if named[name] in rows.schema.names
        else [math.nan] * rows.num_rows
        for name, axis in ways.items()
    ]  # fmt: skip
    columns.append(rows["best_value"].to_pylist())
    low, high = value_range(known["best_value"].to_pylist())
    dimensions = [
        {"name": name, "kind": "choice" if axis.names else "range", "values": list(axis.names) or None,
         "low": axis.low, "high": axis.high, "log": axis.log}
        for name, axis in ways.items()
    ]  # fmt: skip
    dimensions.append({"name": metric, "kind": "range", "values": None, "low": low, "high": high, "log": False})
    lines = zip(rows["trial"].to_pylist(), rows["run"].to_pylist(), zip(*columns, strict=True), strict=True)
    return {
        "study": data.name,
        "total": known.num_rows,
        "dimensions": dimensions,
        "rows": [
            {"trial": trial, "run": run, "values": list(values), "best": trial in best} for trial, run, values in lines
        ],
    }


def _spread(count: int, limit: int, kept: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns at most `limit` places of `count`, evenly spread, and those to keep, in order."""
    if count <= limit:
        return np.arange(count)
    return np.unique([*np.linspace(0, count - 1, limit).round().astype(np.int64), *kept])
