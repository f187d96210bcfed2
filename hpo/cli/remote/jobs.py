"""`hpo --service URL jobs|logs|stop|continue`: the jobs of the service's cluster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.jobs import listed
from hpo.cli.remote.connection import connected
from hpo.cli.remote.studies import NameArgument
from hpo.cli.submit import write

if TYPE_CHECKING:
    from hpo.client import Client, Job

IdArgument = Annotated[
    str,
    typer.Argument(metavar="STUDY|ID", help="A study, or a job's id or series as `hpo --service URL jobs` lists it."),
]


def jobs(context: typer.Context) -> None:
    """List the jobs that the service's cluster remembers, newest first."""
    listed([_row(job) for job in connected(context).jobs()])


def logs(
    context: typer.Context,
    id: IdArgument,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show new lines until the job ends.")] = True,
) -> None:
    """Show a job's log, by default until the job ends."""
    for text in _log(connected(context), id, follow):
        write(text)


def stop(context: typer.Context, study: NameArgument) -> None:
    """Stop a study: the store stays consistent, and `hpo --service URL continue STUDY` continues from there."""
    connected(context).study(study).stop()
    print(f"{study} stops")


def go_on(context: typer.Context, study: NameArgument) -> None:
    """Go on with a study that was stopped, or whose driver was lost."""
    connected(context).study(study).go_on()
    print(f"{study} goes on")


def _log(client: Client, id: str, follow: bool) -> Iterator[str]:
    """Yields the log of a job by its id or series, or else of a study's job."""
    from hpo.client import NotFound

    try:
        job = client.job(id)
    except NotFound:
        return client[id].log(follow)
    return job.log(follow, later=job.id != id)


def _row(job: Job) -> tuple[str, ...]:
    began = datetime.fromtimestamp(job.started).isoformat(sep=" ", timespec="seconds") if job.started else "-"
    return (
        job.id,
        job.state,
        str(job.attempt),
        job.owner or "-",
        job.series,
        job.study or "-",
        began,
        job.store or "-",
    )
