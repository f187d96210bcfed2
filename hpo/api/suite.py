"""A suite in code: one study over several tasks, and the results of its tasks side by side. Writes only a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo import store as stores
from hpo.api.plan import SuitePlan, checked
from hpo.api.results import Results
from hpo.api.stores import NoSuchStudy
from hpo.api.study import Study, keys_given
from hpo.api.summaries import Comparison, Importance
from hpo.errors import StudyError
from hpo.results.importance import importance_or_none
from hpo.results.view import View
from hpo.study import suite
from hpo.text import nearest, shown


class Suite(suite.Suite[Study]):
    """One study over several tasks: `tasks` holds a study for each, named SUITE.TASK, by the task's name.

    Built from a study and what each task changes of it, `hpo.Suite(study, {"shoes": {"data": {...}}})`, or from the names
    of recorded tasks, `hpo.Suite(study, ["shoes", "leaves"])`; or read from a study file with `tasks` by `Suite.load`.
    """

    def __init__(self, study: Study, tasks: Mapping[str, Mapping[str, Any] | None] | Sequence[str]) -> None:
        """Validates each task's study. Raises StudyError, one sentence."""
        values = keys_given(study)
        found = suite.of(values, dict(tasks) if isinstance(tasks, Mapping) else list(tasks), study.folder, Study)
        super().__init__(found.name, found.tasks)

    @classmethod
    def load(cls, source: str | Path, tasks: Sequence[str] | None = None, **changes: Any) -> Suite:
        """Loads a study file with `tasks`. `tasks`: those to keep, or those that a file without any is played for.

        `changes`: as for `Study.load`. Raises StudyError: one sentence with file, line and column.
        """
        found = suite.load(source, tasks=tasks, kind=Study, **changes)
        if isinstance(found, Study):
            raise StudyError(f"a suite must have tasks, but {source} has none; hpo.Study.load reads a study")
        return cls.of(found)

    @classmethod
    def of(cls, found: suite.Suite[Study]) -> Suite:
        """Returns a suite of studies as one with what a Python user needs besides."""
        made = cls.__new__(cls)
        suite.Suite.__init__(made, found.name, found.tasks, found.document)
        return made

    def check(self, address: str | None = None) -> SuitePlan:
        """Validates each task's study as `hpo.run` does, and returns the suite's plan; trains nothing. Raises HpoError."""
        self.check_trainable()
        return SuitePlan.of(self, [checked(study, address) for study in self.studies])

    def stored_in(self, store: str | Path) -> Suite:
        """Returns the suite with another store."""
        return Suite.of(self.each(lambda study: study.stored_in(store)))

    def __repr__(self) -> str:
        return f"<Suite {self.name}: {', '.join(self.tasks)}>"


class SuiteResults(Mapping[str, Results]):
    """The results of a suite: those of each study by its name, and the comparison of the methods over all of them."""

    def __init__(self, name: str, found: Mapping[str, Results]) -> None:
        self.name, self._found = name, dict(found)

    def __getitem__(self, name: str) -> Results:
        known = {**self._found, **{study.removeprefix(f"{self.name}."): found for study, found in self._found.items()}}
        if name not in known:
            raise NoSuchStudy(
                f"the task must be one of the suite {self.name}, but got {shown(name)}; {nearest(name, known)}"
            )
        return known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def compare(
        self, *, target: float | None = None, workers: int | None = None, difference: float | str | None = None,
        objectives: str | Sequence[str] | None = None, reference: Sequence[float] | None = None,
        constraints: str | Sequence[str] = (),
    ) -> Comparison:  # fmt: skip
        """Compares the methods over the tasks, as `hpo compare` does; options as for `Results.compare`."""
        data = [found.data for found in self._found.values()]
        view = View.read(objectives, reference, constraints)
        return Comparison.of(view.compared(data, target=target, workers=workers, difference=difference)[0])

    def importance(self) -> dict[str, Importance]:
        """Tells which hyperparameters mattered, for each task with enough trials."""
        found = {name: importance_or_none(one.data) for name, one in self._found.items()}
        return {name: Importance.of(one) for name, one in found.items() if one is not None}

    def report(self, path: str | Path) -> Path:
        """Writes the HTML report on all tasks, one file that needs no network, and returns its path."""
        from hpo.report import write_tasks

        data = [found.data for found in self._found.values()]
        commands = dict.fromkeys(str(one.environment.get("command", "")) for one in data)
        return Path(
            write_tasks(data, self.compare(), self.importance(), path, command="\n".join(filter(None, commands)))
        )

    def __repr__(self) -> str:
        return f"<Results of {self.name}: {', '.join(self._found)}>"

    def _repr_html_(self) -> str:
        from hpo.api.html import box, said
        from hpo.api.html import shown as shown_tables
        from hpo.report.comparison_tables import method_tables

        found = self.compare()
        return box(said(found.verdict), shown_tables(method_tables(found)), title=self.name)


def stored(found: suite.Suite[Study], store: str) -> SuiteResults:
    """Returns the results of a suite's studies that a store holds."""
    return SuiteResults(
        found.name, {study.study: Results(stores.read(store, study.study), store) for study in found.studies}
    )
