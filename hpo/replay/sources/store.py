"""A store of this project as a source of recorded curves: finished configurations, times of epochs. Reads stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo import store as stores
from hpo.game.curves import Curves, Failed, Trained
from hpo.replay.sources import Raw, RecordedTable
from hpo.replay.sources import table as as_table
from hpo.store import StudyData
from hpo.store.recover import recorded
from hpo.study.space import Value
from hpo.study.study import Study
from hpo.study.values import digest


def from_store(uri: str, study: Study, task: str | None = None) -> StudyData:
    """Reads the study that `task` names, else the study of the same name, or else the store's only one."""
    names = stores.studies(uri)
    return stores.read(uri, next((name for name in (task, study.study) if name in names), task))


def epoch_seconds(data: StudyData) -> dict[str, float]:
    """Returns each trial's mean measured seconds per epoch."""
    found: dict[str, list[float]] = {}
    for row in data.epochs.select(["trial", "seconds", "attempt"]).to_pylist():
        if row["attempt"] == 0 and row["seconds"] is not None:
            found.setdefault(row["trial"], []).append(row["seconds"])
    return {trial: float(np.mean(seconds)) for trial, seconds in found.items()}


def finished(data: StudyData, study: Study, seconds: Mapping[str, float] | None = None) -> RecordedTable | None:
    """Returns the configurations that were trained to the end or failed; None if there are none.

    Of a configuration that was trained with several seeds the lowest seed counts. A curve that early stopping ended
    stays at its best value from there on, because the weights of its best epoch are what it leaves.
    """
    curves, found = Curves(), dict[str, tuple[str, list[Value | None], list[float]]]()
    recorded(curves, data, study.metric)
    best = max if study.mode == "max" else min
    whole = study.budget.max_epochs
    for row in sorted(data.trials.to_pylist(), key=lambda row: (row["seed"], row["trial"])):
        trial = row["trial"]
        values = [
            v for e in range(1, whole + 1) if isinstance(c := curves.cell(trial, e), Trained) and (v := c.value) == v
        ]
        config = _config(study, row)
        ended = curves.closed(trial) and not isinstance(curves.cell(trial, len(values) + 1), Failed)
        if ended and values:
            values += [best(values)] * (whole - len(values))
        if len(values) == whole or (curves.closed(trial) and values):
            found.setdefault(digest(config), (trial, list(config.values()), values))
    if not found:
        return None
    curves_of = [values for _, _, values in found.values()]
    raw = Raw(
        study.space.names,
        [row for _, row, _ in found.values()],
        np.array([[*values, *[np.nan] * (whole - len(values))] for values in curves_of]),
        np.array([(seconds or {}).get(trial, 1.0) for trial, _, _ in found.values()]),
    )
    return as_table(f"the store of {data.name}", study.space, raw)


def _config(study: Study, row: Mapping[str, Any]) -> dict[str, Value | None]:
    """Returns the values in a row of `trials`, None for those that do not exist; older stores hold inexact levels."""
    found = {name: row.get(f"config_{name}") for name in study.space.names}
    return {**found, **study.space.snap({name: value for name, value in found.items() if value is not None})}
