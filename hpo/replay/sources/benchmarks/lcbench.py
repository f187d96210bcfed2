"""LCBench: 2,000 configurations of funnel-shaped networks on each of 35 tabular data sets. Reads files.

As published: a JSON file (data_2k_lw.json, data_2k.json, six_datasets_lw.json) of data sets, each of runs "0", "1", ...,
each of `config` and `log`. A curve has 52 points: the first is taken before training, the last once more after it, and both
are left out. The files are large, so that only the part of one data set is parsed. As mf-prior-bench stores it: a folder of
DATASET.parquet (or .csv) with a row for each configuration and epoch. Accuracies are percentages, as published; balanced
accuracies are shares.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.benchmarks.long_tables import curves
from hpo.replay.sources.layouts import read_table
from hpo.replay.sources.table import CurvesError, Raw, matrix
from hpo.study.modes import Mode
from hpo.study.space import Float, Int, SearchSpace

EPOCHS = 50
SPACE = SearchSpace({
    "batch_size": Int(16, 512, log=True),
    "learning_rate": Float(1e-4, 0.1, log=True),
    "momentum": Float(0.1, 0.99),
    "weight_decay": Float(1e-5, 0.1),
    "num_layers": Int(1, 5),
    "max_units": Int(64, 1024, log=True),
    "max_dropout": Float(0.0, 1.0),
})  # fmt: skip
TAGS: Mapping[str, tuple[str, Mode]] = {
    "val_accuracy": ("Train/val_accuracy", "max"),
    "val_balanced_accuracy": ("Train/val_balanced_accuracy", "max"),
    "val_cross_entropy": ("Train/val_cross_entropy", "min"),
    "test_accuracy": ("Train/test_result", "max"),
    "test_balanced_accuracy": ("Train/test_balanced_accuracy", "max"),
    "test_cross_entropy": ("Train/test_cross_entropy", "min"),
}
LONGEST_NAME = 200  # bytes, with what is between a data set's name and its first run
FIRST_RUN = re.compile(rb'"((?:[^"\\]|\\.)+)"\s*:\s*(\{\s*"0"\s*:\s*\{)')


class LCBench:
    """LCBench's files: the JSON file, or a folder that holds it or a table for each data set."""

    def __init__(self, path: Path) -> None:
        found = [path] if path.is_file() else sorted(path.glob("*.json"))
        self._tables = {} if found else {p.stem: p for p in sorted((*path.glob("*.parquet"), *path.glob("*.csv")))}
        self._file = found[0] if found else None
        if self._file is None and not self._tables:
            raise CurvesError(f"{path} must hold LCBench's JSON file, or DATASET.parquet, but holds neither")

    def tasks(self) -> Sequence[str]:
        return tuple(self._tables or self._parts)

    def task(self, name: str) -> Task:
        return Task(name, SPACE, {metric: mode for metric, (_, mode) in TAGS.items()}, EPOCHS, drawn=True)

    def curves(self, name: str, metric: str) -> Raw:
        if self._tables:
            key = ("config_id", "id")
            return curves(read_table(self._tables[name]), SPACE.names, metric, key, time="time", last=EPOCHS)
        assert self._file is not None
        start, end = self._parts[name]
        with self._file.open("rb") as stream:
            stream.seek(start)
            runs = json.loads(stream.read(end - start))
        return _raw(runs, TAGS[metric][0])

    @cached_property
    def _parts(self) -> dict[str, tuple[int, int]]:
        """Where each data set's runs begin and end in the file, in bytes."""
        assert self._file is not None
        with self._file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
            found = [(json.loads(b'"' + m[1] + b'"'), m.start(), m.start(2)) for m in _first_runs(text)]
            if not found:
                raise CurvesError(
                    f'{self._file} must map data sets to runs "0", "1", ..., as LCBench does, but does not'
                )
            ends = [text.rfind(b",", 0, begin) for _, begin, _ in found[1:]] + [text.rfind(b"}")]
        return {name: (start, end) for (name, _, start), end in zip(found, ends, strict=True)}


def _first_runs(text: mmap.mmap) -> Iterator[re.Match[bytes]]:
    """Yields where a data set's name is followed by its run "0". Faster than to look for names in all of the file."""
    place = text.find(b'"0"')
    while place >= 0:
        found = FIRST_RUN.search(text, max(0, place - LONGEST_NAME), place + LONGEST_NAME)
        if found is not None and found.start(2) < place < found.end():
            yield found
        place = text.find(b'"0"', place + 1)


def _raw(runs: Mapping[str, Mapping[str, Any]], tag: str) -> Raw:
    rows, values, seconds = [], [], []
    for key in sorted(runs, key=int):
        config, log = runs[key]["config"], runs[key]["log"]
        rows.append([int(config[n]) if isinstance(SPACE.domains[n], Int) else config[n] for n in SPACE.names])
        if len(log[tag]) != len(log["time"]):
            raise CurvesError(
                f"run {key} must have a time for each of its {len(log[tag])} points of {tag}, but has not"
            )
        values.append(log[tag][1:-1])
        seconds.append((log["time"][-2] - log["time"][0]) / max(1, len(values[-1])))
    return Raw(SPACE.names, rows, matrix(values), np.array(seconds, dtype=np.float64))
