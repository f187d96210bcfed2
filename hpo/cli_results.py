"""Commands on stores: compare, importance, verify, export, serve. A room of the command line."""

from __future__ import annotations

import json
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from hpo.store import StudyData

errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

StoreArgument = Annotated[str, typer.Argument(metavar="STORE", help="A folder or s3://bucket/prefix with results.")]
StudyOption = Annotated[str | None, typer.Option("--study", metavar="NAME", help="Which study of the store.")]
StudiesOption = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="NAME", help="Which study; several (repeat it) are taken as tasks."),
]
EveryOption = Annotated[bool, typer.Option("--all", help="Every study of the store, as tasks.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not to stdout.")
]


class TableFormat(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"
    latex = "latex"
    html = "html"


class ExportFormat(StrEnum):
    csv = "csv"
    parquet = "parquet"
    json = "json"


FormatOption = Annotated[TableFormat, typer.Option("--format")]


def register(app: typer.Typer) -> None:
    """Adds the commands of this room."""
    for command in (compare, importance, verify, export, serve):
        app.command()(command)


def words(text: str | None) -> list[str] | None:
    """`a,b` as a list; None for none."""
    return [part.strip() for part in text.split(",")] if text else None


def seed_numbers(text: str | None) -> list[int] | None:
    """`0,1` as a list; None for none. Raises StudyError for anything else."""
    from hpo.yaml_text import StudyError

    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError:
        raise StudyError(f"--seeds must be whole numbers with commas between them, but got {text!r}") from None


def out(text: str, output: Path | None) -> None:
    """To stdout, or to a file that appears whole."""
    text = text if text.endswith("\n") else text + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    from hpo.files import write_whole

    write_whole(output, text.encode())


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
    names = _chosen(store, study, every)
    if len(names) > 1 and picture:
        raise typer.BadParameter("--picture shows one study, but there are several; name one with --study")
    if len(names) > 1:
        print_tasks(store, names, format.value, output, target=target, workers=workers, runs=runs)
    else:
        only = names[0] if names else None
        print_comparison(store, only, format.value, output, target=target, workers=workers, picture=picture, runs=runs)


def _chosen(store: str, study: list[str] | None, every: bool) -> list[str]:
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
    from hpo.compare import compare_many
    from hpo.importance import importance_or_none
    from hpo.report import tables

    studies = [stores.read(uri, name) for name in names]
    for warning in (warning for data in studies for warning in data.warnings):
        errors.print(f"warning: {warning}")
    comparison = compare_many(studies, target=target, workers=workers)
    if format != "html":
        out(tables.render(comparison, format, runs=runs), output)
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
    from hpo.compare import compare as compare_study
    from hpo.report import tables

    data = stores.read(uri, study)
    for warning in data.warnings:
        errors.print(f"warning: {warning}")
    comparison = compare_study(data, target=target, workers=workers)
    if picture is not None:
        from hpo.report.comparison_section import save_picture

        save_picture(comparison, picture)
    if format != "html":
        out(tables.render(comparison, format, runs=runs), output)
        return
    from hpo import report
    from hpo.importance import importance_or_none
    from hpo.report.record_section import command_of

    path = output or Path(f"{data.name}.html")
    report.write_html(data, comparison, importance_or_none(data, seed=0), path, command=command_of(data, uri))
    errors.print(f"report: {path.resolve()}")


def print_found(data: StudyData, format: str) -> None:
    """The comparison of tables that no store holds: a replay's."""
    from hpo.compare import compare as compare_study
    from hpo.report import tables

    out(tables.render(compare_study(data), format), None)


def importance(
    store: StoreArgument,
    study: StudiesOption = None,
    every: EveryOption = False,
    pairs: Annotated[bool, typer.Option("--pairs/--no-pairs", help="Pairs of hyperparameters as well.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the forest and its intervals.")] = 0,
    format: FormatOption = TableFormat.table,
    output: OutputOption = None,
) -> None:
    """Which hyperparameters matter (functional ANOVA), in a study or over several as tasks."""
    from hpo import store as stores
    from hpo.importance import importance as importance_of
    from hpo.report import tables
    from hpo.report.importance_tables import tasks_table

    names = _chosen(store, study, every)
    data = [stores.read(store, name) for name in names] or [stores.read(store)]
    found = {one.name: importance_of(one, pairs=pairs, seed=seed) for one in data}
    if len(found) == 1:
        out(tables.render(found[data[0].name], format.value), output)
    elif format is TableFormat.json:
        out(as_json([one.to_json() for one in found.values()]), output)
    else:
        out(tables.render_tables([tasks_table(found)], format.value), output)


def verify(store: StoreArgument, study: StudyOption = None) -> None:
    """Derive every ledger and comparison again from the epochs and say what does not add up."""
    from hpo import store as stores
    from hpo.audit import audit

    problems = stores.verify(store, study)
    for name in [study] if study else stores.studies(store):
        problems += [f"{name}: {problem}" for problem in audit(stores.read(store, name))]
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    print("every ledger, order, incumbent and comparison follows from the epochs")


def export(
    store: StoreArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go.")],
    study: StudyOption = None,
    format: Annotated[ExportFormat, typer.Option()] = ExportFormat.csv,
) -> None:
    """Write every table of a study as a file."""
    from hpo import store as stores

    for path in stores.export(store, study, format.value, folder):
        print(path)


def serve(
    store: StoreArgument,
    host: Annotated[str, typer.Option(help="Beyond loopback only with HPO_SERVE_TOKEN set.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
) -> None:
    """Serve the API and the live page of a store."""
    from hpo.service.server import serve as serve_store

    serve_store(store, host=host, port=port, token=os.environ.get("HPO_SERVE_TOKEN"))


def as_json(value: object) -> str:
    """Indented JSON without NaN."""
    return json.dumps(value, indent=2, allow_nan=False)
