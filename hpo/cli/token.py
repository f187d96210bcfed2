"""`hpo token`: who may use a store's service."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import errors
from hpo.errors import HpoError

if TYPE_CHECKING:
    from hpo.service.access import Tokens

token = typer.Typer(name="token", help="Make and revoke the tokens of a store's service.", rich_markup_mode=None)


class RoleName(StrEnum):
    view = "view"
    run = "run"
    admin = "admin"


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token: whose it is.")]
StoreOption = Annotated[
    str | None, typer.Option(metavar="STORE", help="The store that is served (default: the only one with tokens).")
]
FileOption = Annotated[
    Path | None, typer.Option("--tokens", metavar="FILE", help="File of tokens, as of `hpo serve --tokens`.")
]
RoleOption = Annotated[
    RoleName,
    typer.Option(
        help="view: see everything; run: also submit, stop and go on; admin: also others' studies, and tokens."
    ),
]


@token.command()
def add(
    name: NameArgument, role: RoleOption = RoleName.view, store: StoreOption = None, file: FileOption = None
) -> None:
    """Make a token, and print its secret: this once, for it is not kept."""
    kept, store = _tokens(store, file)
    _, secret = kept.add(name, role.value, store=store)
    errors.print(f"{name} may {role.value} at the service of {store or kept.path}; a running service takes it at once")
    print(secret)


@token.command("list")
def list_tokens(store: StoreOption = None, file: FileOption = None) -> None:
    """List the tokens by name, role and age."""
    kept, _ = _tokens(store, file)
    found = kept.all()
    if not found:
        errors.print(f"there are no tokens in {kept.path}; `hpo token add NAME` makes one")
    for each in found:
        print(f"{each.name}\t{each.role}\t{time.strftime('%Y-%m-%d %H:%M', time.localtime(each.created))}")


@token.command()
def revoke(name: NameArgument, store: StoreOption = None, file: FileOption = None) -> None:
    """Revoke a token: its sessions and streams end within seconds."""
    kept, _ = _tokens(store, file)
    kept.revoke(name)
    errors.print(f"{name} is revoked")


def _tokens(store: str | None, file: Path | None) -> tuple[Tokens, str]:
    """Returns the tokens that are meant, and the store that they are for. Raises HpoError where that is not clear."""
    from hpo.service.access import Tokens, tokens
    from hpo.storage.place import absolute

    if store is not None:
        return Tokens(file or tokens.default_path(store), seconds=0), absolute(store)
    if file is not None:
        kept = Tokens(file, seconds=0)
        return kept, kept.store
    known = [Tokens(path, seconds=0) for path in tokens.known_paths()]
    if len(known) == 1:
        return known[0], known[0].store
    several = ", ".join(sorted(each.store for each in known)) or "none yet"
    raise HpoError(f"--store must name the store that is served, but it is missing; those with tokens: {several}")
