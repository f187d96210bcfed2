"""`hpo run`: a study from its file to its comparison and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.compare import print_comparison
from hpo.cli.options import RunFormat, StudyArgument, command_line, errors, load_study
from hpo.study.study import Study


def run(
    study: StudyArgument,
    store: Annotated[str | None, typer.Option(metavar="URI", help="Where results go; else the study's own.")] = None,
    address: Annotated[str | None, typer.Option(metavar="A", help="A running Ray cluster: auto or HOST:PORT.")] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B", help="Only these methods.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1", help="Only these seeds.")] = None,
    budget: Annotated[int | None, typer.Option(metavar="N", help="Epochs of each run.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Trials at a time, at the most.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    format: Annotated[RunFormat, typer.Option(help="What stdout gets.")] = RunFormat.table,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the HTML report at the end.")] = True,
) -> None:
    """Run a study, or go on with one that its store holds in part."""
    from hpo.live.session import play

    loaded = load_study(study, store=store, methods=methods, seeds=seeds, budget=budget)
    repeat = command_line()
    play(loaded, address=address, workers=workers, quiet=quiet, command=repeat)
    print_comparison(loaded.store, loaded.study, format.value)
    if report:
        path = write_report(loaded, repeat)
        if not quiet:
            errors.print(f"report: {path}")


def write_report(study: Study, command: str) -> Path | str:
    """The HTML report beside a local store's tables; for S3 in the working folder. Returns its path."""
    from hpo import report
    from hpo import store as stores
    from hpo.results.compare import compare
    from hpo.results.importance import importance_or_none

    data = stores.read(study.store, study.study)
    folder = Path() if "://" in study.store else Path(study.store) / study.study
    path = folder / ("report.html" if folder != Path() else f"{study.study}.html")
    report.write_html(data, compare(data), importance_or_none(data, seed=0), path, command=command)
    return path
