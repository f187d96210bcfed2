"""`hpo --service URL studies|archive|unarchive`: the service's studies, and which of them its lists show."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hpo.cli.options import RunFormat, RunFormatOption, as_json, out
from hpo.cli.remote.connection import connected
from hpo.live.display.words import measured

NameArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study of the service.")]


class Word(StrEnum):
    queued = "queued"
    starting = "starting"
    running = "running"
    no_sign_of_life = "no sign of life"
    stopped = "stopped"
    failed = "failed"
    complete = "complete"


def studies(
    context: typer.Context,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="Only studies whose line has this text.")] = None,
    state: Annotated[list[Word] | None, typer.Option(help="Only studies in this state; repeat it for more.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Only studies of this owner.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived studies too.")] = False,
    sort: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="name, state, owner, began, updated, progress or best; -COLUMN downwards."),
    ] = "-updated",
    format: RunFormatOption = RunFormat.table,
) -> None:
    """List the service's studies, those first of which something was heard last."""
    words = [word.value for word in state] if state else None
    found = connected(context).studies(search=search, state=words, owner=owner, archived=archived, sort=sort)
    if format is RunFormat.json:
        out(as_json(found), None)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("study", "state", "since", "owner", "methods x seeds", "done", "best", "verdict"):
        table.add_column(column, overflow="fold")
    for each in found:
        table.add_row(*_row(each))
    Console(highlight=False, markup=False, emoji=False).print(table)


def archive(context: typer.Context, study: NameArgument) -> None:
    """Put a study away: lists leave it out, and nothing of it is deleted."""
    connected(context).study(study).archive()


def unarchive(context: typer.Context, study: NameArgument) -> None:
    """Take an archived study back into the lists."""
    connected(context).study(study).unarchive()


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    since, best = each["state"]["since"], each["best"]
    return (
        each["study"],
        each["state"]["word"] + (", archived" if each["archived"] else ""),
        datetime.fromtimestamp(since).isoformat(sep=" ", timespec="seconds") if since else "-",
        each["owner"] or "-",
        f"{len(each['methods'])} x {each['seeds']}",
        f"{int(100 * each['progress'])}%",
        f"{measured(best['value'])} {best['method']}" if best else "-",
        each["verdict"] or "-",
    )
