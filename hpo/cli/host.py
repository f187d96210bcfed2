"""`hpo host add`, `list` and `remove`: the environments of other libraries, whose methods a study may name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.completing import a_library
from hpo.cli.lines import shown
from hpo.cli.options import errors

FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", metavar="FOLDER", help="Folder of the environments.", envvar="HPO_HOSTS"),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A library.", autocompletion=a_library)]

host = typer.Typer(help="Install and list the libraries whose methods can play, each in an environment of its own.")


@host.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """List the libraries whose methods can play, unless a command says what to do with them."""
    if context.invoked_subcommand is None:
        listed()


@host.command("add")
def add(
    name: Name,
    folder: FolderOption = None,
    python: Annotated[
        str | None, typer.Option(metavar="PYTHON", help="The Python that makes the environment (default: this one).")
    ] = None,
) -> None:
    """Make an environment for a library and install its pinned version there."""
    from hpo.methods.hosted import environments

    where = environments.add(name, folder, python, tell=errors.print)
    print(f"{name} is ready in {where}")


@host.command("list")
def listed(folder: FolderOption = None) -> None:
    """List the libraries and what is installed of them."""
    from hpo.methods.hosted import environments

    for name, about in environments.rows(folder):
        print(shown(f"{name:<12}{about}", indent=12))


@host.command("remove")
def remove(name: Name, folder: FolderOption = None) -> None:
    """Delete the environment of a library."""
    from hpo.methods.hosted import environments

    environments.remove(name, folder)
