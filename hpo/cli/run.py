"""`hpo run`: plays a study from its file to its comparison and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.compare import print_comparison
from hpo.cli.options import (
    BudgetOption,
    MethodsOption,
    QuietOption,
    RayAddressOption,
    RunFormat,
    RunFormatOption,
    SeedsOption,
    SlotsOption,
    StudyArgument,
    command_line,
    errors,
    load_study,
    writing,
)
from hpo.errors import StudyFailed
from hpo.study.study import Study


def run(
    study: StudyArgument,
    store: Annotated[
        str | None, typer.Option(metavar="URI", help="The store for the results (default: the study's).")
    ] = None,
    address: RayAddressOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = None,
    workers: SlotsOption = None,
    quiet: QuietOption = False,
    format: RunFormatOption = RunFormat.table,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write an HTML report when the study is done.")
    ] = True,
) -> None:
    """Run a study, or continue one that its store holds in part."""
    from hpo.live.session import play

    loaded = load_study(study, store=store, methods=methods, seeds=seeds, budget=budget)
    repeat = command_line()
    play(loaded, address=address, workers=workers, quiet=quiet, command=repeat)
    found = print_comparison(loaded.store, loaded.study, format.value)
    if report:
        path = write_report(loaded, repeat)
        if not quiet:
            errors.print(f"report: {path}")
    if found.failure or found.failed_exams:
        raise StudyFailed(found.failure or found.failed_exams)


def write_report(study: Study, command: str) -> Path | str:
    """Writes the HTML report beside a local store's tables, or for S3 into the working folder; returns its path."""
    from hpo import report
    from hpo import store as stores
    from hpo.results.compare import compare
    from hpo.results.importance import importance_or_none

    data = stores.read(study.store, study.study)
    folder = Path() if "://" in study.store else Path(study.store) / study.study
    path = folder / ("report.html" if folder != Path() else f"{study.study}.html")
    comparison, importance = compare(data), importance_or_none(data, seed=0)
    with writing("the report", path):
        report.write_html(data, comparison, importance, path, command=command)
    return path
