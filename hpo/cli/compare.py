"""`hpo compare`: compares the methods of a stored study, or of several as tasks."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.objectives import ConstraintOption, ObjectivesOption, ReferenceOption
from hpo.cli.options import (
    AllTablesOption,
    EveryOption,
    FormatOption,
    OutputOption,
    StoreArgument,
    StudiesOption,
    TableFormat,
    check_output,
    check_picture,
    errors,
    out,
    writing,
)
from hpo.results.view import PLAIN, View

if TYPE_CHECKING:
    from hpo.results.values import Comparison
    from hpo.store import StudyData
    from hpo.store.state import State


OtherArgument = Annotated[
    str | None,
    typer.Argument(metavar="OTHER", help="A second store or bundle of the same study: how far do the two differ?"),
]
TargetOption = Annotated[float | None, typer.Option(help="Count the epochs until the metric reaches this value.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Estimate the time of each method alone on this many workers.")
]
PictureOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw the anytime curves into FILE (.svg, .png or .pdf).")
]
DifferenceOption = Annotated[
    str | None,
    typer.Option(metavar="D", help="The smallest difference that matters: 0.005, or '1 %' (default: the study's)."),
]
RunsOption = Annotated[bool, typer.Option("--runs", help="List the winner of every run too (csv: the winners only).")]


def compare(
    store: StoreArgument,
    other: OtherArgument = None,
    study: StudiesOption = None,
    every: EveryOption = False,
    format: FormatOption = TableFormat.table,
    output: OutputOption = None,
    target: TargetOption = None,
    workers: WorkersOption = None,
    picture: PictureOption = None,
    difference: DifferenceOption = None,
    runs: RunsOption = False,
    all_tables: AllTablesOption = False,
    objectives: ObjectivesOption = None,
    reference: ReferenceOption = None,
    constraint: ConstraintOption = None,
) -> None:
    """Compare the methods of a study, or of several studies as tasks, or two runs of one study."""
    check_picture(picture)
    check_output(output)
    view = View.read(objectives, reference, constraint or ())
    names = chosen_studies(store, study, every)
    if other is not None:
        alone = (target, workers, picture, difference, objectives, reference, constraint)
        if len(names) > 1 or every or runs or all_tables or any(option is not None for option in alone):
            raise typer.BadParameter("two stores are compared in one study: only --study, --format and -o may be given")
        print_repetition(store, other, names[0] if names else None, format.value, output)
        return
    if len(names) > 1 and picture:
        raise typer.BadParameter("--picture draws one study, but got several; name one with --study")
    shown: dict[str, Any] = {
        "target": target, "workers": workers, "difference": difference, "runs": runs, "all_tables": all_tables, "view": view,
    }  # fmt: skip
    if len(names) > 1:
        print_tasks(store, names, format.value, output, **shown)
    else:
        print_comparison(store, names[0] if names else None, format.value, output, picture=picture, **shown)


def chosen_studies(store: str, study: list[str] | None, every: bool) -> list[str]:
    """Returns the names of the studies that are meant: a suite's name means all of its studies.

    No name means the store's only study, which is none here, or its only suite.
    """
    from hpo import store as stores

    return stores.studies(store) if every else stores.chosen(store, list(dict.fromkeys(study or [])))


def print_tasks(uri: str, names: list[str], format: str, output: Path | None = None, **shown: Any) -> Comparison:
    """Prints the comparison over several stored studies in one of the formats, and returns it; see `show_tasks`."""
    from hpo import store as stores

    studies = [stores.read(uri, name) for name in names]
    return show_tasks(studies, uri, format, output, states=states_of(uri, studies), **shown)


def show_tasks(
    studies: Sequence[StudyData], uri: str, format: str, output: Path | None = None, *, states: Mapping[str, State],
    target: float | None = None, workers: int | None = None, difference: str | None = None, runs: bool = False,
    all_tables: bool = False, view: View = PLAIN,
) -> Comparison:  # fmt: skip
    """Prints the comparison over several studies, which come from `uri` and are in these states, and returns it."""
    from hpo import report
    from hpo.report.comparison_tables import render_comparison
    from hpo.results.importance import importance_or_none

    for warning in (warning for data in studies for warning in data.warnings):
        errors.print(f"warning: {warning}")
    comparison, shown = view.compared(studies, target=target, workers=workers, difference=difference)
    comparison = replace(comparison, states=states)
    if format != "html":
        out(render_comparison(comparison, format, runs=runs, short=not all_tables), output)
        return comparison
    found = {data.name: one for data in studies if (one := importance_or_none(data, seed=0)) is not None}
    from hpo.report.record_section import command_of

    path = output or Path("comparison.html")
    chosen = [word for data in studies for word in ("--study", data.name)]
    commands = [
        *(command_of(data, uri) for data in studies),
        shlex.join(["hpo", "compare", uri, *chosen, *view.words, "--format", "html"]),
    ]
    with writing("--output", path):
        report.write_tasks(shown, comparison, found, path, command="\n".join(commands))
    errors.print(f"report: {path.resolve()}")
    return comparison


def print_comparison(uri: str, study: str | None, format: str, output: Path | None = None, **shown: Any) -> Comparison:
    """Prints the comparison of a stored study in one of the formats, and returns it; see `show_comparison`."""
    from hpo import store as stores

    data = stores.read(uri, study)
    return show_comparison(data, uri, format, output, states=states_of(uri, [data]), **shown)


def show_comparison(
    data: StudyData, uri: str, format: str, output: Path | None = None, *, states: Mapping[str, State],
    target: float | None = None, workers: int | None = None, difference: str | None = None,
    picture: Path | None = None, runs: bool = False, all_tables: bool = False, view: View = PLAIN,
) -> Comparison:  # fmt: skip
    """Prints the comparison of a study, which comes from `uri` and is in this state, and returns it.

    A table on a terminal stands below the anytime curves.
    """
    from hpo.report.comparison_tables import render_comparison

    for warning in data.warnings:
        errors.print(f"warning: {warning}")
    comparison, (shown,) = view.compared([data], target=target, workers=workers, difference=difference)
    comparison = replace(comparison, states=states)
    if picture is not None:
        from hpo.report.comparison_section import save_picture

        with writing("--picture", picture):
            save_picture(comparison, picture)
    if format != "html":
        drawn = curves(comparison) if format == "table" and output is None else ""
        out(render_comparison(comparison, format, runs=runs, short=not all_tables, figure=drawn), output)
        return comparison
    from hpo import report
    from hpo.report.record_section import command_of
    from hpo.results.importance import importance_or_none

    path = output or Path(f"{data.name}.html")
    importance = importance_or_none(data, seed=0)
    with writing("--output", path):
        report.write_html(shown, comparison, importance, path, command=command_of(data, uri))
    errors.print(f"report: {path.resolve()}")
    return comparison


def states_of(uri: str, studies: Sequence[StudyData]) -> dict[str, State]:
    """Returns what becomes of each of a store's studies at this moment, by its name."""
    from hpo.storage.place import place
    from hpo.store import signs

    where = place(uri)
    return {data.name: signs.read(where, data.name, data) for data in studies}


