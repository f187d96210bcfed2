"""`hpo --service URL compare|importance|report|bundle|export`: a study's results, computed here from the service's tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.compare import (
    DifferenceOption,
    PictureOption,
    RunsOption,
    TargetOption,
    WorkersOption,
    show_comparison,
    show_tasks,
)
from hpo.cli.importance import ForestSeedOption, PairsOption, show_importance
from hpo.cli.objectives import ConstraintOption, ObjectivesOption, ReferenceOption, View
from hpo.cli.options import (
    AllTablesOption,
    FormatOption,
    OutputOption,
    StudiesOption,
    TableFormat,
    check_output,
    check_picture,
    errors,
)
from hpo.cli.remote.connection import connected
from hpo.cli.remote.studies import NameArgument
from hpo.cli.stores import ExportFormat
from hpo.errors import HpoError

if TYPE_CHECKING:
    from hpo.client import Client
    from hpo.store import StudyData

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help="Studies of the service, or suites (default: its only one)."),
]
EveryOption = Annotated[bool, typer.Option("--all", help="All studies of the service, compared as tasks.")]


def compare(
    context: typer.Context,
    names: NamesArgument = None,
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
    """Compare the methods of a study, or of several studies as tasks."""
    check_picture(picture)
    check_output(output)
    view = View.read(objectives, reference, constraint or ())
    client = connected(context)
    found, source = data_of(client, [*(names or []), *(study or [])], every), client.me()["store"]
    if len(found) > 1 and picture:
        raise typer.BadParameter("--picture draws one study, but got several; name one")
    shown: dict[str, Any] = {
        "target": target, "workers": workers, "difference": difference, "runs": runs, "all_tables": all_tables, "view": view,
    }  # fmt: skip
    if len(found) > 1:
        show_tasks(found, source, format.value, output, **shown)
    else:
        show_comparison(found[0], source, format.value, output, picture=picture, **shown)


def importance(
    context: typer.Context,
    names: NamesArgument = None,
    study: StudiesOption = None,
    every: EveryOption = False,
    pairs: PairsOption = False,
    seed: ForestSeedOption = 0,
    format: FormatOption = TableFormat.table,
    output: OutputOption = None,
) -> None:
    """Report which hyperparameters matter (functional ANOVA, PED-ANOVA), in a study or over several as tasks."""
    check_output(output)
    found = data_of(connected(context), [*(names or []), *(study or [])], every)
    show_importance(found, pairs, seed, format, output)


def report(context: typer.Context, study: NameArgument, output: OutputOption = None) -> None:
    """Write the service's HTML report of a study (default: STUDY.html in the working folder)."""
    check_output(output)
    path = connected(context).study(study).report(output or f"{study}.html")
    errors.print(f"report: {path.resolve()}")


def bundle(
    context: typer.Context,
    study: NameArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle: a .tar.gz file.")],
) -> None:
    """Fetch one archive of a study's results that anyone can verify, and run again."""
    check_output(output)
    if not output.name.endswith(".tar.gz"):
        raise HpoError(f"--output must end in .tar.gz, since the service makes no other bundle, but got {output.name}")
    print(connected(context).study(study).bundle(output))


def export(
    context: typer.Context,
    study: NameArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write the files into.")],
    format: Annotated[ExportFormat, typer.Option(help="Format of the files.")] = ExportFormat.csv,
) -> None:
    """Write each table of a study to a file."""
    from hpo.store.export import export_data

    for path in export_data(connected(context).study(study).data, format.value, folder):
        print(path)


def data_of(client: Client, names: list[str], every: bool) -> list[StudyData]:
    """Reads the studies that names mean, each once: a suite's name means all of its studies.

    No name means the service's only study, or its only suite. Raises HpoError for names that mean none.
    """
    return [client.study(name).data for name in client.chosen(list(dict.fromkeys(names)), every=every)]
