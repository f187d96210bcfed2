"""Tables with a row for each configuration and epoch, as several benchmarks are stored. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpo.replay.sources.table import CurvesError, Raw


def curves(
    rows: Any,
    names: Sequence[str],
    metric: str,
    keys: Sequence[str],
    *,
    epoch: str = "epoch",
    time: str | None = None,
    last: int | None = None,
) -> Raw:
    """Returns the curves in an Arrow table.

    `keys`: columns that may tell the configurations apart; the first that the table has does. `time`: the column of seconds
    since training began. Epochs below 1 and above `last` are left out.
    """
    key = next((name for name in keys if name in rows.column_names), None)
    for needed in (key or keys[0], epoch, metric, *names):
        if needed not in rows.column_names:
            raise CurvesError(f"the table must have a column {needed!r}, but has {', '.join(rows.column_names)}")
    which, epochs = rows[key].to_numpy(), rows[epoch].to_numpy().astype(np.int64)
    kept = (epochs >= 1) & (epochs <= (last if last is not None else epochs.max(initial=1)))
    _, first, place = np.unique(which[kept], return_index=True, return_inverse=True)
    values = np.full((len(first), int(epochs[kept].max(initial=1))), np.nan)
    values[place, epochs[kept] - 1] = rows[metric].to_numpy().astype(np.float64)[kept]
    seconds = np.ones(len(first))
    if time is not None and time in rows.column_names:
        passed = np.zeros_like(values)
        passed[place, epochs[kept] - 1] = rows[time].to_numpy().astype(np.float64)[kept]
        seconds = per_epoch(passed)
    chosen = rows.select(list(names)).take(np.flatnonzero(kept)[first])
    return Raw(names, [[row[name] for name in names] for row in chosen.to_pylist()], values, seconds)


def per_epoch(passed: Any) -> Any:
    """Returns the mean seconds of an epoch [n] from the seconds since training began [n, epochs], 0 or NaN after a curve's
    end."""
    known = np.nan_to_num(passed)
    lengths = np.maximum(1, (known > 0).sum(axis=1))
    return known.max(axis=1) / lengths
