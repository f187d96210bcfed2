"""Comparisons: a study's tables in, what may be said of its methods out. Pure; reads StudyData only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hpo.errors import HpoError
from hpo.results import anytime, statistics
from hpo.store import columns as stored
from hpo.results.comparison import UNDECIDED, Comparison, Interval, MethodSummary, PairTest, Ranking, RunSummary, Winner
from hpo.study.space import pairs
from hpo.results.statistics import Vector, mean_interval
from hpo.results.summaries import summaries

if TYPE_CHECKING:
    from hpo.store import StudyData

__all__ = [
    "Comparison", "IncomparableStudies", "MethodSummary", "PairTest", "Ranking", "RunSummary", "Winner", "compare",
    "compare_many",
]  # fmt: skip

POINT = 0.01  # the difference that people ask for: one point of accuracy
FRIEDMAN_BLOCKS = 5  # seeds or tasks from which on Friedman's test is made
TASK_BLOCKS = 6  # tasks from which on they are the pairs: with fewer the signed-rank test could never decide

Block = tuple[str, int]


class IncomparableStudies(HpoError):
    """Studies that cannot be compared with each other."""


def compare(
    data: StudyData, *, workers: int | None = None, target: float | None = None, point: float = POINT
) -> Comparison:
    """Compares the methods of a study.

    `workers`: for the time that each method would have taken alone (the study's parallelism where None). `target`:
    the value for `epochs_to_target`; where None, what random search had in the end, else what the worst method had.
    """
    return compare_many([data], workers=workers, target=target, point=point)


def compare_many(
    studies: Sequence[StudyData], *, workers: int | None = None, target: float | None = None, point: float = POINT
) -> Comparison:
    """Compares methods over several studies (tasks) with one metric. Raises IncomparableStudies where it differs."""
    _check(studies)
    alone = workers or max(int(data.definition.get("parallelism") or 1) for data in studies)
    labels = list(dict.fromkeys(label for data in studies for label in stored.labels(data.definition, data.runs)))
    runs: list[RunSummary] = []
    targets: dict[str, float | None] = {}
    for data in studies:
        mode = str(data.definition["mode"])
        mine = summaries(data, alone)
        targets[data.name] = target if target is not None else _target(mine, labels, mode)
        initial = {run.seed: run.value for run in mine if run.method in _defaults(data)}
        runs += [_placed(run, targets[data.name], initial.get(run.seed, math.nan), mode) for run in mine]
    return _compared(studies, runs, labels, targets, alone, point)


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
                    f"studies must have one {key} to be compared, but got {first.definition[key]} in {first.name} "
                    f"and {data.definition[key]} in {data.name}"
                )


def _compared(
    studies: Sequence[StudyData], runs: Sequence[RunSummary], labels: Sequence[str], targets: Mapping[str, float | None],
    workers: int, point: float,
) -> Comparison:  # fmt: skip
    first = studies[0].definition
    metric, mode = str(first["metric"]), str(first["mode"])
    test_metric = "test_" + metric.removeprefix("val_")
    kind = _block_kind(runs)
    values = _blocks(runs, labels, lambda run: run.value, mode, kind)
    tested = _blocks(runs, labels, lambda run: run.test(test_metric), mode, kind, unknown=math.nan)
    ranks = dict(zip(labels, statistics.mean_ranks(full), strict=True)) if len(full := _whole(values)) else {}
    return Comparison(
        study=", ".join(data.name for data in studies),
        metric=metric,
        mode=mode,
        budget_epochs=int(first["budget"]["epochs"]),
        runs=tuple(runs),
        methods=tuple(_method(label, runs, mode, test_metric, ranks.get(label), kind) for label in labels),
        tests=tuple(pair_tests(labels, values, mode, point)),
        test_metric=test_metric,
        test_tests=tuple(pair_tests(labels, tested, mode, point)) if np.isfinite(tested).any() else (),
        ranking=_ranking(labels, _whole(values)),
        blocks=kind,
        tasks=tuple(data.name for data in studies),
        target=targets[studies[0].name] if len(studies) == 1 else None,
        point=point,
        workers=workers,
        notes=tuple(_notes(runs, labels)),
    )


# -- blocks -------------------------------------------------------------------------------------------------------


def _block_kind(runs: Sequence[RunSummary]) -> str:
    """What pairs are made of: seeds; with several tasks both, and the tasks alone where there are enough of them."""
    tasks = len({run.study for run in runs})
    return "seed" if tasks <= 1 else "task, seed" if tasks < TASK_BLOCKS else "task"


def _blocks(
    runs: Sequence[RunSummary], labels: Sequence[str], value: Callable[[RunSummary], float], mode: str, kind: str,
    unknown: float = -math.inf,
) -> Vector:  # fmt: skip
    """Values [blocks, methods], oriented so that larger is better; NaN where a method has no complete run.

    `unknown`: what a complete run without a value counts as; -inf: worse than any.
    """
    sign = 1.0 if mode == "max" else -1.0
    cells: dict[tuple[str, int], dict[str, list[float]]] = {}
    for run in runs:
        if run.complete:
            found = sign * value(run)
            block = (run.study, 0 if kind == "task" else run.seed)
            cells.setdefault(block, {}).setdefault(run.method, []).append(unknown if math.isnan(found) else found)
    rows = [[np.mean(row[label]) if label in row else math.nan for label in labels] for row in cells.values()]
    return np.array(rows, dtype=float).reshape(-1, len(labels))


def _whole(values: Vector) -> Vector:
    """The blocks in which every method has a value, be it -inf."""
    return np.asarray(values[~np.isnan(values).any(axis=1)])


def pair_tests(labels: Sequence[str], values: Vector, mode: str, point: float = POINT) -> list[PairTest]:
    """The paired tests of all pairs of methods over oriented values [blocks, methods], corrected by Holm."""
    columns = dict(zip(labels, values.T, strict=True))
    differences = {(a, b): _differences(columns[a], columns[b]) for a, b in pairs(list(labels))}
    found = {pair: statistics.signed_rank(d) for pair, d in differences.items()}
    adjusted = statistics.holm([p for p, _ in found.values()])
    sign = 1.0 if mode == "max" else -1.0
    return [
        _pair_test(pair, differences[pair], found[pair], float(p), sign, point, statistics.ALPHA / len(found))
        for pair, p in zip(found, adjusted, strict=True)
    ]


def _differences(a: Vector, b: Vector) -> Vector:
    """a - b over the blocks that both have; two runs without a value differ by nothing."""
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    same = a == b
    return np.where(same, 0.0, np.where(same, 0.0, a) - np.where(same, 0.0, b))


def _pair_test(
    pair: tuple[str, str], d: Vector, test: tuple[float, int], adjusted: float, sign: float, point: float, alpha: float
) -> PairTest:
    p, direction = test
    finite = sign * d[np.isfinite(d)]
    mean, ci95 = mean_interval(list(finite))
    # Where ranks and mean point in different directions, the data do not say who is better.
    agree = mean is None or len(finite) < len(d) or direction * sign * mean > 0
    decided = adjusted < statistics.ALPHA and agree
    verdict = UNDECIDED if not decided else "a better" if direction > 0 else "b better"
    return PairTest(*pair, len(d), mean, ci95, p, adjusted, verdict, _more(finite, len(d), point, alpha))


def _more(differences: Vector, pairs_seen: int, point: float, alpha: float) -> int | None:
    if len(differences) < 2:
        return None
    needed = statistics.pairs_needed(float(differences.std(ddof=1)), point, alpha)
    return max(0, needed - pairs_seen)


def _ranking(labels: Sequence[str], values: Vector) -> Ranking | None:
    """Friedman and Nemenyi over whole blocks [blocks, methods]; None for fewer than five blocks or three methods."""
    if len(values) < FRIEDMAN_BLOCKS or len(labels) < 3:
        return None
    test = statistics.friedman(values)
    named = {(labels[i], labels[j]): float(test.pairwise[i, j]) for i, j in _index_pairs(len(labels))}
    return Ranking(
        blocks=test.blocks,
        statistic=test.statistic,
        p=test.p,
        mean_ranks=dict(zip(labels, map(float, test.mean_ranks), strict=True)),
        critical_difference=test.critical_difference,
        groups=tuple(tuple(labels[i] for i in group) for group in test.cliques),
        pairwise=named,
    )


def _index_pairs(count: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


# -- methods ------------------------------------------------------------------------------------------------------


def _method(
    label: str, runs: Sequence[RunSummary], mode: str, test_metric: str, rank: float | None, kind: str
) -> MethodSummary:
    mine = [run for run in runs if run.method == label]
    whole = [run for run in mine if run.complete]
    sign = 1.0 if mode == "max" else -1.0
    mean, ci95 = _mean(whole, lambda run: run.value, kind)
    test_mean, test_ci95 = _mean(whole, lambda run: run.test(test_metric), kind)
    optimism, optimism_ci95 = _mean(whole, lambda run: sign * (run.value - run.test(test_metric)), kind)
    area, area_ci95 = _mean(whole, lambda run: math.nan if run.area is None else run.area, kind)
    reached = sorted(run.epochs_to_target for run in whole if run.epochs_to_target is not None)
    drops = [run.error_drop for run in whole if run.error_drop is not None]
    values = [sign * run.value for run in whole if run.incumbent]
    return MethodSummary(
        method=label,
        runs=len(whole),
        partial=len(mine) - len(whole),
        mean=mean,
        ci95=ci95,
        mean_rank=None if rank is None else float(rank),
        best=sign * max(values) if values else None,
        train_mean=mean_interval([run.train for run in whole])[0],
        test_mean=test_mean,
        test_ci95=test_ci95,
        optimism=optimism,
        optimism_ci95=optimism_ci95,
        area=area,
        area_ci95=area_ci95,
        reached=len(reached),
        epochs_to_target=_median(reached, len(whole)),
        error_drop=mean_interval(drops)[0],
        charged_epochs=sum(run.charged_epochs for run in mine),
        shared_epochs=sum(run.shared_epochs for run in mine),
        wasted_epochs=sum(run.wasted_epochs for run in mine),
        trials=sum(run.trials for run in mine),
        failed_trials=sum(run.failed_trials for run in mine),
        train_seconds=mean_interval([run.train_seconds for run in whole])[0],
        wall_seconds=mean_interval([run.wall_seconds for run in whole])[0],
        task_means={
            task: mean_interval([run.value for run in whole if run.study == task])[0]
            for task in dict.fromkeys(run.study for run in runs)
        },
    )


def _mean(runs: Sequence[RunSummary], value: Callable[[RunSummary], float], kind: str) -> tuple[float | None, Interval]:
    """Mean and interval over the runs; over the tasks' own means where tasks are the blocks, since seeds repeat them."""
    groups: dict[str, list[float]] = {}
    for run in runs:
        if math.isfinite(found := value(run)):
            groups.setdefault(run.study if kind == "task" else f"{run.study}/{run.seed}", []).append(found)
    return mean_interval([float(np.mean(group)) for group in groups.values()])


def _median(reached: Sequence[int], runs: int) -> int | None:
    """The lower median over runs of which those that never reached it count as infinite."""
    place = (runs - 1) // 2
    return reached[place] if runs and place < len(reached) else None


def _notes(runs: Sequence[RunSummary], labels: Sequence[str]) -> list[str]:
    """What a reader must know beside the figures."""
    whole = {label: [run for run in runs if run.method == label and run.complete] for label in labels}
    partial = [f"{run.method}/{run.seed}" for run in runs if not run.complete]
    empty = [f"{run.method}/{run.seed}" for run in runs if run.complete and run.incumbent is None]
    found = []
    if partial:
        found.append(f"Left out of means and tests, because not complete: {', '.join(partial)}.")
    if empty:
        found.append(f"No value at all, ranked last and left out of means: {', '.join(empty)}.")
    found += [_one_trial(label, mine) for label, mine in whole.items() if _always_the_same(mine)]
    tasks = dict.fromkeys(run.study for run in runs)
    for label, mine in whole.items():
        if mine and (missing := [task for task in tasks if task not in {run.study for run in mine}]):
            found.append(f"The means of {label} are over fewer tasks: it has no complete run of {', '.join(missing)}.")
    return found


def _always_the_same(runs: Sequence[RunSummary]) -> bool:
    """Whether one and the same training won in every run: repetitions that repeat nothing."""
    won = {(run.study, run.incumbent.trial, run.incumbent.epoch) for run in runs if run.incumbent}
    return len(won) < len(runs) and len(won) == len({run.study for run in runs}) and all(r.incumbent for r in runs)


def _one_trial(label: str, runs: Sequence[RunSummary]) -> str:
    return f"One and the same training won all {len(runs)} runs of {label}: its interval leaves out the chance in training."


# -- targets ------------------------------------------------------------------------------------------------------


def _target(runs: Sequence[RunSummary], labels: Sequence[str], mode: str) -> float | None:
    """What random search had in the end, on average; without it, what the worst method had."""
    means = {}
    for label in labels:
        values = [r.value for r in runs if r.method == label and r.complete and math.isfinite(r.value)]
        if values:
            means[label] = float(np.mean(values))
    if "random" in means or not means:
        return means.get("random")
    return min(means.values()) if mode == "max" else max(means.values())


def _defaults(data: StudyData) -> set[str]:
    """The labels under which the default configuration runs: the baseline of relative error drops."""
    methods = data.definition.get("methods", ())
    return {str(m["label"]) for m in methods if "default" in (m["label"], m.get("name"))}


def _placed(run: RunSummary, target: float | None, initial: float, mode: str) -> RunSummary:
    """The run beside its study's target and the default configuration's value."""
    reached = None if target is None else anytime.epochs_to(run.anytime, target, mode)
    return replace(run, epochs_to_target=reached, error_drop=relative_error_drop(initial, run.value, mode))


def relative_error_drop(initial: float, final: float, mode: str) -> float | None:
    """(final - initial) / (1 - initial) for an accuracy (Migayo et al. 2023); for a loss (initial - final) / initial.

    None where it has no meaning: an accuracy outside [0, 1), a loss that is not positive.
    """
    if not (math.isfinite(initial) and math.isfinite(final)):
        return None
    if mode == "max":
        return (final - initial) / (1 - initial) if 0 <= initial < 1 and final <= 1 else None
    return (initial - final) / initial if initial > 0 else None
