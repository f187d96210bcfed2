"""`hpo compare`: the methods of a stored study, or of several as tasks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import (
    EveryOption,
    FormatOption,
    OutputOption,
    StoreArgument,
    StudiesOption,
    TableFormat,
    errors,
    out,
)

if TYPE_CHECKING:
    from hpo.store import StudyData


def compare(
    store: StoreArgument,
    study: StudiesOption = None,
    every: EveryOption = False,
    format: FormatOption = TableFormat.table,
    output: OutputOption = None,
    target: Annotated[float | None, typer.Option(help="A value of the metric: epochs until it is reached.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers for the time that each method would take alone.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="The anytime curves as .svg, .png or .pdf.")] = None,
    runs: Annotated[bool, typer.Option("--runs", help="The winner of every run as well; csv: these alone.")] = False,
) -> None:
    """Compare the methods of a study, or of several as tasks."""
    names = chosen_studies(store, study, every)
    if len(names) > 1 and picture:
        raise typer.BadParameter("--picture shows one study, but there are several; name one with --study")
    if len(names) > 1:
        print_tasks(store, names, format.value, output, target=target, workers=workers, runs=runs)
    else:
        only = names[0] if names else None
        print_comparison(store, only, format.value, output, target=target, workers=workers, picture=picture, runs=runs)


def chosen_studies(store: str, study: list[str] | None, every: bool) -> list[str]:
    """The studies that are meant; none where the store's only one is."""
    from hpo import store as stores

    return stores.studies(store) if every else list(dict.fromkeys(study or []))


def print_tasks(
    uri: str, names: list[str], format: str, output: Path | None, *, target: float | None, workers: int | None,
    runs: bool,
) -> None:  # fmt: skip
    """The comparison over several stored studies, in one of the formats."""
    from hpo import report
    from hpo import store as stores
    from hpo.report.comparison_tables import render_comparison
    from hpo.results.compare import compare_many
    from hpo.results.importance import importance_or_none

    studies = [stores.read(uri, name) for name in names]
    for warning in (warning for data in studies for warning in data.warnings):
        errors.print(f"warning: {warning}")
    comparison = compare_many(studies, target=target, workers=workers)
    if format != "html":
        out(render_comparison(comparison, format, runs=runs), output)
        return
    found = {data.name: one for data in studies if (one := importance_or_none(data, seed=0)) is not None}
    from hpo.report.record_section import command_of

    path = output or Path("comparison.html")
    chosen = [word for name in names for word in ("--study", name)]
    commands = [
        *(command_of(data, uri) for data in studies),
        shlex.join(["hpo", "compare", uri, *chosen, "--format", "html"]),
    ]
    report.write_tasks(studies, comparison, found, path, command="\n".join(commands))
    errors.print(f"report: {path.resolve()}")


def print_comparison(
    uri: str, study: str | None, format: str, output: Path | None = None, *,
    target: float | None = None, workers: int | None = None, picture: Path | None = None, runs: bool = False,
) -> None:  # fmt: skip
    """The comparison of a stored study, in one of the formats."""
    from hpo import store as stores
    from hpo.report.comparison_tables import render_comparison
    from hpo.results.compare import compare as compare_study

    data = stores.read(uri, study)
    for warning in data.warnings:
        errors.print(f"warning: {warning}")
    comparison = compare_study(data, target=target, workers=workers)
    if picture is not None:
        from hpo.report.comparison_section import save_picture

        save_picture(comparison, picture)
    if format != "html":
        out(render_comparison(comparison, format, runs=runs), output)
        return
    from hpo import report
    from hpo.report.record_section import command_of
    from hpo.results.importance import importance_or_none

    path = output or Path(f"{data.name}.html")
    report.write_html(data, comparison, importance_or_none(data, seed=0), path, command=command_of(data, uri))
    errors.print(f"report: {path.resolve()}")


def print_found(data: StudyData, format: str) -> None:
    """The comparison of tables that no store holds: a replay's."""
    from hpo.report.comparison_tables import render_comparison
    from hpo.results.compare import compare as compare_study

    out(render_comparison(compare_study(data), format), None)
