"""`hpo --service URL check|run|submit|watch`: a study handed to the service's cluster, from its file to its comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from hpo.cli.remote.connection import connected, typed
from hpo.cli.remote.results import show_results
from hpo.cli.submit import QueueOption, RetriesOption, write
from hpo.errors import HpoError, InterruptedStudy, StudyFailed

if TYPE_CHECKING:
    from hpo.client import Client, ServedStudy, ServedSuite

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--working-dir",
        metavar="FOLDER",
        help="Folder with code of the study's own to send along, or a zip file (default: none).",
    ),
]
WatchedArgument = Annotated[list[str], typer.Argument(metavar="STUDY...", help="Studies of the service.")]
ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Fetch the HTML report when the study is done, as STUDY.html.")
]


def check(context: typer.Context, study: StudyArgument) -> None:
    """Validate a study as the service does and print its plan, without training."""
    found = connected(context).check(study)
    _say(found["problems"], study)
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
        given = _submitted(context, client, study, methods=words(methods), seeds=seed_numbers(seeds), budget=budget,
                           workers=workers, priority=priority, least=least, files=working_dir, queue=queue,
                           retries=retries)  # fmt: skip
        if not follow:
            _say_next(context, given)
            print(given.name)
            return
        for text in given.log(follow=True):
            write(text)
        given.wait()


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
        given = _submitted(context, client, study, methods=words(methods), seeds=seed_numbers(seeds), budget=budget,
                           workers=workers, priority=priority, least=least, files=working_dir, queue=queue,
                           retries=retries)  # fmt: skip
        if not quiet:
            errors.print(f"submitted {given.name}: {given.url}")
        _watched(context, client, given, quiet=quiet, plain=plain, format=format, report=report)


def watch(
    context: typer.Context,
    study: WatchedArgument,
    quiet: QuietOption = False,
    plain: PlainOption = False,
    format: RunFormatOption = RunFormat.table,
    report: ReportOption = False,
) -> None:
    """Watch studies until they are over, and print their comparison, as `run` does with one that it submits."""
    from hpo.client import ServedSuite

    with connected(context) as client:
        studies = [client[name] for name in dict.fromkeys(study)]
        found = studies[0] if len(studies) == 1 else ServedSuite(client, f"{len(studies)}-studies", studies)
        _watched(context, client, found, quiet=quiet, plain=plain, format=format, report=report)


def _submitted(context: typer.Context, client: Client, study: str, **options: Any) -> ServedStudy | ServedSuite:
    """Submits a study, or prints what is wrong with its file."""
    from hpo.client import ServiceError
    from hpo.client.submission import has_tasks, text_of

    try:
        return (client.submit_suite if has_tasks(text_of(study)) else client.submit)(study, **options)
    except KeyboardInterrupt:
        raise InterruptedStudy(
            f"interrupted before the service answered; whether it has the study, `{typed(context, 'studies')}` tells"
        ) from None
    except ServiceError as error:
        if not error.problems:
            raise
        _say(error.problems, study)
        raise typer.Exit(error.exit_code) from None


def _say(problems: Sequence[Mapping[str, Any]], study: str) -> None:
    """Prints what is wrong with a study file, each at its place, as the local commands do."""
    from hpo.study.finding import find

    for problem in problems:
        place = "".join(f":{problem[key]}" for key in ("line", "column") if problem.get(key))
        errors.print(f"hpo: {find(study)[0]}{place}: {problem['message']}")


def _watched(
    context: typer.Context,
    client: Client,
    given: ServedStudy | ServedSuite,
    *,
    quiet: bool,
    plain: bool,
    format: RunFormat,
    report: bool,
) -> None:
    """Shows a study, or those of a suite, until they are over, then the comparison. Raises StudyFailed, InterruptedStudy."""
    from hpo.cli.remote.watching import show
    from hpo.client import ServedSuite

    studies = list(given.values()) if isinstance(given, ServedSuite) else [given]
    names = [study.name for study in studies]
    try:
        last = [show(study.watch(), quiet=quiet, plain=plain) for study in studies]
    except KeyboardInterrupt:
        raise InterruptedStudy(
            f"the watch is interrupted, and the cluster goes on with {', '.join(names)}; to stop it: "
            f"`{typed(context, 'stop', names[0])}`; to continue: {typed(context, 'watch', *names)}"
        ) from None
    known = [study for study, end in zip(studies, last, strict=True) if end.facts["trials"]]
    found = show_results(client, known, format.value) if known else None
    if report and found is not None:
        path = given.report(f"{given.name}.html")
        if not quiet:
            errors.print(f"report: {path}")
    if failure := found and (found.failure or found.failed_exams):
        raise StudyFailed(failure)
    for end in last:
        if end.word != "complete":
            kind = InterruptedStudy if end.word == "stopped" else StudyFailed
            raise kind(f"{end.sentence}; to continue: {typed(context, 'continue', end.study)}")


def _say_next(context: typer.Context, study: ServedStudy | ServedSuite) -> None:
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
