"""The report's sections on several tasks: their curves side by side, importance per task and over tasks, exams. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from hpo.comparison import Comparison
from hpo.importance import Importance, Share, over_tasks
from hpo.report import plots
from hpo.report.canvas import Looks
from hpo.report.comparison_section import X_LABEL, epoch_bands
from hpo.report.exam_section import exam_tables
from hpo.report.parts import Figures, Folded, Part, Section, Text, picture, table
from hpo.report.record_section import ledger_table
from hpo.report.tables import Cell, Column, Table, html
from hpo.store import StudyData


def anytime(comparison: Comparison, looks: Looks) -> Section:
    """One figure a task: values of different tasks have no common scale."""
    pictures = []
    for number, task in enumerate(comparison.tasks):
        own = replace(comparison, runs=tuple(run for run in comparison.runs if run.study == task))
        curves = epoch_bands(own)
        if curves:
            figure = plots.anytime(curves, looks, metric=comparison.metric, x_label=X_LABEL)
            title = f"Best {comparison.metric} so far over charged epochs: {task}"
            pictures.append(picture(figure, f"anytime-{number}", title, f"{task}: mean over its runs, 95 % interval."))
    return Section("anytime", "Best value so far", [Figures(pictures)] if pictures else [Text("No epoch was charged.")])


def importance(found: Mapping[str, Importance]) -> Section:
    """Each task's shares and their mean over the tasks that all search a hyperparameter."""
    if not found:
        return Section("importance", "Importance", [Text("No task has enough trials to say what mattered.")])
    parts: list[Part] = [table(_shares(found))]
    parts += [Text(f"{task}: {note}") for task, one in found.items() for note in one.notes]
    return Section("importance", "Importance", parts)


def _shares(found: Mapping[str, Importance]) -> Table:
    mean = {share.name: share for share in over_tasks(list(found.values()))}
    names = list(mean) + [s.name for one in found.values() for s in one.shares if s.name not in mean]
    own = {task: {share.name: share.share for share in one.shares} for task, one in found.items()}
    columns = (
        Column("hyperparameter", "name", "text"), Column("mean", "mean", "percent"), Column("from", "low", "percent"),
        Column("to", "high", "percent"), *(Column(task, f"share_{task}", "percent") for task in found),
    )  # fmt: skip
    rows = tuple(
        _row(name, mean.get(name), [shares.get(name) for shares in own.values()]) for name in dict.fromkeys(names)
    )
    fits = ", ".join(f"{task} {one.fit:.2f}" for task, one in found.items())
    note = f"fANOVA: what each explains alone. R squared of the surrogates on trials that they had not seen: {fits}."
    return Table(f"Importance over {len(found)} tasks", columns, rows, note)


def _row(name: str, mean: Share | None, shares: Sequence[float | None]) -> tuple[Cell, ...]:
    across: tuple[Cell, ...] = (None, None, None) if mean is None else (mean.share, mean.low, mean.high)
    return (name, *across, *shares)


def exams(studies: Sequence[StudyData]) -> Section:
    """Train, validation and test of every winner, a table a task."""
    parts: list[Part] = [_folded(content) for data in studies for content in exam_tables(data)]
    return Section("exam", "Final exam", parts or [Text("No winner has been tested.")])


def ledgers(studies: Sequence[StudyData]) -> Section:
    """What every run was charged for, a table a task."""
    return Section("ledger", "The ledger", [_folded(ledger_table(data)) for data in studies])


def _folded(content: Table) -> Folded:
    """A table of runs that opens on demand: there is one for every task."""
    return Folded(content.title, Markup(html(content)))
