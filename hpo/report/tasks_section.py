"""The report's sections on several tasks: anytime curves, importance, exams, ledgers and environments by task. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from hpo.report import reference
from hpo.report.canvas import Looks
from hpo.report.comparison_section import budget_figure
from hpo.report.exam_section import exam_tables
from hpo.report.importance_tables import tasks_table
from hpo.report.parts import Figures, Folded, Part, Section, Text, picture, table
from hpo.report.record_section import environment_table, ledger_table
from hpo.report.tables import Table, html
from hpo.results.importance import Importance
from hpo.results.values import Comparison
from hpo.store import StudyData


def anytime(comparison: Comparison, looks: Looks) -> Section:
    """Returns one figure a task: values of different tasks have no common scale."""
    pictures = []
    for number, task in enumerate(comparison.tasks):
        own = replace(comparison, runs=tuple(run for run in comparison.runs if run.study == task))
        if (drawn := budget_figure(own, task)) is not None:
            figure, label = drawn
            title = f"Best {comparison.metric} so far over {label.removesuffix(' of a run')}: {task}"
            pictures.append(picture(figure, f"anytime-{number}", title, _caption(comparison, task)))
    return Section(
        "anytime", "Best value so far", [Figures(pictures)] if pictures else [Text("No epoch has been charged yet.")]
    )


def _caption(comparison: Comparison, task: str) -> str:
    return f"{task}: mean over the runs with its 95 % interval.{reference.caption(comparison)}"


def importance(found: Mapping[str, Importance]) -> Section:
    """Returns each task's shares, and their means for the hyperparameters that all tasks search."""
    if not found:
        return Section("importance", "Importance", [Text("No task has enough trials to show what mattered.")])
    parts: list[Part] = [table(tasks_table(found))]
    parts += [Text(f"{task}: {note}") for task, one in found.items() for note in one.notes]
    return Section("importance", "Importance", parts)


def exams(studies: Sequence[StudyData]) -> Section:
    """Returns train, validation and test of every winner, one table a task."""
    parts: list[Part] = [_folded(content) for data in studies for content in exam_tables(data)]
    return Section("exam", "Final exam", parts or [Text("No winner has been tested.")])


def ledgers(studies: Sequence[StudyData]) -> Section:
    """Returns the ledgers of all runs, one table a task."""
    return Section("ledger", "The ledger", [_folded(ledger_table(data)) for data in studies])


def environments(studies: Sequence[StudyData]) -> Section:
    """Returns the environments, one table a task."""
    return Section("environment", "Environment", [_folded(environment_table(data)) for data in studies])


def _folded(content: Table) -> Folded:
    """Folds a table: with one for every task, they open on demand."""
    return Folded(content.title, Markup(html(content)))
