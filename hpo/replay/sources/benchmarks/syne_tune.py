"""Syne Tune's blackboxes: folders with a table of hyperparameters, arrays of objectives, and JSON beside them. Reads files.

A folder has configspace.json and metadata.json (`task_names`, `objectives_names`), and either hyperparameters.parquet [n],
objectives_evaluations.npy [tasks, n, repetitions, fidelities, objectives] and fidelities_values.npy for all tasks, or a set of
them for each task (TASK-hyperparameters.parquet, ...). An epoch is a step between the fidelities that are recorded. Of several
repetitions the mean counts. A NaN ends a curve: training failed there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.table import CurvesError, Raw
from hpo.study.modes import Mode, mode_of
from hpo.study.space import Choice, Domain, Float, Int, SearchSpace

SPACE, METADATA = "configspace.json", "metadata.json"
TIME = "metric_elapsed_time"  # metadata's key for the objective that counts the seconds since training began
DEFAULT = "metric_default"


class SyneTune:
    """Syne Tune's files: the folder of one blackbox, or a folder that holds several."""

    def __init__(self, path: Path) -> None:
        inside = [path] if (path / METADATA).exists() else sorted(file.parent for file in path.glob(f"*/{METADATA}"))
        self._boxes = {folder.name: Blackbox(folder) for folder in inside if (folder / SPACE).exists()}
        if not self._boxes:
            raise CurvesError(f"{path} must hold {SPACE} and {METADATA}, as Syne Tune's blackboxes do, but does not")

    @cached_property
    def _places(self) -> dict[str, tuple[Blackbox, str]]:
        several = len(self._boxes) > 1
        return {
            f"{name}/{task}" if several else task: (box, task)
            for name, box in self._boxes.items()
            for task in box.tasks
        }  # fmt: skip

    def tasks(self) -> Sequence[str]:
        return tuple(self._places)

    def task(self, name: str) -> Task:
        box, task = self._places[name]
        return box.task(name, task)

    def curves(self, name: str, metric: str) -> Raw:
        box, task = self._places[name]
        return box.curves(task, metric)


class Blackbox:
    """One blackbox: its tasks share a space and objectives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._about: Mapping[str, Any] = json.loads((folder / METADATA).read_text())
        self._declared: Mapping[str, Any] = json.loads((folder / SPACE).read_text())
        self.tasks: tuple[str, ...] = tuple(self._about["task_names"])
        self._objectives: list[str] = list(self._about["objectives_names"])

    def task(self, name: str, task: str) -> Task:
        usual = self._about.get(DEFAULT)
        known = sorted((o for o in self._objectives if o != self._about.get(TIME)), key=lambda o: o != usual)
        modes: dict[str, Mode] = {objective: mode_of(objective) or "min" for objective in known}
        space = self.space(task)
        whole = len(self._rows(task)) == space.size
        return Task(name, space, modes, self._values(task).shape[2], drawn=not whole, epoch=self._epoch(task))

    def curves(self, task: str, metric: str) -> Raw:
        rows, names = self._rows(task), self.space(task).names
        found = self._values(task)
        values = found[..., self._objectives.index(metric)].mean(axis=1)
        seconds = np.ones(len(values))
        if (time := self._about.get(TIME)) in self._objectives:
            passed = np.nanmax(np.nan_to_num(found[..., self._objectives.index(time)]), axis=(1, 2))
            seconds = passed / np.maximum(1, np.isfinite(values).sum(axis=1))
        return Raw(
            names, [[row[name] for name in names] for row in rows.to_pylist()], values, seconds, None, trials=True
        )

    def space(self, task: str) -> SearchSpace:
        """Returns the space as declared; a domain of levels is a choice of those that the table holds."""
        rows = self._rows(task)
        domains = {
            name: _domain(given, rows[name].unique().to_pylist())
            for name, given in self._declared.items()
            if isinstance(given, Mapping)
        }
        return SearchSpace(domains)

    def _rows(self, task: str) -> Any:
        return self._tables.setdefault(task, _table(self._file(task, "hyperparameters.parquet")))

    def _values(self, task: str) -> Any:
        """Returns a task's objectives [n, repetitions, fidelities, objectives]."""
        shared = self._folder / "objectives_evaluations.npy"
        array = np.load(self._file(task, "objectives_evaluations.npy"), mmap_mode="r", allow_pickle=False)
        place = self.tasks.index(task)
        values = np.asarray(array[place] if shared.exists() else array, dtype=np.float64)
        wanted = (len(self._rows(task)), len(self._objectives))
        if values.ndim != 4 or (len(values), values.shape[3]) != wanted:
            raise CurvesError(
                f"the objectives of {task} in {self._folder} must be [{wanted[0]}, repetitions, fidelities, {wanted[1]}], "
                f"but are {list(values.shape)}"
            )
        return values

    def _epoch(self, task: str) -> str:
        levels = np.load(self._file(task, "fidelities_values.npy", "fidelity_values.npy"), allow_pickle=False)
        name = self._about.get("time_attr", "fidelity")
        if np.array_equal(levels, np.arange(1, len(levels) + 1)):
            return f"a step of {name}"
        return f"a step of {name} through {levels[0]:g}, ..., {levels[-1]:g}"

    def _file(self, task: str, shared: str, own: str | None = None) -> Path:
        """Returns the file of all tasks, or the task's own."""
        path = self._folder / shared
        return path if path.exists() else self._folder / f"{task}-{own or shared}"

    @cached_property
    def _tables(self) -> dict[str, Any]:
        return {}


def _table(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.read_table(path)


def _domain(given: Mapping[str, Any], recorded: Sequence[Any]) -> Domain:
    """Returns a domain of Syne Tune's configspace.json, with the values that the table holds of it."""
    kind, options = given["domain_cls"], given["domain_kwargs"]
    log = "LogUniform" in str(given.get("sampler_cls"))
    if kind == "Float":
        return Float(float(options["lower"]), float(options["upper"]), log=log)
    if kind == "Integer":
        return Int(int(options["lower"]), int(options["upper"]), log=log)
    if kind in ("Categorical", "Ordinal", "OrdinalNearestNeighbor"):
        return Choice(tuple(options["categories"]))
    if kind == "FiniteRange":
        return Choice(tuple(sorted(recorded)))
    raise CurvesError(f"the domains of configspace.json must be ranges, choices or levels, but one is of {kind}")
