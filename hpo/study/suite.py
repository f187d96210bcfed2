"""A suite: one study over several tasks, each of which changes its data, its model and the like. Reads study files.

Its file is a study file with `tasks`: a mapping of names to what each task changes, or a list of names, for recorded curves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from hpo.errors import StudyError
from hpo.study.messages import Located, one_sentence
from hpo.study.study import Study, find
from hpo.study.yaml_file import Document, Location
from hpo.text import nearest, shown

S = TypeVar("S", bound=Study)

SHARED = ("study", "methods", "seeds", "store", "suite", "tasks", "priority", "owner")
"""The keys that no task may change: without equal methods and seeds there is nothing to compare."""


@dataclass(frozen=True)
class Suite(Generic[S]):
    """The studies of a suite by the names of their tasks. They are named SUITE.TASK and share a store."""

    name: str
    tasks: Mapping[str, S]
    document: Document | None = field(default=None, repr=False)

    @property
    def studies(self) -> tuple[S, ...]:
        """The studies in the order of the tasks."""
        return tuple(self.tasks.values())

    @property
    def store(self) -> str:
        """The store of all of them."""
        return self.studies[0].store

    def only(self, names: Sequence[str]) -> Suite[S]:
        """Returns the suite with these tasks only. Raises StudyError for one that it does not have."""
        for name in names:
            if name not in self.tasks:
                raise StudyError(
                    f"--tasks must name tasks of the suite {self.name}, but got {shown(name)}; {nearest(name, self.tasks)}"
                )
        return Suite(self.name, {name: study for name, study in self.tasks.items() if name in names}, self.document)

    def each(self, change: Callable[[S], S]) -> Suite[S]:
        """Returns the suite with every study as `change` makes it."""
        return Suite(self.name, {task: change(study) for task, study in self.tasks.items()}, self.document)

    def check_trainable(self) -> None:
        """Raises StudyError where two tasks would train the same: names alone tell only recorded curves apart."""
        seen: dict[str, str] = {}
        for task, study in self.tasks.items():
            if (other := seen.setdefault(study.task_digest, task)) != task:
                message = (
                    f"tasks must differ in data, model, fixed or trainable to be trained, but {shown(other)} and "
                    f"{shown(task)} do not; a list of names is for `hpo replay`"
                )
                raise StudyError(f"{self.document.place(('tasks',))}: {message}" if self.document else message)


class Part(Document):
    """One task's part of a suite's document: the whole study that it makes, and places within the task where it says so."""

    def __init__(self, whole: Document, at: Location, changed: Mapping[str, Any], values: dict[str, Any]) -> None:
        self.path, self.root, self.values = whole.path, whole.root, values
        self._at, self._changed = at, changed

    def place(self, location: Sequence[str | int]) -> str:
        return super().place((*self._at, *location) if self._says(location) else location)

    def _says(self, location: Sequence[str | int]) -> bool:
        """Tells whether the task itself sets what is there."""
        if not location:  # the study as a whole
            return True
        first, *rest = location
        section = self._changed.get(str(first))
        return str(first) in self._changed and (not rest or not isinstance(section, Mapping) or str(rest[0]) in section)


Spaces = Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Any]]
"""What derives the space of each task, by its name, from the values of each task; a study without tasks has the name ""."""


def load(
    source: str | Path,
    *,
    kind: type[S],
    tasks: Sequence[str] | None = None,
    spaces: Spaces | None = None,
    **changes: Any,
) -> S | Suite[S]:
    """Loads a study file, or a suite if it has tasks. `tasks`: those of the suite, or names that a study is played for.

    `changes`: as for `Study.load`. Raises StudyError: one sentence with file, line and column.
    """
    path, folder = find(source)
    document = Document(path)
    given = document.values.get("tasks")
    if given is None and tasks is None:
        if spaces is not None:
            with one_sentence(document, kind.model_fields):
                document.values |= {"space": found} if (found := spaces({"": document.values}).get("")) else {}
        return kind.of(document, folder, **changes)
    suite = of(document.values, tasks if given is None else given, folder, kind, document, spaces, changes)
    return suite if given is None or tasks is None else suite.only(tasks)


def of(
    values: Mapping[str, Any], tasks: Any, folder: Path, kind: type[S], document: Document | None = None,
    spaces: Spaces | None = None, changes: Mapping[str, Any] | None = None,
) -> Suite[S]:  # fmt: skip
    """Returns the suite of a study's values and its tasks. Raises StudyError, with its place in the document if there is one."""
    with one_sentence(document, kind.model_fields):
        parts = _parts(values, tasks)
        whole = {task: _merged(parts.common, changed) for task, changed in parts.changed.items()}
        for task, space in (spaces(whole) if spaces else {}).items():
            whole[task]["space"] = space
    found: dict[str, S] = {}
    for i, (task, own) in enumerate(whole.items()):
        own |= {"study": parts.names[task], "suite": parts.name}
        at: Location = ("tasks", task if isinstance(tasks, Mapping) else i)
        if document is not None:
            found[task] = kind.of(Part(document, at, parts.changed[task], own), folder, **(changes or {}))
        else:
            with _of_task(task), one_sentence(None, kind.model_fields):
                found[task] = kind.model_validate({**own, "folder": folder})
                found[task].validate_parts()
    return Suite(parts.name, found, document)


