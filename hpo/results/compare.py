"""Compares methods: takes the tables of one or several studies, makes a Comparison. Pure; reads StudyData only."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import HpoError
from hpo.results import anytime, statistics
from hpo.results.aggregates import aggregates, common_blocks
from hpo.results.bounds import Bounds, metric_bounds
from hpo.results.coverage import far_runs
from hpo.results.margin import Margin, margin
from hpo.results.method_summaries import Rules, method_summaries
from hpo.results.pair_tests import (
    TASK_BLOCKS,
    block_kind,
    block_values,
    pair_tests,
    pair_tests_of_each,
    ranking,
    whole_blocks,
)
from hpo.results.phrases import digits
from hpo.results.reference import random_twice
from hpo.results.run_summaries import run_summaries
from hpo.results.values import Comparison, PairTest, RunSummary
from hpo.store import columns as stored
from hpo.store.failures import failed_exams, without_result

if TYPE_CHECKING:
    from hpo.store import StudyData

NAMED = 8  # incomplete runs that a note lists
FAR = 3  # pairs of a method and a task with runs far from the rest that have a note each


class IncomparableStudies(HpoError):
    """Studies that cannot be compared with each other."""


def compare(
    data: StudyData, *, workers: int | None = None, target: float | None = None, difference: float | str | None = None
) -> Comparison:
    """Compares the methods of a study.

    `workers`: the number for the time that each method would have taken alone (default: the study's parallelism).
    `target`: the value behind `epochs_to_target` (default: random search's mean final value; without random search,
    the worst method's). `difference`: the smallest that matters, such as 0.005 or "1 %" of the mean (default: the
    study's; without one, 0.01 for accuracies in [0, 1]).
    """
    return compare_many([data], workers=workers, target=target, difference=difference)


def compare_many(
    studies: Sequence[StudyData],
    *,
    workers: int | None = None,
    target: float | None = None,
    difference: float | str | None = None,
) -> Comparison:
    """Compares methods over several studies (tasks); options as for `compare`.

    Raises IncomparableStudies unless there is at least one study, names differ, and metric and mode are the same;
    StudyError for what is no difference, DifferentMargins if the studies name several.
    """
    _check(studies)
    alone = workers or max(int(data.definition.get("parallelism") or 1) for data in studies)
    labels = list(dict.fromkeys(label for data in studies for label in stored.labels(data.definition, data.runs)))
    runs: list[RunSummary] = []
    targets: dict[str, float | None] = {}
    for data in studies:
        mode = str(data.definition["mode"])
        mine = run_summaries(data, alone)
        targets[data.name] = target if target is not None else _target(mine, labels, mode)
        initial = {run.seed: run.value for run in mine if run.method in _defaults(data)}
        runs += [_placed(run, targets[data.name], initial.get(run.seed, math.nan), mode) for run in mine]
    return _compared(studies, runs, labels, targets, alone, difference)


def _check(studies: Sequence[StudyData]) -> None:
    if not studies:
        raise IncomparableStudies("a comparison needs at least one study, but got none")
    names = [data.name for data in studies]
    if len(set(names)) != len(names):
        raise IncomparableStudies(f"studies must have different names, but got {', '.join(names)}")
    first = studies[0]
    for data in studies[1:]:
        for key in ("metric", "mode"):
            if data.definition[key] != first.definition[key]:
                raise IncomparableStudies(
                    f"studies must have the same {key} to be compared, but {first.name} has {first.definition[key]} "
                    f"and {data.name} has {data.definition[key]}"
                )


def _compared(
    studies: Sequence[StudyData], runs: Sequence[RunSummary], labels: Sequence[str], targets: Mapping[str, float | None],
    workers: int, difference: float | str | None,
) -> Comparison:  # fmt: skip
    first = studies[0].definition
    metric, mode = str(first["metric"]), str(first["mode"])
    test_metric = "test_" + metric.removeprefix("val_")
    budgets, costs = _budgets(studies)
    kind = block_kind(runs)
    values = block_values(runs, labels, lambda run: run.value, mode, kind)
    full = whole_blocks(values)
    bounds = metric_bounds(first, [v for run in runs for v in (run.value, run.test(test_metric))])
    methods, blocks = common_blocks(runs, mode)
    ranks = dict(zip(labels, statistics.mean_ranks(full), strict=True)) if len(full) else {}
    point = (smallest := _margin(studies, runs, difference)).of(values)
    tested = _tested(runs, labels, mode, test_metric, smallest, bounds)
    return Comparison(
        study=", ".join(data.name for data in studies),
        metric=metric,
        mode=mode,
        runs=tuple(runs),
        methods=tuple(method_summaries(labels, runs, ranks, Rules(mode, test_metric, kind, bounds, point or 0.0))),
        test_metric=test_metric,
        ranking=ranking(labels, full, tested["tests"]),
        blocks=kind,
        tasks=tuple(budgets),
        budgets=budgets,
        cost_budgets=costs,
        target=targets[studies[0].name] if len(studies) == 1 else None,
        point=point,
        difference=str(smallest.difference) if smallest.named else None,
        workers=workers,
        notes=tuple(_notes(runs, labels, {**budgets, **costs}, costs, point or 0.0)),
        failure=_of_each(studies, without_result, every=True),
        failed_exams=_of_each(studies, failed_exams),
        reference=random_twice(studies, runs, mode, test_metric),
        bounds=bounds,
        aggregates=aggregates(blocks, methods, mode, bounds),
        **tested,
    )


def _margin(studies: Sequence[StudyData], runs: Sequence[RunSummary], given: float | str | None) -> Margin:
    named = (data.definition.get("difference") for data in studies)
    metric, mode = (str(studies[0].definition[name]) for name in ("metric", "mode"))
    return margin(given, named, metric, mode, [run.value for run in runs if run.complete])


def _tested(
    runs: Sequence[RunSummary], labels: Sequence[str], mode: str, test_metric: str, margin: Margin, bounds: Bounds
) -> dict[str, Any]:
    """Returns the fields of a comparison that hold tests: of validation, and of the final exam if there was one."""
    tests, of_tasks = _tests(runs, labels, lambda run: run.value, mode, margin, bounds)
    found: dict[str, Any] = {"tests": tests, "task_tests": of_tasks, "test_tests": (), "test_task_tests": {}}
    if any(math.isfinite(run.test(test_metric)) for run in runs if run.complete):
        exam, of_exams = _tests(runs, labels, lambda run: run.test(test_metric), mode, margin, bounds, math.nan)
        found |= {"test_tests": exam, "test_task_tests": of_exams}
    return found


def _tests(
    runs: Sequence[RunSummary], labels: Sequence[str], value: Callable[[RunSummary], float], mode: str, margin: Margin,
    bounds: Bounds, unknown: float = -math.inf,
) -> tuple[tuple[PairTest, ...], dict[str, tuple[PairTest, ...]]]:  # fmt: skip
    """Returns the tests of all pairs over blocks, and those of each task if the tasks are too few to decide as blocks."""
    tests = pair_tests(labels, block_values(runs, labels, value, mode, block_kind(runs), unknown), mode, margin)
    tasks = list(dict.fromkeys(run.study for run in runs))
    if not 1 < len(tasks) < TASK_BLOCKS:
        return _within(tests, bounds), {}
    mine = [[run for run in runs if run.study == task] for task in tasks]
    tables = [block_values(some, labels, value, mode, "seed", unknown) for some in mine]
    found = [_within(each, bounds) for each in pair_tests_of_each(labels, tables, mode, margin)]
    return _within(tests, bounds), dict(zip(tasks, found, strict=True))


def _within(tests: Sequence[PairTest], bounds: Bounds) -> tuple[PairTest, ...]:
    """Returns the tests with intervals that no difference of two values of the metric can leave."""
    room = bounds.of_difference
    return tuple(replace(t, ci95=(max(t.ci95[0], room.low), min(t.ci95[1], room.high))) if t.ci95 else t for t in tests)


def _of_each(studies: Sequence[StudyData], clause: Callable[[StudyData], str], every: bool = False) -> str:
    """Returns the studies' clauses as one, of several studies with their names; with `every`, only if all have one."""
    found = {data.name: text for data in studies if (text := clause(data))}
    if every and len(found) < len(studies):
        return ""
    return "; ".join(text if len(studies) == 1 else f"{name}: {text}" for name, text in found.items())


def _budgets(studies: Sequence[StudyData]) -> tuple[dict[str, int | None], dict[str, float]]:
    """Returns the budgets in epochs of all studies, and of those whose budget is a cost, that cost."""
    found = {data.name: data.definition["budget"] for data in studies}
    costs = {name: float(budget["cost"]) for name, budget in found.items() if "cost" in budget}
    return {name: budget.get("epochs") for name, budget in found.items()}, costs


# -- notes --------------------------------------------------------------------------------------------------------


def _notes(
    runs: Sequence[RunSummary], labels: Sequence[str], budgets: Mapping[str, float | None], costs: Collection[str],
    point: float,
) -> list[str]:  # fmt: skip
    """Returns what a reader must know besides the figures, a sentence each."""
    whole = {label: [run for run in runs if run.method == label and run.complete] for label in labels}
    partial = [f"{run.method}/{run.seed}" for run in runs if not run.complete]
    empty = [f"{run.method}/{run.seed}" for run in runs if run.complete and run.incumbent is None]
    found = []
    if partial:
        named = ", ".join(partial[:NAMED]) + (f" and {len(partial) - NAMED} more" if len(partial) > NAMED else "")
        found.append(f"Incomplete runs, left out of means and tests: {named}.")
    if empty:
        found.append(f"Runs without any value, ranked last and left out of means: {', '.join(empty)}.")
    others = {
        (run.method, size): run.study
        for run in runs
        if (size := run.budget_cost or run.budget_epochs) != budgets[run.study]
    }
    for (label, size), task in others.items():
        unit = "" if task in costs else " epochs"
        found.append(
            f"A run of {label} had a budget of {digits(size or 0)}{unit}, "
            f"but the budget of {task} is {digits(budgets[task] or 0)}."
        )
    found += [_one_trial(label, mine) for label, mine in whole.items() if _always_the_same(mine)]
    tasks = dict.fromkeys(run.study for run in runs)
    for label, mine in whole.items():
        if mine and (missing := [task for task in tasks if task not in {run.study for run in mine}]):
            found.append(f"The means of {label} cover fewer tasks: it has no complete run of {', '.join(missing)}.")
    return found + _far(whole, tasks, point)


def _far(whole: Mapping[str, Sequence[RunSummary]], tasks: Collection[str], point: float) -> list[str]:
    """Returns a sentence for each method and task with runs far from the rest, on which mean and interval hinge.

    Of many there is one sentence, which names the farthest.
    """
    found: list[tuple[float, str]] = []
    for label, task in product(whole, tasks):
        far = far_runs([run.value for run in whole[label] if run.study == task and run.incumbent], point)
        if far:
            where = f" on {task}" if len(tasks) > 1 else ""
            said = (
                f"{far.count} of {far.runs} runs of {label} {'is' if far.count == 1 else 'are'} far from the rest{where} "
                f"(mean {far.far_mean:.4g} against {far.rest_mean:.4g})"
            )
            found.append((abs(far.far_mean - far.rest_mean), said))
    if len(found) > FAR:
        return [
            f"{max(found)[1]}; {len(found) - 1} other pairs of a method and a task have such runs, too: means and "
            "intervals depend on how often this happens."
        ]
    return [f"{said}: mean and interval depend on how often this happens." for _, said in found]


def _always_the_same(runs: Sequence[RunSummary]) -> bool:
    """Tells whether one training won every run of a task: then the runs repeat nothing."""
    won = {(run.study, run.incumbent.trial, run.incumbent.epoch) for run in runs if run.incumbent}
    return len(won) < len(runs) and len(won) == len({run.study for run in runs}) and all(r.incumbent for r in runs)


def _one_trial(label: str, runs: Sequence[RunSummary]) -> str:
    return f"The same training won all {len(runs)} runs of {label}, so its interval ignores the randomness of training."


# -- targets ------------------------------------------------------------------------------------------------------


def _target(runs: Sequence[RunSummary], labels: Sequence[str], mode: str) -> float | None:
    """Returns random search's mean final value; without random search, the worst method's."""
    means = {}
    for label in labels:
        values = [r.value for r in runs if r.method == label and r.complete and math.isfinite(r.value)]
        if values:
            means[label] = float(np.mean(values))
    if "random" in means or not means:
        return means.get("random")
    return min(means.values()) if mode == "max" else max(means.values())


def _defaults(data: StudyData) -> set[str]:
    """Returns the labels under which the default configuration runs: the baseline of relative error drops."""
    methods = data.definition.get("methods", ())
    return {str(m["label"]) for m in methods if "default" in (m["label"], m.get("name"))}


def _placed(run: RunSummary, target: float | None, initial: float, mode: str) -> RunSummary:
    """Returns the run with its epochs to the study's target and its error drop from the default configuration."""
    reached = None if target is None else anytime.epochs_to(run.anytime, target, mode)
    return replace(run, epochs_to_target=reached, error_drop=relative_error_drop(initial, run.value, mode))


def relative_error_drop(initial: float, final: float, mode: str) -> float | None:
    """Returns (final - initial) / (1 - initial) for an accuracy (Migayo et al. 2023), (initial - final) / initial for a loss.

    None if this has no meaning: an accuracy outside [0, 1), a loss that is not positive.
    """
    if not (math.isfinite(initial) and math.isfinite(final)):
        return None
    if mode == "max":
        return (final - initial) / (1 - initial) if 0 <= initial < 1 and final <= 1 else None
    return (initial - final) / initial if initial > 0 else None
