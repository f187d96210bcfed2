"""The commands on the jobs of a cluster's job server: `hpo jobs`, `hpo logs`, `hpo stop`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from hpo.cli.options import LOCAL_JOB_SERVER, JobServerOption, errors
from hpo.cli.submit import write

if TYPE_CHECKING:
    from cluster.job import Job

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="A job's id or its series, as listed by `hpo jobs`.")]


def jobs(address: JobServerOption = LOCAL_JOB_SERVER) -> None:
    """List the jobs that the cluster remembers, newest first."""
    from cluster.job import RETRIES
    from cluster.jobs import JobServer

    found = JobServer(address).jobs()
    supervised = {job.series for job in found if job.helper == RETRIES and not job.done}
    listed([_row(job, supervised=job.series in supervised) for job in found if job.helper is None])


def listed(rows: Iterable[tuple[str, ...]]) -> None:
    """Prints a table of jobs."""
    table = Table(box=None, pad_edge=False)
    for column in ("job", "state", "attempt", "owner", "series", "study", "started", "store"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, emoji=False).print(table)


def _row(job: Job, *, supervised: bool) -> tuple[str, ...]:
    """Returns a job's cells. An attempt whose series goes on, but which ended early, was or will be `retried`."""
    began = datetime.fromtimestamp(job.started).isoformat(sep=" ", timespec="seconds") if job.started else "-"
    state = f"{job.state}, retried" if supervised and job.retryable else job.state
    return (
        *(job.id, state, str(job.attempt), job.owner or "-", job.series, job.study or "-", began, job.store or "-"),
    )


def logs(
    id: JobArgument,
    address: JobServerOption = LOCAL_JOB_SERVER,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show new lines until the job ends.")] = True,
) -> None:
    """Show a job's log, or those of all attempts of a series, by default until the job ends."""
    from cluster import attempts
    from cluster.jobs import JobServer

    server = JobServer(address)
    series = [job for job in server.series(id) if job.helper is None]
    if follow and all(job.id != id for job in series):
        attempts.follow(server, series[0], write=write, say=errors.print)
        return
    for job in [job for job in series if job.id == id] or series:
        for text in server.follow(job.id) if follow else [server.logs(job.id)]:
            write(text)


def stop(id: JobArgument, address: JobServerOption = LOCAL_JOB_SERVER) -> None:
    """Stop a job and its retries: the store stays consistent, and the same submission continues from there."""
    from cluster.jobs import JobServer

    job = JobServer(address).stop(id)
    print(f"{job.id} {job.status}")
