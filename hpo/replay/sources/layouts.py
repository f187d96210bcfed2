"""The documented file layouts of recorded curves. Reads files; writes nothing.

Long layout (CSV, Parquet): one row per epoch with columns `config_<name>`, `epoch` (1-based), the study's metric and
optionally `seconds` of the epoch and `task` (--task chooses one); the store's `epochs` table has this layout too.
A curve ends with its last row: a NaN there means that training failed, any other value that it just ended.
Array layout (npz): `names` [d], `configs` [n, d], `values` [n, epochs], optionally `seconds` [n]; a NaN means that
training failed there. The keys of taskset-dpl.npz are understood too and need `task`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks import taskset
from hpo.replay.sources.table import CurvesError, Raw, matrix
from hpo.text import nearest

ARRAYS = ("names", "configs", "values")


def read_arrays(path: Path, metric: str, task: str | None) -> Raw:
    """Reads an .npz file."""
    with np.load(path, allow_pickle=False) as file:
        if not set(ARRAYS) <= set(file):
            if set(taskset.ARRAYS) <= set(file):
                return _taskset(file, path, metric, task)
            raise CurvesError(
                f"{path} must have the keys {', '.join(ARRAYS)} (or TaskSet's: {', '.join(taskset.ARRAYS)} and its losses), "
                f"but has {', '.join(file) or 'none'}"
            )
        names = [str(name) for name in file["names"]]
        rows = [[item.item() if hasattr(item, "item") else item for item in row] for row in file["configs"]]
        values = np.asarray(file["values"], dtype=np.float64)
        seconds = np.asarray(file["seconds"], dtype=np.float64) if "seconds" in file else np.ones(len(values))
    if values.ndim != 2 or len(rows) != len(values):
        raise CurvesError(
            f"{path}: values must be [configurations, epochs], but got {values.shape} for {len(rows)} rows"
        )
    return Raw(names, rows, values, seconds)


def _taskset(file: Any, path: Path, metric: str, task: str | None) -> Raw:
    """Reads 12 tasks x 1,000 configurations x 51 points of TaskSet, as DPL stores them; the metric is one of its losses."""
    tasks = [str(name) for name in file["tasks"]]
    if task not in tasks:
        raise CurvesError(
            f"--task must name one of {path.name}'s tasks, but got {task!r}; {nearest(task or '', tasks)}"
        )
    metric = metric.replace("valid_", "val_")
    if metric not in taskset.LOSSES or f"{taskset.LOSSES[metric]}_loss" not in file:
        known = ", ".join((*taskset.LOSSES, "valid_loss"))
        raise CurvesError(f"the study's metric must be one of {known} for {path.name}, but got {metric!r}")
    return taskset.raw(*taskset.arrays(file, path, task, metric))


def read_table(path: Path) -> Any:
    """Reads a CSV or Parquet file as an Arrow table."""
    from pyarrow import csv, parquet

    if path.suffix == ".parquet":
        return parquet.read_table(path)
    options = csv.ConvertOptions()
    return csv.read_csv(path, convert_options=csv.ConvertOptions(null_values=[*options.null_values, "None"]))


def of_task(whole: Any, source: str, task: str | None) -> Any:
    """Returns the rows of one task if the table has a column `task`, else all rows."""
    if "task" not in whole.column_names:
        return whole
    from pyarrow import compute

    tasks = [str(name) for name in whole["task"].unique().to_pylist()]
    if task not in tasks:
        raise CurvesError(f"--task must name one of {source}'s tasks, but got {task!r}; {nearest(task or '', tasks)}")
    return whole.filter(compute.equal(compute.cast(whole["task"], "string"), task)).drop_columns("task")


def tasks_of(path: Path) -> list[str]:
    """Returns the tasks of a file in their order; none where it has one only."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return [str(name) for name in file["tasks"]] if set(taskset.ARRAYS) <= set(file) else []
    whole = read_table(path)
    return [str(name) for name in whole["task"].unique().to_pylist()] if "task" in whole.column_names else []


def configs_of(path: Path) -> list[dict[str, Any]]:
    """Returns the configurations of all tasks of a file with one row per epoch, each once; none of another layout."""
    whole = read_table(path) if path.suffix in (".csv", ".parquet") else None
    names = [name for name in whole.column_names if name.startswith("config_")] if whole is not None else []
    if whole is None or not names or "epoch" not in whole.column_names:
        return []
    rows = whole.select(names).group_by(names, use_threads=False).aggregate([]).to_pylist()
    return [{name.removeprefix("config_"): value for name, value in row.items()} for row in rows]


def long(whole: Any, metric: str, source: str) -> Raw:
    """Converts a table with one row per epoch."""
    columns = whole.column_names
    for needed in ("epoch", metric):
        if needed not in columns:
            raise CurvesError(f"{source} must have a column {needed!r}, but has {', '.join(columns)}")
    names = [name.removeprefix("config_") for name in columns if name.startswith("config_")]
    configs = list(zip(*(whole[f"config_{name}"].to_pylist() for name in names), strict=True)) or [()] * len(whole)
    whose = [whole[name].to_pylist() for name in ("seed", "trial") if name in columns]
    times, attempts = (whole[n].to_pylist() if n in columns else [None] * len(whole) for n in ("seconds", "attempt"))
    curves: dict[tuple[str, ...], tuple[tuple[Any, ...], dict[int, float], list[float]]] = {}
    rows = zip(whole["epoch"].to_pylist(), whole[metric].to_pylist(), times, attempts, configs, *whose, strict=True)
    for epoch, value, seconds, attempt, config, *trial in rows:
        _, points, spent = curves.setdefault((*map(str, trial), *map(str, config)), (config, {}, []))
        if not isinstance(epoch, int | float) or not epoch >= 1 or epoch % 1:
            raise CurvesError(f"{source} must count epochs from 1, but has epoch {epoch} of {list(config)}")
        if epoch in points and not attempt:
            raise CurvesError(f"{source} must record each epoch once, but has epoch {epoch} of {list(config)} twice")
        points.setdefault(int(epoch), float("nan") if value is None else float(value))
        spent.append(float(seconds or 1.0))
    values = [in_order(points, f"{source} must record every epoch", list(c)) for c, points, _ in curves.values()]
    return Raw(
        names,
        [config for config, _, _ in curves.values()],
        matrix(values),
        np.array([float(np.mean(s)) for _, _, s in curves.values()]),
        np.array([not np.isfinite(curve).all() for curve in values], dtype=bool),
    )


def in_order(points: dict[int, float], must: str, config: object) -> list[float]:
    """Returns the values of epochs 1..n. Raises CurvesError if one is missing."""
    missing = set(range(1, max(points, default=0) + 1)) - set(points)
    if missing:
        raise CurvesError(f"{must} up to the last, but epoch {min(missing)} of {config} is missing")
    return [points[epoch] for epoch in sorted(points)]
