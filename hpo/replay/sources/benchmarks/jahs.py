"""JAHS-Bench-201: cells and hyperparameters searched together on 3 image data sets. Reads files.

As published: metric_data/TASK with train_set.pkl.gz, valid_set.pkl.gz and test_set.pkl.gz, the rows of one table that was
split to train surrogates; pandas' frames with the columns ("features", hyperparameter) and ("labels", metric). They are read
together, without running what the pickles name. N, W and Resolution are searched like the others, epochs are those of training.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks import pickles
from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.benchmarks.long_tables import per_epoch
from hpo.replay.sources.table import CurvesError, Raw
from hpo.study.modes import Mode
from hpo.study.space import Choice, Float, SearchSpace

SPACE = SearchSpace({
    "LearningRate": Float(1e-3, 1.0, log=True),
    "WeightDecay": Float(1e-5, 1e-2, log=True),
    "Activation": Choice(("ReLU", "Hardswish", "Mish")),
    "TrivialAugment": Choice((True, False)),
    **{f"Op{i}": Choice(tuple(range(5))) for i in range(1, 7)},
    "N": Choice((1, 3, 5)),
    "W": Choice((4, 8, 16)),
    "Resolution": Choice((0.25, 0.5, 1.0)),
})  # fmt: skip
LABELS = {"val_accuracy": "valid-acc", "test_accuracy": "test-acc", "train_accuracy": "train-acc"}
SETS = ("train_set.pkl.gz", "valid_set.pkl.gz", "test_set.pkl.gz")
FRAMES = (
    ("builtins", "slice"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.multi", "MultiIndex"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
    ("pandas.core.arrays.string_", "StringArray"),
    ("pandas.core.arrays.string_", "StringDtype"),
)


class JAHS:
    """JAHS-Bench-201's table: the folder metric_data, the one around it, or the folder of one task."""

    def __init__(self, path: Path) -> None:
        inside = path / "metric_data" if (path / "metric_data").is_dir() else path
        folders = [path] if (path / SETS[0]).exists() else sorted(file.parent for file in inside.glob(f"*/{SETS[0]}"))
        self._folders = {folder.name: folder for folder in folders}
        if not folders:
            raise CurvesError(f"{path} must hold TASK/{SETS[0]}, as JAHS-Bench-201's metric_data does, but holds none")

    def tasks(self) -> Sequence[str]:
        return tuple(self._folders)

    def task(self, name: str) -> Task:
        rows = self._rows(name)
        modes: dict[str, Mode] = {
            metric: "max" for metric, label in LABELS.items() if ("labels", label) in rows.columns
        }
        return Task(name, SPACE, modes, int(rows["features", "epoch"].max()), drawn=True)

    def curves(self, name: str, metric: str) -> Raw:
        rows = self._rows(name)
        features = rows["features"][list(SPACE.names)]
        place = features.groupby(list(SPACE.names), sort=False).ngroup().to_numpy()
        epochs = rows["features", "epoch"].to_numpy().astype(np.int64)
        _, first = np.unique(place, return_index=True)
        values = np.full((len(first), int(epochs.max())), np.nan)
        passed = np.zeros_like(values)
        values[place, epochs - 1] = rows["labels", LABELS[metric]].to_numpy().astype(np.float64)
        if ("labels", "runtime") in rows.columns:
            passed[place, epochs - 1] = rows["labels", "runtime"].to_numpy().astype(np.float64)
        else:
            passed += np.arange(1, values.shape[1] + 1)
        configs = [[_plain(value) for value in row] for row in features.iloc[first].itertuples(index=False, name=None)]
        failed = np.zeros(len(first), dtype=bool)
        return Raw(SPACE.names, configs, values, per_epoch(passed), failed, trials=True)

    def _rows(self, name: str) -> Any:
        if name not in self._frames:
            self._frames.clear()  # they are large
            self._frames[name] = _frame(self._folders[name])
        return self._frames[name]

    @cached_property
    def _frames(self) -> dict[str, Any]:
        return {}


class Frames(pickles.Harmless):
    """An unpickler for pandas' frames, also those of pandas 1, as the published ones are."""

    allowed = (*pickles.NUMBERS, *FRAMES)

    def find_class(self, module: str, name: str) -> Any:
        if module == "pandas.core.indexes.numeric":  # Int64Index and its like, which pandas 2 made one
            module, name = "pandas.core.indexes.base", "Index"
        return super().find_class(module, name)


def _frame(folder: Path) -> Any:
    import pandas as pd

    parts = []
    for name in SETS:
        if (folder / name).exists():
            with gzip.open(folder / name, "rb") as stream:
                parts.append(Frames(stream).load())
    rows = pd.concat(parts)
    for column in (*SPACE.names, "epoch"):
        if ("features", column) not in rows.columns:
            raise CurvesError(f"{folder} must record the hyperparameter {column!r}, but does not")
    return rows


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
