"""The choice of a reader for a file or folder of recorded curves. Reads files; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpo.replay.sources import layouts, optuna, tune
from hpo.replay.sources.benchmarks.places import named
from hpo.replay.sources.function import RecordedFunction
from hpo.replay.sources.table import CurvesError, Raw, RecordedTable, table
from hpo.storage.place import is_sealed
from hpo.study.space import SearchSpace


def knows(source: str) -> bool:
    """Reports whether a source is a benchmark, a file, an Optuna storage or a Ray Tune folder, rather than a store."""
    if named(source):
        return True
    file = Path(source).is_file() and not is_sealed(source)
    return "sqlite:" in source or file or tune.is_experiment(Path(source))


def load(
    source: str, space: SearchSpace, metric: str, task: str | None = None, mode: str | None = None
) -> RecordedTable | RecordedFunction:
    """Reads a source into a checked table; a benchmark may be a function instead.

    `task` chooses one of several tasks; `mode` is checked if the source records one. Raises CurvesError.
    """
    benchmark = named(source)
    if benchmark is not None:
        return benchmark.answers(space, metric, task, mode)
    return table(source, space, raw(source, metric, task, mode))


def raw(source: str, metric: str, task: str | None = None, mode: str | None = None) -> Raw:
    """Reads a source as it holds its curves; otherwise as for `load`."""
    with _readable(source) as path:
        return _raw(path, metric, task, mode)


def tasks_of(source: str) -> list[str]:
    """Returns the tasks of a source by name, in its order; none where it has one only. Raises CurvesError."""
    if (benchmark := named(source)) is not None:
        return list(benchmark.tasks())
    with _readable(source) as path:
        if path.is_file() and optuna.is_storage(path):
            return optuna.tasks_of(path)
        return layouts.tasks_of(path) if path.suffix in (".npz", ".csv", ".parquet") else []


def configs_of(source: str) -> list[dict[str, Any]]:
    """Returns the configurations of all tasks together, where they share their hyperparameters; none elsewhere."""
    with _readable(source) as path:
        return layouts.configs_of(path) if path.is_file() and not optuna.is_storage(path) else []


@contextmanager
def _readable(source: str) -> Iterator[Path]:
    path = Path(source.removeprefix("sqlite:///"))
    if not path.exists():
        raise CurvesError(f"curves must be a store or a file of recorded curves, but there is no {source}")
    try:
        yield path
    except (OSError, KeyError, ValueError) as error:
        raise CurvesError(f"{source} must be a readable table of curves, but: {error}") from None


def _raw(path: Path, metric: str, task: str | None, mode: str | None) -> Raw:
    if tune.is_experiment(path):
        return tune.read(path, metric)
    if path.is_file() and optuna.is_storage(path):
        return optuna.read(path, task, mode)
    if path.suffix == ".npz":
        return layouts.read_arrays(path, metric, task)
    if path.suffix in (".csv", ".parquet"):
        whole = layouts.read_table(path)
        if optuna.is_dataframe(whole.column_names):
            return optuna.read_dataframe(whole, path.name)
        return layouts.long(layouts.of_task(whole, str(path), task), metric, str(path))
    raise CurvesError(
        "curves must be a .npz, .csv or .parquet file, an Optuna storage, a Ray Tune experiment's folder, a benchmark as "
        f"NAME:PATH, or a store, but got {path.name}"
    )
