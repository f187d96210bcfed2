"""The commands on whole stores: `hpo verify`, `hpo bundle`, `hpo export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.options import StoreArgument, StudyOption, check_output, errors
from hpo.storage.place import is_sealed


class ExportFormat(StrEnum):
    csv = "csv"
    parquet = "parquet"
    json = "json"


def verify(
    store: StoreArgument,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="A study in the store (default: all).")] = None,
) -> None:
    """Derive every ledger and comparison from the epochs again, of a bundle also the report, and list what differs."""
    problems, sentence = _verified_bundle(store, study) if is_sealed(store) else _verified_store(store, study)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    print(sentence)


def _verified_store(store: str, study: str | None) -> tuple[list[str], str]:
    """Returns the problems of a store, and what holds without any."""
    from hpo import store as stores
    from hpo.results.audit import audit

    problems = stores.verify(store, study)
    for name in [study] if study else stores.studies(store):
        problems += [f"{name}: {problem}" for problem in audit(stores.read(store, name))]
    return problems, "every ledger, order, incumbent and comparison follows from the epochs"


def _verified_bundle(path: str, study: str | None) -> tuple[list[str], str]:
    """Returns the problems of a bundle, and what holds without any; prints how the check itself was limited."""
    from hpo import store as stores
    from hpo.bundle import verify as verify_bundle

    if study is not None:
        stores.read(path, study)  # raises the sentence for a study that it does not hold
    found = verify_bundle(path)
    for note in found.notes:
        errors.print(f"note: {note}")
    return found.problems, found.sentence


def bundle(
    store: StoreArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle: a .tar.gz or .zip file.")],
    study: StudyOption = None,
    author: Annotated[
        list[str] | None, typer.Option(metavar="FAMILY, GIVEN", help="An author for CITATION.cff; repeat it for more.")
    ] = None,
    keep_paths: Annotated[
        bool, typer.Option("--keep-paths", help="Accept a home folder in paths that the names of trials depend on.")
    ] = False,
) -> None:
    """Make one archive of the results of a study or a suite that anyone can verify, and run again."""
    from hpo.bundle import make

    check_output(output)
    for sentence in make(store, study, output, authors=author or (), keep_paths=keep_paths):
        errors.print(f"hidden in {sentence}")
    print(output)


def export(
    store: StoreArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write the files into.")],
    study: StudyOption = None,
    format: Annotated[ExportFormat, typer.Option(help="Format of the files.")] = ExportFormat.csv,
) -> None:
    """Write each table of a study to a file."""
    from hpo import store as stores

    for path in stores.export(store, study, format.value, folder):
        print(path)
