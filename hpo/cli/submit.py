"""`hpo submit`: hands a study to a cluster's job server."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.api import submission as submitting
from hpo.cli.options import (
    LOCAL_JOB_SERVER,
    BudgetOption,
    JobServerOption,
    MethodsOption,
    SeedsOption,
    SlotsOption,
    SomeTasksOption,
    StudyArgument,
    command_line,
    errors,
    load_study,
    studies_of,
)
from hpo.errors import InterruptedStudy, StudyError, StudyFailed
from hpo.storage.place import is_sealed
from hpo.study.study import Study, find, presets

if TYPE_CHECKING:
    from cluster.job import Submission
    from cluster.jobs import JobServer

StoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI", help="The store: s3://... or an absolute path that the nodes share (default: the study's)."
    ),
]
PriorityOption = Annotated[
    float | None, typer.Option(metavar="X", help="Weight of the study's share of the cluster (default: the study's).")
]
LeastOption = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Fewest trials at a time beside other studies.")
]
EnvOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=VALUE]",
        help="Variable for the job, visible in Ray's logs; a NAME alone takes the value from here and keeps it private.",
    ),
]
EnvFromOption = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="File of private variables, one NAME=VALUE a line.")
]
FolderOption = Annotated[
    Path | None, typer.Option(help="Folder to send along (default: the study file's; none for a preset).")
]
CpusOption = Annotated[float, typer.Option(min=0, help="CPUs to reserve for the driver itself.")]
MemoryOption = Annotated[
    float | None,
    typer.Option(min=0, metavar="GB", help="GiB to reserve for the driver (default: 1 on a head with two or more)."),
]
OnOption = Annotated[
    list[str] | None,
    typer.Option(metavar="LABEL=VALUE", help="Label that the driver's node must have (default: the head node)."),
]
QueueOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Wait for a place in this queue, a custom resource of the head.")
]
OwnerOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose study it is (default: the study's, else your user name).")
]
RetriesOption = Annotated[
    int, typer.Option(min=0, help="How often the cluster starts the driver again after it was killed.")
]
FollowOption = Annotated[bool, typer.Option("--follow/--no-follow", help="Show the log until the job ends.")]


def submit(
    study: StudyArgument,
    address: JobServerOption = LOCAL_JOB_SERVER,
    store: StoreOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = None,
    workers: SlotsOption = None,
    priority: PriorityOption = None,
    least: LeastOption = None,
    tasks: SomeTasksOption = None,
    env: EnvOption = None,
    env_from: EnvFromOption = None,
    working_dir: FolderOption = None,
    cpus: CpusOption = 0,
    memory: MemoryOption = None,
    on: OnOption = None,
    queue: QueueOption = None,
    owner: OwnerOption = None,
    retries: RetriesOption = 0,
    follow: FollowOption = False,
) -> None:
    """Submit a study or a suite as a job to a cluster."""
    from cluster.jobs import JobServer
    from cluster.variables import asked

    _check_no_bundle(study)
    chosen = studies_of(load_study(study, store=store, methods=methods, seeds=seeds, budget=budget, tasks=tasks))
    command = submitting.command(_remote_name(study), chosen[0].store, methods=methods, seeds=seeds, budget=budget,
                                 workers=workers, priority=priority, least=least, tasks=tasks)  # fmt: skip
    visible, private = asked(env or (), env_from or ())
    submission = _submission(
        study, chosen, command, working_dir, environment={**visible, submitting.SUBMITTED: command_line()}, private=private,
        cpus=cpus, memory=None if memory is None else round(memory * 2**30), labels=_labels(on or ()), queue=queue,
        owner=owner or chosen[0].owner or _user(), retries=retries,
    )  # fmt: skip
    (_watch if follow else _leave)(JobServer(address), submission)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return None


def _leave(server: JobServer, submission: Submission) -> None:
    """Submits, and prints the name by which to ask for the job: the series' where attempts may follow."""
    job = server.submit(submission)
    name = job.series if submission.retries else job.id
    errors.print(f"dashboard: {server.page(job.id)}; hpo logs {name} shows the log, hpo stop {name} stops the job")
    print(name)


def _check_no_bundle(study: str) -> None:
    if is_sealed(study):
        raise StudyError(
            f"a job needs a study file or a preset, but {study} is a bundle; unpack it and submit its study.yaml"
        )


def _remote_name(study: str) -> str:
    """Returns the study's name on the cluster: a preset's, or its file's in the job's working folder."""
    return study if study in presets() else find(study)[0].name


def _submission(study: str, chosen: Sequence[Study], command: str, working_dir: Path | None, **more: Any) -> Submission:
    """Returns what the job server is asked for. Raises StudyError for a study that the job's log would refuse."""
    from hpo.live.validation import validate_to_submit

    for each in chosen:
        validate_to_submit(each)
    path, _ = find(study)
    file = None if study in presets() else path
    folder = working_dir or (path.parent if file else None)
    return submitting.submission(submitting.name_of(chosen), chosen[0].store, command, file, folder, **more)


def _watch(server: JobServer, submission: Submission) -> None:
    """Shows the log of every attempt until the job ends; exits with 1 if it fails, with 130 if someone stops it."""
    from cluster.attempts import watch

    ended = watch(server, submission, write=write, say=errors.print)
    if ended.status != "SUCCEEDED":
        errors.print(f"job {ended.id} {ended.status.lower()}; to continue: {command_line()}")
        raise typer.Exit(InterruptedStudy.exit_code if ended.status == "STOPPED" else StudyFailed.exit_code)


def _labels(pairs: Sequence[str]) -> Mapping[str, str]:
    """Splits LABEL=VALUE, a node's label set by `ray start --labels`. Raises JobError for anything else."""
    from cluster.job import JobError

    found = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    if not all(name and value for name, value in found.items()):
        raise JobError(
            f"--on must be LABEL=VALUE, but got {', '.join(pairs)}; `ray start --labels` sets a node's labels"
        )
    return found


def write(text: str) -> None:
    """Writes a piece of a job's log at once."""
    sys.stdout.write(text)
    sys.stdout.flush()
