"""`hpo run`: plays a study or a suite from its file to its comparison and its report."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.api.submission import SUBMITTED
from hpo.cli.compare import print_comparison, print_repetition, print_tasks
from hpo.cli.further import further
from hpo.cli.options import (
    BudgetOption,
    LeastOption,
    MethodsOption,
    PlainOption,
    PriorityOption,
    QuietOption,
    RayAddressOption,
    RunFormat,
    RunFormatOption,
    SeedsOption,
    SlotsOption,
    SomeTasksOption,
    StudyArgument,
    command_line,
    errors,
    load_study,
    studies_of,
    writing,
)
from hpo.errors import StudyError, StudyFailed
from hpo.files import expanded
from hpo.storage.place import is_sealed
from hpo.study.study import Study

if TYPE_CHECKING:
    from hpo.results.values import Comparison

IntoOption = Annotated[
    str | None, typer.Option("--store", metavar="URI", help="The store for the results (default: the study's).")
]
AgainOption = Annotated[
    bool, typer.Option("--again", help="STUDY is a bundle: train it anew into --store NEW, and compare the results.")
]


def run(
    study: StudyArgument,
    store: IntoOption = None,
    address: RayAddressOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = None,
    workers: SlotsOption = None,
    priority: PriorityOption = None,
    least: LeastOption = None,
    tasks: SomeTasksOption = None,
    again: AgainOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
    format: RunFormatOption = RunFormat.table,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write an HTML report when the study is done.")
    ] = True,
) -> None:
    """Run a study or a suite, or continue one that its store holds in part; or run what a bundle holds again."""
    from hpo.live.session import play
    from hpo.live.stopping import stoppable

    repeat = os.environ.get(SUBMITTED) or command_line()
    changes: dict[str, Any] = {"methods": methods, "seeds": seeds, "budget": budget}
    with stoppable(repeat):
        check_again(study, store, again=again, budget=budget)
        studies = studies_of(load_study(study, store=store, priority=priority, least=least, tasks=tasks, **changes))
        found: list[Comparison] = []

        def tell() -> None:
            found.append(print_results(studies, study, format.value, again=again))
            if report:
                report_on(studies, repeat, found[0], quiet)
            if not quiet and format is RunFormat.table:
                say_further(studies, study, changes)

        play(studies, address=address, workers=workers, quiet=quiet, command=repeat, then=tell, plain=plain)
    if failure := found[0].failure or found[0].failed_exams:
        raise StudyFailed(failure)


def print_results(studies: Sequence[Study], source: str, format: str, *, again: bool) -> Comparison:
    """Prints the comparison, or how far each study differs from the bundle that was run `again`; returns the comparison."""
    store, names = studies[0].store, [study.study for study in studies]
    if again:
        for name in names:
            print_repetition(source, store, name, format)
        found = comparison_of(studies)
    else:
        found = print_tasks(store, names, format) if len(names) > 1 else print_comparison(store, names[0], format)
    note_verdict(studies, found)
    sys.stdout.flush()  # the results are there before the report, and before the cluster is gone
    return found


def note_verdict(studies: Sequence[Study], comparison: Comparison) -> None:
    """Notes the verdict on a study that was just run for lists of studies, which do without where that fails."""
    from hpo.results.brief import brief
    from hpo.store import StoreError, notes

    if len(studies) != 1:
        return
    study, labels = studies[0], {method.label for method in studies[0].methods}
    mine = [run for run in comparison.runs if run.method in labels and run.seed in study.seeds]
    cost = study.budget.unit.name == "cost"
    charged = sum(run.charged_cost or 0 if cost else run.charged_epochs for run in mine)
    with suppress(StoreError):
        notes.note_verdict(study.store, study.study, brief(comparison), charged)


def check_again(study: str, store: str | None, *, again: bool, budget: int | None) -> None:
    """Raises HpoError unless a bundle is run with --again, with its own budget and into a new store, and only a bundle is."""
    if not is_sealed(study):
        if again:
            raise StudyError(f"--again needs a bundle, a .tar.gz or .zip file, but got {study}; leave --again out")
        return
    if not again:
        raise StudyError(f"{study} is a bundle, which only --again trains anew: `hpo run {study} --again --store NEW`")
    if budget is not None:
        raise StudyError("--again needs the bundle's own budget, but got --budget; leave it out")
    from hpo.bundle import check_new, check_trained

    check_trained(study)
    check_new(study, store)


def comparison_of(studies: Sequence[Study]) -> Comparison:
    """Returns the comparison of a study that was just run, or over the tasks of a suite."""
    from hpo import store as stores
    from hpo.results.compare import compare_many

    return compare_many([stores.read(study.store, study.study) for study in studies])


def say_further(studies: Sequence[Study], source: str, changes: Mapping[str, Any]) -> None:
    """Says what may be asked next of a study, or of a suite, that has run."""
    from hpo import store as stores
    from hpo.results.importance import has_enough

    important = any(has_enough(stores.read(study.store, study.study)) for study in studies)
    errors.print(further(studies, source, changes, important=important))


def report_on(studies: Sequence[Study], command: str, comparison: Comparison, quiet: bool) -> None:
    """Writes the HTML report beside a local store's tables, or for S3 into the working folder, and says where."""
    from hpo import report
    from hpo import store as stores
    from hpo.results.importance import importance_or_none

    first, several = studies[0], len(studies) > 1
    root = Path() if "://" in first.store else expanded(first.store)
    name = first.suite if several else first.study
    path = root / (f"{name}.html" if several or root == Path() else f"{name}/report.html")
    data = [stores.read(study.store, study.study) for study in studies]
    with writing("the report", path):
        if several:
            found = {one.name: shares for one in data if (shares := importance_or_none(one, seed=0)) is not None}
            report.write_tasks(data, comparison, found, path, command=command)
        else:
            report.write_html(data[0], comparison, importance_or_none(data[0], seed=0), path, command=command)
    if not quiet:
        errors.print(f"report: {path}")
