"""TaskSet: 1,000 settings of the optimizer Adam on many small training tasks. Reads files.

As published: a folder TASK for each task with files such as adam8p_wide_grid_1k_10000_replica5.npz (`optimizers` [n], `ys`
[n, repetitions, points, losses]), and beside them the optimizers' settings, adam8p_wide_grid.json, from TaskSet's code. As DPL
publishes it: TASK.json for each task, or all in one .npz. Of several repetitions the mean counts; it fails where one of them
diverged.

A curve's first point is the loss before training, so that epoch 1 is the second. TaskSet drew 1 - beta evenly over magnitudes,
so that a study must search that: `beta1` becomes `one_minus_beta1`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.table import CurvesError, Raw
from hpo.study.modes import Mode
from hpo.study.space import Float, SearchSpace

Matrix = NDArray[np.float64]

RANGES = {
    "learning_rate": Float(1e-8, 10.0, log=True),
    "one_minus_beta1": Float(1e-4, 1.0, log=True),
    "one_minus_beta2": Float(1e-6, 1.0, log=True),
    "epsilon": Float(1e-10, 1e3, log=True),
    "l1": Float(1e-8, 10.0, log=True),
    "l2": Float(1e-8, 10.0, log=True),
    "linear_decay": Float(1e-7, 1e-4, log=True),
    "exponential_decay": Float(1e-6, 1e-3, log=True),
}
LOSSES = {"val_loss": "valid", "train_loss": "train", "test_loss": "test"}
COLUMNS = ("train", "valid", "test")  # of the last axis of `ys`; a second validation loss may follow
SETTINGS = ("adam8p", "adam6p", "adam4p", "adam1p")
PUBLISHED = "{}_wide_grid_1k_10000_replica5.npz"
ARRAYS = ("tasks", "hp_names", "hp")


class TaskSet:
    """TaskSet's files: DPL's .npz, or a folder of DPL's .json files or of TaskSet's own folders."""

    def __init__(self, path: Path) -> None:
        inside = sorted(path.glob("taskset*.npz")) if path.is_dir() else [path]
        self._arrays = inside[0] if inside and inside[0].suffix == ".npz" else None
        self._json = {} if self._arrays else {p.stem: p for p in (path.glob("*_bs*.json") if path.is_dir() else [path])}
        self._own = {
            task.parent.name + ("" if setting == SETTINGS[0] else f"/{setting}"): (
                task,
                path / f"{setting}_wide_grid.json",
            )
            for setting in SETTINGS
            for task in path.glob(f"*/{PUBLISHED.format(setting)}")
        }
        if not (self._arrays or self._json or self._own):
            raise CurvesError(
                f"{path} must hold TASK.json files as DPL publishes them, or TASK/{PUBLISHED.format('adam8p')}, but holds "
                "neither"
            )

    def tasks(self) -> Sequence[str]:
        if self._arrays:
            with np.load(self._arrays, allow_pickle=False) as file:
                _check(file, self._arrays)
                return [str(name) for name in file["tasks"]]
        return sorted(self._json or self._own)

    def task(self, name: str) -> Task:
        names, _, values = self._read(name, "val_loss")
        space = SearchSpace({renamed: RANGES[renamed] for renamed in map(_renamed, names)})
        modes: dict[str, Mode] = dict.fromkeys(LOSSES, "min")
        return Task(
            name, space, modes, values.shape[1] - 1, drawn=True, epoch="a fiftieth of the 10,000 training steps"
        )

    def curves(self, name: str, metric: str) -> Raw:
        return raw(*self._read(name, metric))

    def _read(self, name: str, metric: str) -> tuple[Sequence[str], Matrix, Matrix]:
        """Returns the names of hyperparameters, their values [n, d] and the losses [n, points]."""
        if self._arrays:
            with np.load(self._arrays, allow_pickle=False) as file:
                return arrays(file, self._arrays, name, metric)
        if self._json:
            trained = json.loads(self._json[name].read_text())
            names = [key for key in trained[0]["hp"] if _renamed(key) in RANGES]
            losses = [one[LOSSES[metric]]["loss"] for one in trained]
            return names, _numbers([one["hp"] for one in trained], names), np.array(losses, dtype=np.float64)
        return _published(*self._own[name], metric)


def arrays(file: Any, path: Path, task: str, metric: str) -> tuple[Sequence[str], Matrix, Matrix]:
    """Reads one task from DPL's .npz: names, configurations and losses."""
    _check(file, path)
    place = [str(name) for name in file["tasks"]].index(task)
    hp = np.asarray(file["hp"], dtype=np.float64)
    losses = np.asarray(file[f"{LOSSES[metric]}_loss"], dtype=np.float64)[place]
    return [str(name) for name in file["hp_names"]], hp[place] if hp.ndim == 3 else hp, losses


def _check(file: Any, path: Path) -> None:
    if not set(ARRAYS) <= set(file):
        raise CurvesError(f"{path} must have the keys {', '.join(ARRAYS)}, but has {', '.join(file) or 'none'}")


def _published(file: Path, settings: Path, metric: str) -> tuple[Sequence[str], Matrix, Matrix]:
    if not settings.exists():
        raise CurvesError(
            f"the settings of TaskSet's optimizers must be in {settings}, but are not; they are part of TaskSet's code "
            "(task_set/optimizers/configs)"
        )
    with np.load(file, allow_pickle=False) as found:
        optimizers, losses = found["optimizers"], np.asarray(found["ys"], dtype=np.float64)
    if losses.ndim != 4 or losses.shape[3] < len(COLUMNS):
        raise CurvesError(f"{file}: ys must be [optimizers, repetitions, points, losses], but got {losses.shape}")
    known = json.loads(settings.read_text())
    drawn = [known[name.decode() if isinstance(name, bytes) else str(name)][0] for name in optimizers]
    names = list(drawn[0])
    return names, _numbers(drawn, names), losses[:, :, :, COLUMNS.index(LOSSES[metric])].mean(axis=1)


def _numbers(drawn: Sequence[Mapping[str, float]], names: Sequence[str]) -> Matrix:
    return np.array([[one[name] for name in names] for one in drawn], dtype=np.float64)


def raw(names: Sequence[str], hp: Matrix, losses: Matrix) -> Raw:
    """Returns the curves of a task; one ends where it diverged, and nothing follows."""
    values = losses[:, 1:]
    failed = ~np.isfinite(values)
    ends = np.where(failed.any(axis=1), failed.argmax(axis=1), values.shape[1])
    values = np.where(np.arange(values.shape[1]) < ends[:, None], values, np.nan)
    betas = np.array([_renamed(name) != name for name in names])
    rows = np.where(betas, 1 - hp, hp).tolist()
    return Raw([_renamed(name) for name in names], rows, values, np.ones(len(values)))


def _renamed(name: str) -> str:
    return f"one_minus_{name}" if name.startswith("beta") else name
