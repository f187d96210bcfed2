"""Commands on whole stores: `hpo verify`, `hpo export`, `hpo serve`."""

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


def verify(store: StoreArgument, study: StudyOption = None) -> None:
    """Derive every ledger and comparison again from the epochs and say what does not add up."""
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
