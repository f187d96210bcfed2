"""What a public benchmark is: its names and terms, its files at a place, its tasks. Reads the files by its layout."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Protocol

from hpo.errors import MissingExtra
from hpo.replay.sources.function import RecordedFunction
from hpo.replay.sources.table import CurvesError, Raw, RecordedTable, table
from hpo.study.modes import Mode
from hpo.study.space import SearchSpace
from hpo.text import meant, nearest, one_line

LISTED = 20  # most tasks that a message lists
BROKEN = (
    OSError,
    EOFError,
    StopIteration,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
    zlib.error,
)
"""What the readers of other people's files raise where these are cut off or hold something else."""


@dataclass(frozen=True)
class Task:
    """One task of a benchmark, as a study needs to know it.

    `metrics`: the mode of each, the one that is usually compared first. `epochs`: of the longest curve. `epoch`: what an
    epoch is. `drawn`: the recorded configurations were drawn from the space, so that a study of exactly these takes them as
    candidates; otherwise the benchmark answers every configuration of the space.
    """

    name: str
    space: SearchSpace
    metrics: Mapping[str, Mode]
    epochs: int
    drawn: bool = False
    epoch: str = "an epoch of training"

    @property
    def metric(self) -> str:
        """The metric that is usually compared."""
        return next(iter(self.metrics))


class Layout(Protocol):
    """A benchmark's files, opened. A reader may raise what BROKEN lists; `Files` makes a sentence of it."""

    def tasks(self) -> Sequence[str]: ...
    def task(self, name: str) -> Task: ...
    def curves(self, name: str, metric: str) -> Raw | RecordedFunction: ...


@dataclass(frozen=True)
class Benchmark:
    """A public benchmark that is known by name.

    `files`: what to give as its path. `published`: the names of files and folders under which it is found in a folder of
    benchmarks, patterns allowed. `reader`: "module:class" of its layout, which takes the path.
    """

    name: str
    about: str
    reader: str
    files: str
    published: tuple[str, ...]
    where: str
    licence: str
    citation: str

    def open(self, path: Path) -> Layout:
        """Opens the files with the benchmark's reader."""
        module, _, name = self.reader.partition(":")
        layout: Layout = getattr(import_module(f"hpo.replay.sources.benchmarks.{module}"), name)(path)
        return layout


@dataclass(frozen=True)
class Files:
    """A benchmark's files at a place. Every method raises CurvesError, one sentence, where they cannot be read."""

    benchmark: Benchmark
    path: Path
    _known: dict[str, Task] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def _layout(self) -> Layout:
        if not self.path.exists():
            raise CurvesError(
                f"{self.benchmark.name} must be given {self.benchmark.files}, but there is no {self.path}; "
                f"see hpo benchmarks {self.benchmark.name}"
            )
        return self.benchmark.open(self.path)

    def tasks(self) -> tuple[str, ...]:
        """Returns the names of the tasks that the files hold."""
        with self._reading():
            return tuple(self._layout.tasks())

    def task(self, name: str | None) -> Task:
        """Returns a task by its name; None is the only task. Raises CurvesError for a name that the files do not hold."""
        tasks = self.tasks()
        chosen = tasks[0] if name is None and len(tasks) == 1 else name
        if chosen is None or chosen not in tasks:
            near = meant(chosen, tasks) if len(tasks) > LISTED else f"; {nearest(chosen or '', tasks)}"
            raise CurvesError(
                f"--task must name one of {self.benchmark.name}'s {len(tasks)} tasks, but got {chosen!r}{near}; "
                f"hpo benchmarks {self.benchmark.name}:{self.path} lists them"
            )
        if chosen not in self._known:
            with self._reading():
                self._known[chosen] = self._layout.task(chosen)
        return self._known[chosen]

    def raw(self, metric: str, task: str | None = None, mode: str | None = None) -> Raw | RecordedFunction:
        """Returns a task's curves as the files hold them, or the function that computes them.

        Raises CurvesError for a metric that the task does not record, or another mode than its own.
        """
        found = self.task(task)
        if metric not in found.metrics:
            raise CurvesError(
                f"the study's metric must be one of {', '.join(found.metrics)} for {self._named(found)}, but got {metric!r}"
            )
        if mode is not None and mode != found.metrics[metric]:
            raise CurvesError(
                f"the study's mode must be {found.metrics[metric]}, as in {self._named(found)}, but is {mode}"
            )
        with self._reading():
            return self._layout.curves(found.name, metric)

    def answers(
        self, space: SearchSpace, metric: str, task: str | None = None, mode: str | None = None
    ) -> RecordedTable | RecordedFunction:
        """Returns what answers a study of a task: its table of curves, or its function. Raises CurvesError, also as `raw`."""
        read, found = self.raw(metric, task, mode), self.task(task)
        if not isinstance(read, Raw):
            _check_names(space, found, self._named(found))
            return read
        return table(self._named(found), space, read)

    def candidates(self, task: str | None = None) -> SearchSpace:
        """Returns a task's space; where its configurations were drawn, with these as the space's pool."""
        found = self.task(task)
        if not found.drawn:
            return found.space
        known = self.answers(found.space, found.metric, found.name)
        assert isinstance(known, RecordedTable)
        pool = [config for config in known.configs if config in found.space]
        return SearchSpace(found.space.domains, found.space.conditions, pool)

    def _named(self, task: Task) -> str:
        return f"{self.benchmark.name}'s {task.name}"

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except ModuleNotFoundError as error:
            raise MissingExtra.behind(error) or error from None
        except BROKEN as error:
            said = f"{type(error).__name__}: {one_line(error)}"
            raise CurvesError(
                f"{self.path} must be {self.benchmark.files}, as {self.benchmark.name} is published, but cannot be read "
                f"({said})"
            ) from None


def _check_names(space: SearchSpace, task: Task, source: str) -> None:
    """Raises CurvesError if a study does not search exactly the hyperparameters of a function."""
    for name in space.names:
        if name not in task.space.domains:
            raise CurvesError(
                f"the study's space must hold the hyperparameters of {source}, but has {name!r}; "
                f"{nearest(name, task.space.names)}"
            )
    for name in task.space.names:
        if name not in space.domains:
            raise CurvesError(f"the study's space must hold the hyperparameters of {source}, but has no {name!r}")
