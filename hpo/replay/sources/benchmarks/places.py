"""Where a benchmark's files are: at the path after its name, or in the folder that HPO_BENCHMARKS names. Reads folders."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from hpo.files import expanded
from hpo.replay.sources.benchmarks.benchmark import Benchmark, Files
from hpo.replay.sources.benchmarks.known import BENCHMARKS
from hpo.replay.sources.table import CurvesError

FOLDER = "HPO_BENCHMARKS"


def named(source: str) -> Files | None:
    """Returns the benchmark that a source names: NAME:PATH, or NAME alone; None for a source that names none.

    NAME alone is looked for in the folder of benchmarks, unless there is a file or folder of this name. Raises CurvesError
    for a benchmark that is not there.
    """
    name, colon, path = source.partition(":")
    benchmark = BENCHMARKS.get(name)
    if benchmark is None or (not colon and Path(source).exists()):
        return None
    if path:
        return _files(benchmark, expanded(path))
    found = present(benchmark, folder())
    if found is None:
        raise CurvesError(
            f"{name} must be given {benchmark.files}, as {name}:PATH or in the folder that {FOLDER} names, but is not "
            f"there; see hpo benchmarks {name}"
        )
    return found


def folder(given: Path | None = None) -> Path | None:
    """Returns the folder of benchmarks: the given one, or that of the environment; None for none. Raises CurvesError."""
    value = given if given is not None else os.environ.get(FOLDER)
    if not value:
        return None
    place = expanded(value)
    if not place.is_dir():
        raise CurvesError(f"the folder of benchmarks must be a folder, but {place} is none")
    return place


def present(benchmark: Benchmark, place: Path | None) -> Files | None:
    """Returns a benchmark's files in a folder of benchmarks: under its own name or as published; None where it has none."""
    if place is None:
        return None
    for pattern in (benchmark.name, f"{benchmark.name}.*", *benchmark.published):
        for path in sorted(place.glob(pattern)):
            return _files(benchmark, path)
    return None


def _files(benchmark: Benchmark, path: Path) -> Files:
    """Returns the files at a path: the same ones as long as these do not change, because some take minutes to read."""
    return _opened(benchmark.name, path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=1)
def _opened(name: str, path: Path, changed: int) -> Files:
    return Files(BENCHMARKS[name], path)
