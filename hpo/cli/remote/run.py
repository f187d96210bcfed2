"""`hpo --service URL check|run|submit|watch`: a study handed to the service's cluster, from its file to its comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.compare import show_comparison
from hpo.cli.lines import shown
from hpo.cli.options import (
    BudgetOption,
    LeastOption,
    MethodsOption,
    PlainOption,
    PriorityOption,
    QuietOption,
    RunFormat,
    RunFormatOption,
    SeedsOption,
    SlotsOption,
    StudyArgument,
    errors,
    seed_numbers,
    words,
)
from hpo.cli.remote.connection import connected, service_of, typed
from hpo.cli.remote.studies import NameArgument
from hpo.cli.submit import QueueOption, RetriesOption, write
from hpo.errors import HpoError, InterruptedStudy, StudyFailed

if TYPE_CHECKING:
    from hpo.client import Client, ServedStudy

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--working-dir",
        metavar="FOLDER",
        help="Folder with code of the study's own to send along, or a zip file (default: none).",
    ),
]
ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Fetch the HTML report when the study is done, as STUDY.html.")
]


def check(context: typer.Context, study: StudyArgument) -> None:
    """Validate a study as the service does and print its plan, without training."""
    from hpo.study.finding import find

    found = connected(context).check(study)
    for problem in found["problems"]:
        place = "".join(f":{problem[key]}" for key in ("line", "column") if problem.get(key))
        errors.print(f"hpo: {find(study)[0]}{place}: {problem['message']}")
    if not found["ok"]:
        raise typer.Exit(HpoError.exit_code)
    print(shown(_plan(found), indent=12))


def submit(
    context: typer.Context,
    study: StudyArgument,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = None,
    workers: SlotsOption = None,
    priority: PriorityOption = None,
    least: LeastOption = None,
    working_dir: FolderOption = None,
    queue: QueueOption = None,
    retries: RetriesOption = 0,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show the log until the job ends.")] = False,
) -> None:
    """Submit a study to the service's cluster, and print its name."""
    with connected(context) as client:
        given = _submitted(client, study, methods=words(methods), seeds=seed_numbers(seeds), budget=budget,
                           workers=workers, priority=priority, least=least, files=working_dir, queue=queue,
                           retries=retries)  # fmt: skip
        if not follow:
            _say_next(context, given)
            print(given.name)
            return
        for text in given.log(follow=True):
            write(text)
        given.ended(given.state)


def run(
    context: typer.Context,
    study: StudyArgument,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = None,
    workers: SlotsOption = None,
    priority: PriorityOption = None,
    least: LeastOption = None,
    working_dir: FolderOption = None,
    queue: QueueOption = None,
    retries: RetriesOption = 0,
    quiet: QuietOption = False,
    plain: PlainOption = False,
    format: RunFormatOption = RunFormat.table,
    report: ReportOption = True,
) -> None:
    """Run a study on the service's cluster: submit it, watch it, and print its comparison."""
    with connected(context) as client:
        given = _submitted(client, study, methods=words(methods), seeds=seed_numbers(seeds), budget=budget,
                           workers=workers, priority=priority, least=least, files=working_dir, queue=queue,
                           retries=retries)  # fmt: skip
        if not quiet:
            errors.print(f"submitted {given.name}: {given.url}")
        _watched(context, given, quiet=quiet, plain=plain, format=format, report=report)


def watch(
    context: typer.Context,
    study: NameArgument,
    quiet: QuietOption = False,
    plain: PlainOption = False,
    format: RunFormatOption = RunFormat.table,
    report: ReportOption = False,
) -> None:
    """Watch a study until it is over, and print its comparison, as `run` does with one that it submits."""
    with connected(context) as client:
        _watched(context, client[study], quiet=quiet, plain=plain, format=format, report=report)


def _submitted(client: Client, study: str, **options: Any) -> ServedStudy:
    """Submits a study. Raises HpoError, after each mistake of its file at its line."""
    from hpo.client import Refused
    from hpo.study.finding import find

    try:
        return client.submit(study, **options)
    except Refused as error:
        if len(error.problems) > 1:
            for problem in error.problems:
                place = "".join(f":{problem[key]}" for key in ("line", "column") if problem.get(key))
                errors.print(f"{find(study)[0]}{place}: {problem['message']}")
        raise


def _watched(
    context: typer.Context, study: ServedStudy, *, quiet: bool, plain: bool, format: RunFormat, report: bool
) -> None:
    """Shows a study until it is over, then its comparison. Raises StudyFailed, InterruptedStudy."""
    from hpo.cli.remote.watching import show

    try:
        last = show(study.watch(), quiet=quiet, plain=plain)
    except KeyboardInterrupt:
        raise InterruptedStudy(
            f"the watch is interrupted, but {study.name} goes on on the cluster; to stop it: "
            f"{typed(context, 'stop', study.name)}; to continue: {typed(context, 'watch', study.name)}"
        ) from None
    if last.word == "stopped":
        raise InterruptedStudy(f"{study.name} was stopped; to continue: {typed(context, 'continue', study.name)}")
    found = show_comparison(study.data, service_of(context), format.value) if last.facts["trials"] else None
    if report and found is not None:
        path = study.report(f"{study.name}.html")
        if not quiet:
            errors.print(f"report: {path}")
    if failure := found and (found.failure or found.failed_exams):
        raise StudyFailed(failure)
    if last.word != "complete":
        raise StudyFailed(f"{last.sentence}; to continue: {typed(context, 'continue', study.name)}")


def _say_next(context: typer.Context, study: ServedStudy) -> None:
    name = study.name
    errors.print(
        f"page: {study.url}; `{typed(context, 'watch', name)}` watches it, `{typed(context, 'logs', name)}` shows its log, "
        f"`{typed(context, 'stop', name)}` stops it"
    )


def _plan(found: dict[str, Any]) -> str:
    from hpo.api.plan import Plan

    plan = found["plan"]
    rows = tuple((name, text) for name, text in plan["rows"])
    return str(Plan(found["study"], rows, tuple(plan["methods"]), plan.get("note") or ""))
