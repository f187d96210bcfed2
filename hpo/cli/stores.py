"""The commands on whole stores: `hpo verify`, `hpo export`, `hpo serve`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.options import StoreArgument, StudyOption


class ExportFormat(StrEnum):
    csv = "csv"
    parquet = "parquet"
    json = "json"


def verify(
    store: StoreArgument,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="A study in the store (default: all).")] = None,
) -> None:
    """Derive every ledger and comparison from the epochs again, and list what does not add up."""
    from hpo import store as stores
    from hpo.results.audit import audit

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
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write the files into.")],
    study: StudyOption = None,
    format: Annotated[ExportFormat, typer.Option(help="Format of the files.")] = ExportFormat.csv,
) -> None:
    """Write each table of a study to a file."""
    from hpo import store as stores

    for path in stores.export(store, study, format.value, folder):
        print(path)


def serve(
    store: StoreArgument,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other machines can reach it only if HPO_SERVE_TOKEN is set.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on (0: any free one).")] = 8080,
) -> None:
    """Serve the API and the live pages of a store."""
    from hpo.service.server import serve as serve_store

    serve_store(store, host=host, port=port, token=os.environ.get("HPO_SERVE_TOKEN"))
