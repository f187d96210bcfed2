"""What the commands share: options, formats, and how text leaves. Imports nothing heavy."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hpo.errors import StudyError
from hpo.study.study import Study

errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or a preset's name (see `hpo studies`).")
]
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


class RunFormat(StrEnum):
    table = "table"
    json = "json"


class TableFormat(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"
    latex = "latex"
    html = "html"


FormatOption = Annotated[TableFormat, typer.Option("--format")]


def load_study(source: str, *, store: str | None = None, methods: str | None = None, seeds: str | None = None,
               budget: int | None = None) -> Study:  # fmt: skip
    """The study with what the command line says laid over it."""
    return Study.load(source, store=store, methods=words(methods), seeds=seed_numbers(seeds), epochs=budget)


def command_line() -> str:
    """The command that runs, ready to be typed again."""
    return shlex.join(["hpo", *sys.argv[1:]])


def words(text: str | None) -> list[str] | None:
    """`a,b` as a list; None for none."""
    return [part.strip() for part in text.split(",")] if text else None


def seed_numbers(text: str | None) -> list[int] | None:
    """`0,1` as a list; None for none. Raises StudyError for anything else."""
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


def as_json(value: object) -> str:
    """Indented JSON without NaN."""
    return json.dumps(value, indent=2, allow_nan=False)
