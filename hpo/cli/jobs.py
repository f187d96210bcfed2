"""The commands on a cluster's job server: `hpo submit`, `hpo jobs`, `hpo logs`, `hpo stop`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from hpo.cli.options import BudgetOption, MethodsOption, SeedsOption, StudyArgument, errors, load_study
from hpo.errors import InterruptedStudy, StudyError, StudyFailed
from hpo.storage.place import is_sealed
from hpo.study.study import Study, find, presets

if TYPE_CHECKING:
    from cluster.job import Submission
    from cluster.jobs import JobServer

AddressOption = Annotated[
    str,
    typer.Option(
        "--address", envvar="HPO_JOB_ADDRESS", metavar="URL", help="Address of the job server, http://HOST:8265."
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as listed by `hpo jobs`.")]
LOCAL = "http://127.0.0.1:8265"


def submit(
    study: StudyArgument,
    address: AddressOption = LOCAL,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="The store: s3://... or an absolute path that the nodes share (default: the study's)."
        ),
    ] = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = None,
    working_dir: Annotated[
        Path | None, typer.Option(help="Folder to send along (default: the study file's; none for a preset).")
    ] = None,
    cpus: Annotated[float, typer.Option(min=0, help="CPUs to reserve for the driver itself.")] = 0,
    on: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=VALUE", help="Label that the driver's node must have (default: the head node)."),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often to submit again if the driver is killed.")] = 0,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show the log until the job ends.")] = False,
) -> None:
    """Submit a study as a job to a cluster."""
    from cluster.jobs import JobServer

    _check_no_bundle(study)
    chosen = load_study(study, store=store, methods=methods, seeds=seeds, budget=budget)
    arguments = ["hpo", "run", _remote_name(study), "--address", "auto", "--store", chosen.store]
    for option, value in (("--methods", methods), ("--seeds", seeds), ("--budget", budget)):
        arguments += [option, str(value)] if value is not None else []
    submission = _submission(study, chosen, arguments, working_dir, cpus=cpus, labels=_labels(on or ()))
    server = JobServer(address)
    if follow or retries:
        _watch(server, submission, retries)
        return
    job = server.submit(submission)
    errors.print(f"dashboard: {server.page(job.id)}; hpo logs {job.id} shows the log, hpo stop {job.id} stops the job")
    print(job.id)


def _check_no_bundle(study: str) -> None:
    if is_sealed(study):
        raise StudyError(
            f"a job needs a study file or a preset, but {study} is a bundle; unpack it and submit its study.yaml"
        )


def _remote_name(study: str) -> str:
    """Returns the study's name on the cluster: a preset's, or its file's in the job's working folder."""
    return study if study in presets() else find(study)[0].name


def _submission(
    study: str, chosen: Study, arguments: Sequence[str], working_dir: Path | None, *, cpus: float,
    labels: Mapping[str, str],
) -> Submission:  # fmt: skip
    """Returns what the job server is asked for. Raises StudyError for a study that the job's log would refuse."""
    from cluster.job import Submission
    from hpo.live.validation import validate_to_submit

    validate_to_submit(chosen)
    path, _ = find(study)
    file = () if study in presets() else (path.resolve(),)
    folder = working_dir or (path.parent if file else None)
    return Submission(
        entrypoint=shlex.join(arguments),
        name=chosen.study,
        store=chosen.store,
        working_dir=folder.resolve() if folder else None,
        needed=file,
        environment={name: os.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_REGION") if name in os.environ},
        cpus=cpus,
        labels=labels,
    )


def _watch(server: JobServer, submission: Submission, retries: int) -> None:
    """Shows the log of every attempt until the job ends; exits with 1 if it fails, with 130 if someone stops it."""
    from cluster.attempts import watch

    ended = watch(server, submission, retries=retries, write=_write, say=errors.print)
    if ended.status != "SUCCEEDED":
        errors.print(f"job {ended.id} {ended.status.lower()}; to continue: hpo submit {shlex.join(sys.argv[2:])}")
        raise typer.Exit(InterruptedStudy.exit_code if ended.status == "STOPPED" else StudyFailed.exit_code)


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    """Splits LABEL=VALUE, a node's label set by `ray start --labels`. Raises JobError for anything else."""
    from cluster.job import JobError

    found = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    if not all(name and value for name, value in found.items()):
        raise JobError(
            f"--on must be LABEL=VALUE, but got {', '.join(pairs)}; `ray start --labels` sets a node's labels"
        )
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
    Console(highlight=False, markup=False, emoji=False).print(table)


def logs(
    id: JobArgument,
    address: AddressOption = LOCAL,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show new lines until the job ends.")] = True,
) -> None:
    """Show a job's log, by default until the job ends."""
    from cluster.jobs import JobServer

    server = JobServer(address)
    if not follow:
        _write(server.logs(id))
        return
    for text in server.follow(id):
        _write(text)


def stop(id: JobArgument, address: AddressOption = LOCAL) -> None:
    """Stop a job cleanly: its store stays consistent, and the same submission continues from there."""
    from cluster.jobs import JobServer

    job = JobServer(address).stop(id)
    print(f"{job.id} {job.status}")
