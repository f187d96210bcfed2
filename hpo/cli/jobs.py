"""Commands on a cluster's job server: `hpo submit`, `hpo jobs`, `hpo logs`, `hpo stop`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hpo.cli.options import errors, seed_numbers, words

AddressOption = Annotated[
    str, typer.Option("--address", envvar="HPO_JOB_ADDRESS", metavar="URL", help="The job server: http://HOST:8265.")
]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="A job's id, as `hpo jobs` lists it.")]
LOCAL = "http://127.0.0.1:8265"


def submit(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or a preset's name.")],
    address: AddressOption = LOCAL,
    store: Annotated[
        str | None, typer.Option(metavar="URI", help="s3://... or an absolute path shared by the nodes.")
    ] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1")] = None,
    budget: Annotated[int | None, typer.Option(metavar="N")] = None,
    working_dir: Annotated[Path | None, typer.Option(help="A folder that goes along with the job.")] = None,
    cpus: Annotated[float, typer.Option(min=0, help="CPUs that the driver itself takes.")] = 0,
    on: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=VALUE", help="The driver's node must have it; else the head.")
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often to submit again when the driver is killed.")] = 0,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show the log until the job ends.")] = False,
) -> None:
    """Submit a study as a job of a cluster."""
    from cluster.attempts import watch
    from cluster.job import Submission
    from cluster.jobs import JobServer
    from hpo.game.runs import runs_of
    from hpo.study.study import Study, find, presets

    chosen = Study.load(  # refused here rather than in the job's log
        study, store=store, methods=words(methods), seeds=seed_numbers(seeds), epochs=budget
    )
    runs_of(chosen)
    path, _ = find(study)
    named = study if study in presets() else path.name
    arguments = ["hpo", "run", named, "--address", "auto", "--store", chosen.store]
    for name, value in (("--methods", methods), ("--seeds", seeds), ("--budget", budget)):
        arguments += [name, str(value)] if value is not None else []
    folder = working_dir or (None if study in presets() else path.parent)
    submission = Submission(
        entrypoint=shlex.join(arguments),
        name=chosen.study,
        store=chosen.store,
        working_dir=folder.resolve() if folder else None,
        needed=() if study in presets() else (path.resolve(),),
        environment={name: os.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_REGION") if name in os.environ},
        cpus=cpus,
        labels=_labels(on or ()),
    )
    server = JobServer(address)
    if not (follow or retries):
        job = server.submit(submission)
        errors.print(f"dashboard: {server.page(job.id)}; hpo logs {job.id} follows it, hpo stop {job.id} stops it")
        print(job.id)
        return
    ended = watch(server, submission, retries=retries, write=_write, say=errors.print)
    if ended.status != "SUCCEEDED":
        errors.print(f"job {ended.id} {ended.status.lower()}; to go on: hpo submit {shlex.join(sys.argv[2:])}")
        raise typer.Exit(130 if ended.status == "STOPPED" else 1)


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    """LABEL=VALUE, as `ray start --labels` gives them to a node. Raises JobError for anything else."""
    from cluster.job import JobError

    found = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    if not all(name and value for name, value in found.items()):
        raise JobError(f"--on must be LABEL=VALUE, but got {', '.join(pairs)}; ray start --labels gives them to a node")
    return found


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def jobs(address: AddressOption = LOCAL) -> None:
    """List the jobs that the cluster remembers, newest first."""
    from cluster.jobs import JobServer

    table = Table(box=None, pad_edge=False)
    for column in ("job", "status", "attempt", "started", "store"):
        table.add_column(column)
    for job in JobServer(address).jobs():
        began = datetime.fromtimestamp(job.started).isoformat(sep=" ", timespec="seconds") if job.started else "-"
        table.add_row(job.id, job.status, str(job.attempt), began, job.store or "-")
    Console(highlight=False).print(table)


def logs(
    id: JobArgument,
    address: AddressOption = LOCAL,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on until the job ends.")] = True,
) -> None:
    """Show a job's log, and follow it until the job ends."""
    from cluster.jobs import JobServer

    server = JobServer(address)
    if not follow:
        _write(server.logs(id))
        return
    for text in server.follow(id):
        _write(text)


def stop(id: JobArgument, address: AddressOption = LOCAL) -> None:
    """Stop a job in an orderly way: its store stays whole, the same submission goes on from there."""
    from cluster.jobs import JobServer

    job = JobServer(address).stop(id)
    print(f"{job.id} {job.status}")
