"""`hpo --service URL compare|importance|report|bundle|export`: a study's results, computed here from the service's tables."""

from __future__ import annotations

from collections.abc import Sequence
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
from hpo.cli.objectives import ConstraintOption, ObjectivesOption, ReferenceOption
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
from hpo.results.view import View

if TYPE_CHECKING:
    from hpo.client import Client, ServedStudy
    from hpo.results.values import Comparison

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
    found = studies_of(client, [*(names or []), *(study or [])], every)
    if len(found) > 1 and picture:
        raise typer.BadParameter("--picture draws one study, but got several; name one")
    drawn = {} if picture is None else {"picture": picture}
    show_results(
        client, found, format.value, output, target=target, workers=workers, difference=difference, runs=runs,
        all_tables=all_tables, view=view, **drawn,
    )  # fmt: skip


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
    found = studies_of(connected(context), [*(names or []), *(study or [])], every)
    show_importance([each.data for each in found], pairs, seed, format, output)


def report(
    context: typer.Context,
    names: NamesArgument = None,
    study: StudiesOption = None,
    every: EveryOption = False,
    output: OutputOption = None,
) -> None:
    """Write the service's HTML report of a study, or of several as tasks (default: NAME.html in the working folder)."""
    check_output(output)
    client, given = connected(context), [*(names or []), *(study or [])]
    found = client.chosen(list(dict.fromkeys(given)), every=every)
    several = given[0] if len(given) == 1 else f"{len(found)}-studies"
    path = output or Path(f"{found[0] if len(found) == 1 else several}.html")
    written = client.study(found[0]).report(path) if len(found) == 1 else client.report(found, path)
    errors.print(f"report: {written.resolve()}")


def bundle(
    context: typer.Context,
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study of the service, or a suite.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle: a .tar.gz file.")],
) -> None:
    """Fetch one archive of the results of a study or a suite that anyone can verify, and run again."""
    check_output(output)
    if not output.name.endswith(".tar.gz"):
        raise HpoError(f"--output must end in .tar.gz, since the service makes no other bundle, but got {output.name}")
    client = connected(context)
    alone = client.chosen([study]) == [study]
    print((client.study(study) if alone else client.suite(study)).bundle(output))


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


def studies_of(client: Client, names: list[str], every: bool) -> list[ServedStudy]:
    """Returns the studies that names mean, each once: a suite's name means all of its studies.

    No name means the service's only study, or its only suite. Raises HpoError for names that mean none.
    """
    return [client.study(name) for name in client.chosen(list(dict.fromkeys(names)), every=every)]


def show_results(
    client: Client, studies: Sequence[ServedStudy], format: str, output: Path | None = None, **shown: Any
) -> Comparison:
    """Prints the comparison of studies in one of the formats, as it is printed beside the service's store; returns it."""
    store, data = client.me()["store"], [study.data for study in studies]
    states = {study.name: study.state.state for study in studies}
    if len(data) > 1:
        return show_tasks(data, store, format, output, states=states, **shown)
    return show_comparison(data[0], store, format, output, states=states, **shown)