@contextmanager
def _of_task(task: str) -> Iterator[None]:
    try:
        yield
    except StudyError as error:
        raise StudyError(f"task {shown(task)}: {error}") from None


@dataclass(frozen=True)
class _Parts:
    """A suite's values apart: its name, what its tasks have in common, what each changes, and the names of their studies."""

    name: str
    common: Mapping[str, Any]
    changed: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, str]


def _parts(values: Mapping[str, Any], tasks: Any) -> _Parts:
    """Takes the values of a file apart. Raises Located for tasks that cannot hold."""
    name = values.get("study")
    if not isinstance(name, str) or not name:
        raise Located(("study",), f"study must be the suite's name, but got {shown(name)}")
    if values.get("suite") is not None:
        raise Located(("suite",), f"a study with tasks is a suite itself, named by its study; leave out suite {name}")
    changed = _changed(tasks)
    names = {task: f"{name}.{re.sub(r'[^A-Za-z0-9._-]+', '_', task)}" for task in changed}
    twice = [study for study, count in Counter(names.values()).items() if count > 1]
    if twice:
        both = [shown(task) for task, study in names.items() if study == twice[0]]
        raise Located(
            ("tasks",), f"tasks must have names that differ in letters and digits, but got {' and '.join(both)}"
        )
    common = {key: value for key, value in values.items() if key != "tasks"}
    return _Parts(name, common, changed, names)


def _changed(tasks: Any) -> dict[str, Mapping[str, Any]]:
    """Returns what each task changes, by its name."""
    if isinstance(tasks, Mapping):
        found = dict(tasks)
    elif isinstance(tasks, list | tuple) and all(isinstance(task, str | int | float) for task in tasks):
        found = dict.fromkeys(map(str, tasks))
        if len(found) < len(tasks):
            raise Located(("tasks",), f"tasks must differ, but got {shown(list(tasks))}")
    else:
        raise Located(
            ("tasks",), f"tasks must map names to what each task changes, or list names, but got {shown(tasks)}"
        )
    if not found:
        raise Located(("tasks",), "tasks must name at least one task, but names none")
    for task, changed in found.items():
        if changed is not None and not isinstance(changed, Mapping):
            raise Located(("tasks", task), f"a task must map keys of the study to values, but got {shown(changed)}")
        for key in changed or ():
            if key in SHARED:
                raise Located(
                    ("tasks", task, key), f"a task must leave {key} to the whole suite, but {shown(task)} sets it"
                )
    return {task: changed or {} for task, changed in found.items()}


def _merged(common: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a study's values with those of a task: a section keeps the keys that the task does not set."""
    both = {
        key: {**common[key], **value}
        for key, value in changed.items()
        if isinstance(value, Mapping) and isinstance(common.get(key), Mapping)
    }
    return {**common, **changed, **both}
