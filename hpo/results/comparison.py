"""What a comparison says: runs, methods, paired tests, ranking, verdict; frozen values and their JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hpo.results.anytime import Corners
from hpo.text import plain
from hpo.results.statistics import ALPHA, fewest_pairs

Interval = tuple[float, float] | None

UNDECIDED = "undecided"


@dataclass(frozen=True)
class Winner:
    """A run's incumbent: the best validation value it was charged for, and what the final exam gave.

    `train` is the same metric on the training data at that epoch. `test` holds the exam's metrics, means over
    `exams` trainings where it was retrained with several seeds; None where there was no exam.
    """

    trial: str
    config: Mapping[str, Any]
    epoch: int
    value: float
    train: float | None = None
    test: Mapping[str, float] | None = None
    exams: int = 0


@dataclass(frozen=True)
class RunSummary:
    """One run: a method with a seed on a task (the study's name).

    `anytime`: corners of the best value so far over charged epochs; `anytime_seconds`: over the time that the
    method would have taken alone on the comparison's workers, `wall_seconds` its end. `area`: mean height of the
    anytime curve over the budget. `train_seconds`: training summed over all workers. `error_drop`: relative drop of
    the error against the default configuration of the same seed (Migayo et al. 2023).
    """

    study: str
    method: str
    seed: int
    status: str  # complete | partial
    reason: str | None
    budget_epochs: int
    charged_epochs: int
    shared_epochs: int
    wasted_epochs: int
    trials: int
    failed_trials: int
    train_seconds: float
    wall_seconds: float
    incumbent: Winner | None
    anytime: Corners
    anytime_seconds: Corners
    area: float | None
    epochs_to_target: int | None = None
    error_drop: float | None = None

    @property
    def complete(self) -> bool:
        return self.status == "complete"

    @property
    def value(self) -> float:
        """The incumbent's validation value; NaN where the run has none."""
        return self.incumbent.value if self.incumbent else math.nan

    @property
    def train(self) -> float:
        """The metric on the training data at the incumbent's epoch; NaN where it was not measured."""
        found = self.incumbent.train if self.incumbent else None
        return math.nan if found is None else found

    def test(self, metric: str) -> float:
        """The exam's result; NaN where there is none."""
        tested = self.incumbent.test if self.incumbent else None
        return float(tested[metric]) if tested and metric in tested else math.nan


@dataclass(frozen=True)
class MethodSummary:
    """A method over its complete runs, on validation unless a field says test. Means are None where nothing is known.

    `train_mean`: the same metric on the training data at the incumbents' epochs. `task_means`: by task.
    `mean_rank`: over the blocks in which every method has a complete run; 1 is best. `optimism`: how much better
    validation looked than test, mean over runs; positive is selection bias, whatever the mode. `reached`: runs that
    reached the target; `epochs_to_target`: the median over runs, None where fewer than half did.
    """

    method: str
    runs: int
    partial: int
    mean: float | None
    ci95: Interval
    mean_rank: float | None
    best: float | None
    train_mean: float | None
    test_mean: float | None
    test_ci95: Interval
    optimism: float | None
    optimism_ci95: Interval
    area: float | None
    area_ci95: Interval
    reached: int
    epochs_to_target: int | None
    error_drop: float | None
    charged_epochs: int
    shared_epochs: int
    wasted_epochs: int
    trials: int
    failed_trials: int
    train_seconds: float | None
    wall_seconds: float | None
    task_means: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class PairTest:
    """Two methods over the blocks (seeds, tasks) that both completed.

    `difference` = mean of a minus mean of b, in the metric's unit; `p` by the exact signed-rank test, `p_adjusted`
    by Holm over all pairs. `more_blocks`: how many further seeds would be needed to detect a difference of
    `Comparison.point` with a power of 80 percent, by the spread seen so far; 0 where there are enough, None where
    fewer than two pairs leave the spread unknown.
    """

    a: str
    b: str
    pairs: int
    difference: float | None
    ci95: Interval
    p: float
    p_adjusted: float
    verdict: str  # a better | b better | undecided
    more_blocks: int | None

    @property
    def better(self) -> str | None:
        """The better method's label; None where undecided."""
        return {"a better": self.a, "b better": self.b}.get(self.verdict)


@dataclass(frozen=True)
class Ranking:
    """Friedman's test and Nemenyi's critical difference over five blocks and more.

    `groups`: maximal sets of methods whose mean ranks lie closer than the critical difference. `pairwise`: p values
    by (a, b). Differences count only where Friedman's `p` is below 0.05.
    """

    blocks: int
    statistic: float
    p: float
    mean_ranks: Mapping[str, float]
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    pairwise: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Comparison:
    """The methods of one study, or of several on the same metric.

    `blocks` says what pairs are made of: "seed", "task, seed" or "task". `tests` speak of the validation metric,
    `test_tests` of the exam's. `target`: the value that `epochs_to_target` asks for. `workers`: for `wall_seconds`.
    """

    study: str
    metric: str
    mode: str
    budget_epochs: int
    runs: tuple[RunSummary, ...]
    methods: tuple[MethodSummary, ...]
    tests: tuple[PairTest, ...]
    test_metric: str
    test_tests: tuple[PairTest, ...] = ()
    ranking: Ranking | None = None
    blocks: str = "seed"
    tasks: tuple[str, ...] = ()
    target: float | None = None
    point: float = 0.01
    workers: int = 1
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> str:
        """What may be said, in one sentence or two."""
        return verdict(self)

    def to_json(self) -> dict[str, Any]:
        """The contract of `hpo compare --format json`, and more keys beside; null where a number is not finite."""
        found = {
            "study": self.study, "metric": self.metric, "mode": self.mode, "budget_epochs": self.budget_epochs,
            "verdict": self.verdict, "notes": list(self.notes), "tasks": list(self.tasks), "blocks": self.blocks,
            "workers": self.workers, "target": self.target, "point": self.point, "test_metric": self.test_metric,
            "runs": [_run(run) for run in self.runs],
            "methods": [asdict(method) for method in self.methods],
            "tests": [asdict(test) for test in self.tests],
            "test_tests": [asdict(test) for test in self.test_tests],
            "ranking": _ranking(self.ranking),
        }  # fmt: skip
        answer: dict[str, Any] = plain(found)
        return answer


def _run(run: RunSummary) -> dict[str, Any]:
    # `asdict` would walk and copy every corner of the curves.
    shown = {name: getattr(run, name) for name in run.__dataclass_fields__}
    return {**shown, "incumbent": asdict(run.incumbent) if run.incumbent else None}


def _ranking(ranking: Ranking | None) -> dict[str, Any] | None:
    if ranking is None:
        return None
    pairwise = [{"a": a, "b": b, "p": p} for (a, b), p in ranking.pairwise.items()]
    shown = {name: getattr(ranking, name) for name in ranking.__dataclass_fields__}
    return {**shown, "mean_ranks": dict(ranking.mean_ranks), "pairwise": pairwise}


# -- sentences ----------------------------------------------------------------------------------------------------


def verdict(comparison: Comparison) -> str:
    """One sentence: who is better than whom, or that it is undecided and what would decide it."""
    methods = [m for m in comparison.methods if m.runs]
    if not methods:
        return "Undecided: no run is complete yet."
    if len(methods) == 1:
        return f"Only {methods[0].method} has complete runs: there is nothing to compare it with."
    won = {m.method: [t for t in comparison.tests if t.better == m.method] for m in methods}
    decided = sum(map(len, won.values()))
    if not decided:
        return _undecided(comparison)
    parts = [_beats(name, tests) for name, tests in won.items() if tests]
    left = len(comparison.tests) - decided
    end = f"; {_count(left, 'other pair')} undecided" if left else ""
    over = _count(max(t.pairs for t in comparison.tests), *_block_words(comparison))
    return f"{'; '.join(parts)} in {comparison.metric} ({over}){end}.{_exam(comparison)}"


def _exam(comparison: Comparison) -> str:
    """Whether the final exam bears out what validation decided; what it alone would say stays with its table."""
    tested = {(t.a, t.b): t.verdict for t in comparison.test_tests}
    decided = [t for t in comparison.tests if t.better]
    if not tested:
        return ""
    agreed = sum(tested.get((t.a, t.b)) == t.verdict for t in decided)
    if agreed == len(decided):
        return " The final exam says the same."
    return f" The final exam bears out {agreed} of these {len(decided)} pairs."


def _beats(name: str, tests: Sequence[PairTest]) -> str:
    others = _and([t.b if t.better == t.a else t.a for t in tests])
    worst = max(t.p_adjusted for t in tests)
    return f"{name} is better than {others} (adjusted p {_p(worst)})"


def _undecided(comparison: Comparison) -> str:
    pairs = min((t.pairs for t in comparison.tests), default=0)
    one, many = _block_words(comparison)
    known = [t.more_blocks for t in comparison.tests if t.more_blocks is not None]
    start = f"Undecided: over {_count(pairs, one, many)} no method is shown to be better"
    fewest = fewest_pairs(ALPHA / max(1, len(comparison.tests)))
    if pairs < fewest:
        start += f" ({fewest} are the fewest that can show it)"
    if not known or len(known) < len(comparison.tests):
        return f"{start}; at least 2 {many} are needed to say how many would decide it."
    more = max(known)
    if more == 0:
        return f"{start}, although a difference of {comparison.point:g} would probably have been found."
    return f"{start}; about {more:,} more would be needed to detect a difference of {comparison.point:g}."


def _block_words(comparison: Comparison) -> tuple[str, str]:
    words = {"seed": ("seed", "seeds"), "task": ("task", "tasks")}
    return words.get(comparison.blocks, ("pair of task and seed", "pairs of task and seed"))


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _and(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"<= {math.ceil(value * 1000) / 1000:g}"
