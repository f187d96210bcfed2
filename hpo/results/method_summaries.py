"""One summary a method over its complete runs: means with intervals, optimism, targets, cost. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.results.bounds import UNBOUNDED, Bounds
from hpo.results.coverage import far_runs, unseen_share
from hpo.results.statistics import mean_interval
from hpo.results.values import Interval, MethodSummary, RunSummary


@dataclass(frozen=True)
class Rules:
    """How runs become a method's figures: the metric's mode, the exam's metric, and what blocks are made of.

    `bounds`: of the metric. `point`: the smallest difference of interest; a run closer to the rest is not far from it.
    """

    mode: str
    test_metric: str
    blocks: str
    bounds: Bounds = UNBOUNDED
    point: float = 0.0

    @property
    def sign(self) -> float:
        return 1.0 if self.mode == "max" else -1.0


def method_summaries(
    labels: Sequence[str], runs: Sequence[RunSummary], ranks: Mapping[str, float], rules: Rules
) -> list[MethodSummary]:
    """Returns a summary of each labelled method; `ranks`: mean ranks by label, empty if there are none."""
    tasks = list(dict.fromkeys(run.study for run in runs))
    return [_summary(label, [r for r in runs if r.method == label], tasks, ranks.get(label), rules) for label in labels]


def _summary(
    label: str, mine: Sequence[RunSummary], tasks: Sequence[str], rank: float | None, rules: Rules
) -> MethodSummary:
    whole = [run for run in mine if run.complete]
    mean, ci95 = _mean(whole, lambda run: run.value, rules)
    test_mean, test_ci95 = _mean(whole, lambda run: run.test(rules.test_metric), rules)
    drops = replace(rules, bounds=rules.bounds.of_difference)
    optimism, optimism_ci95 = _mean(whole, lambda run: rules.sign * (run.value - run.test(rules.test_metric)), drops)
    area, area_ci95 = _mean(whole, lambda run: math.nan if run.area is None else run.area, rules)
    return MethodSummary(
        method=label,
        runs=len(whole),
        partial=len(mine) - len(whole),
        mean=mean,
        ci95=ci95,
        mean_rank=None if rank is None else float(rank),
        best=_best(whole, rules),
        train_mean=_plain_mean(run.train for run in whole),
        test_mean=test_mean,
        test_ci95=test_ci95,
        optimism=optimism,
        optimism_ci95=optimism_ci95,
        area=area,
        area_ci95=area_ci95,
        reached=sum(run.epochs_to_target is not None for run in whole),
        epochs_to_target=_median_epochs(whole),
        error_drop=_plain_mean(run.error_drop for run in whole),
        charged_epochs=sum(run.charged_epochs for run in mine),
        charged_cost=_cost([run.charged_cost for run in mine]),
        shared_epochs=sum(run.shared_epochs for run in mine),
        wasted_epochs=sum(run.wasted_epochs for run in mine),
        trials=sum(run.trials for run in mine),
        failed_trials=sum(run.failed_trials for run in mine),
        train_seconds=_plain_mean(run.train_seconds for run in whole),
        wall_seconds=_plain_mean(run.wall_seconds for run in whole),
        task_means={task: _plain_mean(run.value for run in whole if run.study == task) for task in tasks},
        far_runs=sum(_far(whole, task, rules) for task in tasks),
        unseen_failures=unseen_share(len(whole)) if whole else None,
    )


def _far(runs: Sequence[RunSummary], task: str, rules: Rules) -> int:
    found = far_runs([run.value for run in runs if run.study == task and run.incumbent], rules.point)
    return found.count if found else 0


def _mean(
    runs: Sequence[RunSummary], value: Callable[[RunSummary], float], rules: Rules
) -> tuple[float | None, Interval]:
    """Mean and interval over the runs; over the tasks' means if tasks are the blocks, since seeds only repeat them."""
    groups: dict[str, list[float]] = {}
    for run in runs:
        if math.isfinite(found := value(run)):
            group = run.study if rules.blocks == "task" else f"{run.study}/{run.seed}"
            groups.setdefault(group, []).append(found)
    return mean_interval([float(np.mean(group)) for group in groups.values()], rules.bounds)


def _plain_mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are known and finite; None if there are none."""
    return mean_interval([value for value in values if value is not None])[0]


def _best(runs: Sequence[RunSummary], rules: Rules) -> float | None:
    values = [rules.sign * run.value for run in runs if run.incumbent]
    return rules.sign * max(values) if values else None


def _median_epochs(runs: Sequence[RunSummary]) -> int | None:
    """The lower median of the epochs to the target; runs that never reached it count as infinite."""
    reached = sorted(run.epochs_to_target for run in runs if run.epochs_to_target is not None)
    place = (len(runs) - 1) // 2
    return reached[place] if runs and place < len(reached) else None


def _cost(of_runs: Sequence[float | None]) -> float | None:
    """Returns what all runs cost together, to the millionth; None where one does not say."""
    known = [cost for cost in of_runs if cost is not None]
    return round(math.fsum(known), 6) if known and len(known) == len(of_runs) else None
