"""Recorded learning curves from elsewhere: tables in documented layouts, checked, for the replay. Reads files only.

Long layout (CSV, Parquet): a row an epoch with columns `config_<name>`, `epoch` (1-based), the study's metric and
optionally `seconds` and `task` (--task chooses); it is
 also the layout of the store's `epochs` table. Array layout (npz): `names` [d], `configs`
[n, d], `values` [n, epochs], optionally `seconds` [n]; taskset-dpl.npz's own keys are known too and need `task`.
A NaN says that the training failed there; nothing may follow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.space import Choice, Config, Int, SearchSpace, Value
from hpo.trial import digest
from hpo.yaml_text import nearest

Matrix = NDArray[np.float64]


class CurvesError(ValueError):
    """A table of curves that cannot answer: one sentence."""


@dataclass(frozen=True)
class RecordedTable:
    """`values[i, e - 1]`: the metric of `configs[i]` after epoch e, NaN from where it failed or was not trained on.

    `known[i]`: how many epochs are recorded; `failed[i]`: whether it failed after them. `seconds[i]`: of an epoch.
    """

    source: str
    configs: tuple[Config, ...]
    values: Matrix
    known: NDArray[np.int64]
    failed: NDArray[np.bool_]
    seconds: Matrix

    @property
    def epochs(self) -> int:
        """The longest recorded training."""
        return int(self.known.max(initial=0))


def load(source: str, space: SearchSpace, metric: str, task: str | None = None) -> RecordedTable:
    """A recorded table of a file. Raises CurvesError: what must hold, what was got."""
    path = Path(source)
    if not path.is_file():
        raise CurvesError(f"curves must be a store or a file of recorded curves, but there is no {source}")
    try:
        if path.suffix == ".npz":
            names, rows, values, seconds = _arrays(path, metric, task)
        elif path.suffix in (".csv", ".parquet"):
            names, rows, values, seconds = _long(_of_task(_read_long(path), source, task), metric, source)
        else:
            raise CurvesError(f"curves must be .npz, .csv or .parquet, or a store, but got {path.name}")
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, CurvesError):
            raise
        raise CurvesError(f"{source} must be a readable table of curves, but: {error}") from None
    return table(source, space, names, rows, values, seconds)


def table(
    source: str,
    space: SearchSpace,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    values: Matrix,
    seconds: Matrix,
) -> RecordedTable:
    """Checks and types a table: `rows` [n][d] of hyperparameters in the order of `names`, `values` [n, epochs]."""
    if not len(rows):
        raise CurvesError(f"{source} must record at least one configuration, but records none")
    for name in names:
        if name not in space.domains:
            raise CurvesError(
                f"{source} records {name!r}, which the study's space does not name; {nearest(name, space.names)}"
            )
    for name in space.names:
        if name not in names:
            raise CurvesError(f"{source} must record every hyperparameter of the study, but has no {name!r}")
    configs = [_config(space, dict(zip(names, row, strict=True)), source) for row in rows]
    seen: dict[str, int] = {}
    for i, config in enumerate(configs):
        if seen.setdefault(digest(dict(config)), i) != i:
            raise CurvesError(f"{source} must record each configuration once, but has {dict(config)} twice")
    known, failed = _lengths(values, source)
    return RecordedTable(source, tuple(configs), values, known, failed, seconds)


def _lengths(values: Matrix, source: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    finite = np.isfinite(values)
    known = np.where(finite.all(axis=1), values.shape[1], finite.argmin(axis=1))
    later = np.arange(values.shape[1]) >= known[:, None]
    broken = (finite & later).any(axis=1)
    if broken.any():
        row = int(broken.argmax())
        raise CurvesError(
            f"{source}: a NaN ends a curve, but row {row} goes on after the one at epoch {known[row] + 1}; "
            "remove what follows it, or give the missing value"
        )
    return known.astype(np.int64), known < values.shape[1]


def _config(space: SearchSpace, raw: Mapping[str, Any], source: str) -> Config:
    """The raw values as the space has them. Ranges may be left: the nearest configuration is what counts."""
    config: dict[str, Value] = {}
    for name, domain in space.domains.items():
        value = raw[name]
        if value is None or not space.active(name, config):
            continue
        if isinstance(domain, Choice):
            same = [option for option in domain.options if option == value or str(option) == str(value)]
            if not same:
                raise CurvesError(f"{source}: {name} must be one of {domain.describe()}, but got {value!r}")
            config[name] = same[0]
        else:
            config[name] = round(float(value)) if isinstance(domain, Int) else float(value)
    return config


def _arrays(path: Path, metric: str, task: str | None) -> tuple[list[str], list[list[Any]], Matrix, Matrix]:
    with np.load(path, allow_pickle=False) as file:
        if "hp_names" in file:
            return _taskset(file, path, metric, task)
        names = [str(name) for name in file["names"]]
        rows = [[item.item() if hasattr(item, "item") else item for item in row] for row in file["configs"]]
        values = np.asarray(file["values"], dtype=np.float64)
        seconds = np.asarray(file["seconds"], dtype=np.float64) if "seconds" in file else np.ones(len(values))
    if values.ndim != 2 or len(rows) != len(values):
        raise CurvesError(
            f"{path}: values must be [configurations, epochs], but got {values.shape} for {len(rows)} rows"
        )
    return names, rows, values, seconds


def _taskset(file: Any, path: Path, metric: str, task: str | None) -> tuple[list[str], list[list[Any]], Matrix, Matrix]:
    """12 tasks x 1,000 configurations x 51 points of TaskSet, as DPL has them; the metric is one of its losses."""
    tasks = [str(name) for name in file["tasks"]]
    if task not in tasks:
        raise CurvesError(
            f"--task must name one of {path.name}'s tasks, but got {task!r}; {nearest(task or '', tasks)}"
        )
    losses = {
        "train_loss": "train_loss",
        "val_loss": "valid_loss",
        "valid_loss": "valid_loss",
        "test_loss": "test_loss",
    }
    if metric not in losses:
        raise CurvesError(f"the study's metric must be one of {', '.join(losses)} for {path.name}, but got {metric!r}")
    values = np.asarray(file[losses[metric]][tasks.index(task)], dtype=np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    ends = np.where(np.isnan(values).any(axis=1), np.isnan(values).argmax(axis=1), values.shape[1])
    values[np.arange(values.shape[1]) >= ends[:, None]] = np.nan
    hp = np.asarray(file["hp"], dtype=np.float64)
    hp = hp[tasks.index(task)] if hp.ndim == 3 else hp
    return [str(n) for n in file["hp_names"]], hp.tolist(), values, np.ones(len(values))


def _read_long(path: Path) -> Any:
    from pyarrow import csv, parquet

    return csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)


def _of_task(whole: Any, source: str, task: str | None) -> Any:
    """The rows of one task, where the table has a column of that name."""
    if "task" not in whole.column_names:
        return whole
    from pyarrow import compute

    tasks = [str(name) for name in whole["task"].unique().to_pylist()]
    if task not in tasks:
        raise CurvesError(f"--task must name one of {source}'s tasks, but got {task!r}; {nearest(task or '', tasks)}")
    return whole.filter(compute.equal(compute.cast(whole["task"], "string"), task)).drop_columns("task")


def _long(whole: Any, metric: str, source: str) -> tuple[list[str], list[list[Any]], Matrix, Matrix]:
    columns = whole.column_names
    for needed in ("epoch", metric):
        if needed not in columns:
            raise CurvesError(f"{source} must have a column {needed!r}, but has {', '.join(columns)}")
    names = [name.removeprefix("config_") for name in columns if name.startswith("config_")]
    curves: dict[str, tuple[list[Any], dict[int, float], list[float]]] = {}
    for row in whole.to_pylist():
        config = [row[f"config_{name}"] for name in names]
        value = row[metric]
        _, points, seconds = curves.setdefault(
            digest([row.get("seed"), row.get("trial"), *map(str, config)]), (config, {}, [])
        )
        if row["epoch"] is None or row["epoch"] < 1:
            raise CurvesError(f"{source} must count epochs from 1, but has epoch {row['epoch']} of {config}")
        if row["epoch"] in points and not row.get("attempt"):
            raise CurvesError(f"{source} must record each epoch once, but has epoch {row['epoch']} of {config} twice")
        points.setdefault(int(row["epoch"]), float("nan") if value is None else float(value))
        seconds.append(float(row.get("seconds") or 1.0))
    longest = max((max(points) for _, points, _ in curves.values()), default=0)
    values = np.full((len(curves), longest), np.nan)
    for i, (config, points, _) in enumerate(curves.values()):
        missing = sorted(set(range(1, max(points) + 1)) - set(points))
        if missing:
            raise CurvesError(
                f"{source} must record every epoch up to the last, but epoch {missing[0]} of {config} is missing"
            )
        values[i, : len(points)] = [points[e] for e in sorted(points)]
    rows = [config for config, _, _ in curves.values()]
    return names, rows, values, np.array([float(np.mean(s)) for _, _, s in curves.values()])