def print_repetition(first: str, second: str, study: str | None, format: str, output: Path | None = None) -> None:
    """Prints how far two runs of one study differ; each is in a store or a bundle."""
    from hpo import store as stores
    from hpo.report.repetition_tables import render_repetition
    from hpo.results.repetition import repetition

    before = stores.read(first, study)
    after = stores.read(second, study or before.name)
    for warning in (*before.warnings, *after.warnings):
        errors.print(f"warning: {warning}")
    out(render_repetition(repetition(before, after), format), output)


def print_found(studies: Sequence[StudyData], format: str, *, all_tables: bool) -> None:
    """Prints the comparison of studies that no store holds, such as a replay's."""
    from hpo.report.comparison_tables import render_comparison
    from hpo.results.compare import compare_many

    found = compare_many(studies)
    drawn = curves(found) if format == "table" and len(studies) == 1 else ""
    out(render_comparison(found, format, short=not all_tables, figure=drawn), None)


def curves(found: Comparison) -> str:
    """Draws the anytime curves if stdout is a terminal that can show them, in its colours; else returns an empty text."""
    if not sys.stdout.isatty() or "utf" not in sys.stdout.encoding.lower():
        return ""
    from rich.console import Console

    from hpo.report.comparison_section import budget_bands
    from hpo.report.looks import method_looks
    from hpo.report.terminal_plot import NARROWEST, anytime

    console, (bands, label) = Console(markup=False, emoji=False, highlight=False), budget_bands(found)
    if not bands or console.width < NARROWEST:
        return ""
    with console.capture() as drawn:
        console.print(anytime(bands, method_looks(found), metric=found.metric, x_label=label, width=console.width))
    return drawn.get().rstrip()
