"""What the commands share: options, formats, reading of lists, ways out for text. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.completing import a_study, some_methods
from hpo.cli.lines import Errors
from hpo.errors import HpoError, StudyError
from hpo.files import write_whole
from hpo.storage.place import is_sealed
from hpo.study.study import Study
from hpo.text import one_line

if TYPE_CHECKING:
    from hpo.study.suite import Suite

PICTURES = (".svg", ".png", ".pdf")

errors = Errors()


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


StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A study file, with `tasks` a suite, or a preset's name (`hpo studies`).",
        autocompletion=a_study,
    ),
]
StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", help="The store with the results: a folder, s3://bucket/prefix or a bundle.")
]
StudyOption = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="A study in the store (default: its only one).")
]
StudiesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--study", metavar="NAME", help="A study in the store (default: its only one); repeat it to compare tasks."
    ),
]
EveryOption = Annotated[bool, typer.Option("--all", help="All studies in the store, compared as tasks.")]
FormatOption = Annotated[TableFormat, typer.Option("--format", help="Format of the output.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the output to FILE instead of stdout.")
]

AllTablesOption = Annotated[
    bool,
    typer.Option("--all-tables", help="Print costs, every pair of methods and ranks too (other formats have them)."),
]

MethodsOption = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Methods to run (default: the study's).", autocompletion=some_methods),
]
SomeTasksOption = Annotated[
    str | None, typer.Option("--tasks", metavar="A,B", help="Tasks of the suite (default: all of its file).")
]
SeedsOption = Annotated[str | None, typer.Option(metavar="0,1", help="Seeds to run (default: the study's).")]
BudgetOption = Annotated[
    int | None, typer.Option(metavar="N", help="Budget of each run in what the study's counts (default: the study's).")
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(metavar="A", help="A running Ray cluster: auto or HOST:PORT (default: start one on this machine)."),
]
LOCAL_JOB_SERVER = "http://127.0.0.1:8265"
JobServerOption = Annotated[
    str,
    typer.Option(
        "--address", envvar="HPO_JOB_ADDRESS", metavar="URL", help="Address of the job server, http://HOST:8265."
    ),
]
SlotsOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Most trials to train at a time (default: all that fit).")
]
PriorityOption = Annotated[
    float | None,
    typer.Option(metavar="X", help="The study's weight where studies share a cluster (default: the study's, or 1)."),
]
LeastOption = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help="Trials at a time that the study gets first on a shared cluster (default: 0)."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress on stderr.")]
PlainOption = Annotated[
    bool, typer.Option("--plain", help="Show progress as lines of text, as where stderr is no terminal or CI is set.")
]
RunFormatOption = Annotated[RunFormat, typer.Option(help="Format of the output.")]


def load_study(source: str, *, store: str | None = None, methods: str | None = None, seeds: str | None = None,
               budget: int | None = None, priority: float | None = None, least: int | None = None,
               tasks: str | None = None) -> Study | Suite[Study]:  # fmt: skip
    """Loads a study or a suite from its file or from a bundle; the command line's options replace what it says."""
    from hpo.study import suite

    changes: dict[str, Any] = {
        "store": store, "methods": words(methods), "seeds": seed_numbers(seeds), "epochs": budget,
    }  # fmt: skip
    if not is_sealed(source):
        changes |= {"priority": priority, "min_workers": least}
        loaded = suite.load(source, kind=Study, tasks=words(tasks), **changes)
        if isinstance(loaded, suite.Suite):
            loaded.check_trainable()
        return loaded
    from hpo.bundle import studies_in

    return studies_in(source, words(tasks), **changes)


def studies_of(loaded: Study | Suite[Study]) -> list[Study]:
    """Returns the studies of a suite, or the one study."""
    return [loaded] if isinstance(loaded, Study) else list(loaded.studies)


def command_line() -> str:
    """Returns the present command, quoted so that it can be typed again."""
    return shlex.join(["hpo", *sys.argv[1:]])


def words(text: str | None) -> list[str] | None:
    """Splits `a,b` into a list; returns None for no text."""
    return [part.strip() for part in text.split(",")] if text else None


def seed_numbers(text: str | None) -> list[int] | None:
    """Splits `0,1` into numbers; returns None for no text. Raises StudyError for anything else."""
    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError:
        raise StudyError(f"--seeds must be whole numbers separated by commas, but got {text!r}") from None


def out(text: str, output: Path | None) -> None:
    """Writes text to stdout, or to a file that appears whole. Raises HpoError if the file cannot be written."""
    text = text if text.endswith("\n") else text + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    with writing("--output", output):
        write_whole(output, text.encode())


@contextmanager
def writing(what: str, path: Path) -> Iterator[None]:
    """Turns an OSError of its block into a sentence: the block writes the file that a user asked for."""
    try:
        yield
    except OSError as error:
        raise HpoError(f"{what} must be a file that can be written, but {path} is not: {one_line(error)}") from None


def check_picture(path: Path | None) -> None:
    """Raises HpoError for a picture in a format that cannot be drawn, or at a place that cannot hold a file."""
    if path is not None and path.suffix not in PICTURES:
        raise HpoError(f"--picture must end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}, but got {path.name}")
    check_output(path, "--picture")


def check_output(path: Path | None, option: str = "--output") -> None:
    """Raises HpoError, before anything is computed, for a path that cannot become a file."""
    if path is None:
        return
    folder = next((part for part in path.absolute().parents if part.exists()), path)
    for wrong, why in (
        (path.is_dir(), "it is a folder"),
        (not folder.is_dir(), f"{folder} is no folder"),
        (not os.access(folder, os.W_OK), f"{folder} is not writable"),
    ):
        if wrong:
            raise HpoError(f"{option} must be a file that can be written, but {path} is not: {why}")


def as_json(value: object) -> str:
    """Returns indented JSON. Raises ValueError for NaN or infinities."""
    return json.dumps(value, indent=2, allow_nan=False)
