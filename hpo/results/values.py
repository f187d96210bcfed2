"""The frozen values of a comparison (runs, methods, paired tests, ranking) and their JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hpo.results.aggregates import Aggregates
from hpo.results.anytime import Corners
from hpo.results.bounds import UNBOUNDED, Bounds
from hpo.results.brief import brief
from hpo.results.pareto import Pareto
from hpo.results.reference import Reference
from hpo.results.verdict import verdict
from hpo.text import plain

if TYPE_CHECKING:
    from hpo.results.constraints import Feasibility
    from hpo.store.state import State

Interval = tuple[float, float] | None

UNDECIDED = "undecided"


@dataclass(frozen=True)
class Winner:
    """A run's incumbent: the best validation value that the run was charged for, and its result in the final exam.

    `train`: the same metric on the training data at that epoch. `test`: the exam's metrics, each a mean over `exams`
    trainings if the configuration was retrained with several seeds; None without an exam.
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

    `anytime`: corners of the best value so far over charged epochs. `anytime_seconds`: the same over the seconds that
    the method would have taken alone on the comparison's workers; `wall_seconds`: its end. `anytime_cost`: the same over
    what the epochs cost, empty where the trainable declares no cost; `charged_cost`: its end. A budget is in epochs or in
    cost, and the other one is None. `area`: mean height of the anytime curve over the budget. `train_seconds`: training time
    summed over all workers. `error_drop`: relative drop of the error against the default configuration with the same seed
    (Migayo et al. 2023).
    """

    study: str
    method: str
    seed: int
    status: str  # complete | partial
    reason: str | None
    budget_epochs: int | None
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
    budget_cost: float | None = None
    charged_cost: float | None = None
    anytime_cost: Corners = ()

    @property
    def complete(self) -> bool:
        return self.status == "complete"

    @property
    def value(self) -> float:
        """The incumbent's validation value; NaN if the run has no incumbent."""
        return self.incumbent.value if self.incumbent else math.nan

    @property
    def train(self) -> float:
        """The metric on the training data at the incumbent's epoch; NaN if it was not measured."""
        found = self.incumbent.train if self.incumbent else None
        return math.nan if found is None else found

    def test(self, metric: str) -> float:
        """Returns the exam's value of `metric`; NaN if there is none."""
        tested = self.incumbent.test if self.incumbent else None
        return float(tested[metric]) if tested and metric in tested else math.nan


@dataclass(frozen=True)
class MethodSummary:
    """A method over its complete runs, on validation data unless a field says test. A mean of nothing is None.

    `train_mean`: the same metric on the training data at the incumbents' epochs. `task_means`: by task.
    `mean_rank`: over the blocks in which every method has a complete run; 1 is best. `optimism`: validation better
    than test by this much, mean over runs; positive is selection bias, in either mode. `reached`: number of runs that
    reached the target; `epochs_to_target`: their median over all runs, None if fewer than half reached it.
    `far_runs`: runs far from the rest of their task (`coverage.far_runs`), on which mean and interval hinge;
    `unseen_failures`: the largest share of failing runs that may not show among the runs, which no interval covers.
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
    far_runs: int = 0
    unseen_failures: float | None = None
    charged_cost: float | None = None


@dataclass(frozen=True)
class PairTest:
    """Two methods over the blocks (seeds, tasks) that both completed.

    `difference`: mean of a minus mean of b, in the metric's unit. `p`: flipped signs of the mean; `p_adjusted`: adjusted
    over all pairs by step-down max-T; it decides. `p_signed_rank`: Wilcoxon's test; `p_signed_rank_adjusted`: Holm's
    correction over all pairs. `p_equivalent`: two one-sided tests, adjusted over all pairs, that the difference is smaller
    than `Comparison.point`; `chances` of "a better", "equivalent" and "b better": that it is larger, smaller, or larger the
    other way (Student's posterior; None with failed runs). `more_blocks`: further blocks needed to detect a difference of
    that size with a power of 80 percent, given the spread so far; `more_blocks_range`: the same for the ends of the
    spread's 80 percent interval. 0 if there are enough; None if the spread or `Comparison.point` is unknown.
    """

    a: str
    b: str
    pairs: int
    difference: float | None
    ci95: Interval
    p: float
    p_adjusted: float
    verdict: str  # a better | b better | equivalent | undecided
    more_blocks: int | None
    p_signed_rank: float
    p_signed_rank_adjusted: float
    more_blocks_range: tuple[int, int] | None
    p_equivalent: float | None
    chances: Mapping[str, float] | None

    @property
    def better(self) -> str | None:
        """The better method's label; None if neither is."""
        return {"a better": self.a, "b better": self.b}.get(self.verdict)

    @property
    def worse(self) -> str | None:
        """The worse method's label; None if neither is."""
        return {"a better": self.b, "b better": self.a}.get(self.verdict)


@dataclass(frozen=True)
class Ranking:
    """Friedman's test and Nemenyi's critical difference over five blocks or more.

    `groups`: maximal sets of methods of which no test of the comparison shows one to be better than another, best mean
    rank first. `pairwise`: Nemenyi's p values by (a, b). These tests see only ranks and decide nothing.
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
    """The methods of one study, or of several studies with the same metric.

    `budgets`: the charged epochs of a run, by task; None for a task whose budget is a cost, which `cost_budgets` has.
    `blocks`: what pairs are made of: "seed", or "task" if there are several: then `tests` are about tasks in general.
    `tests`: on the validation metric; `test_tests`: on the final exam's. `task_tests`, `test_task_tests`: with two to
    five tasks, the same on each of these tasks, paired by seed and adjusted for all pairs of all tasks together.
    `point`: the smallest difference that matters, in the metric's unit; None if nobody named it and the metric has no
    default. `difference`: as the study or the command names it; None if nobody did.
    `target`: the value behind `epochs_to_target`. `workers`: the number behind `wall_seconds`.
    `reference`: random search with twice the budget, beside the methods; None without two complete runs of it.
    `bounds`: of the metric; its intervals stay within them. `aggregates`: None for fewer than two blocks that all methods
    completed. `constraints`: the bounds within which configurations count, `feasibility`: what they leave of each run.
    `objectives`: the Pareto fronts of two objectives, one a task. `states`: of the studies, empty where nobody looked.
    `failure`: why no trial gave a value; `failed_exams`: which final exams failed; clauses, empty where all is well.
    """

    study: str
    metric: str
    mode: str
    runs: tuple[RunSummary, ...]
    methods: tuple[MethodSummary, ...]
    tests: tuple[PairTest, ...]
    test_metric: str
    test_tests: tuple[PairTest, ...] = ()
    ranking: Ranking | None = None
    blocks: str = "seed"
    tasks: tuple[str, ...] = ()
    budgets: Mapping[str, int | None] = field(default_factory=dict)
    cost_budgets: Mapping[str, float] = field(default_factory=dict)
    task_tests: Mapping[str, tuple[PairTest, ...]] = field(default_factory=dict)
    test_task_tests: Mapping[str, tuple[PairTest, ...]] = field(default_factory=dict)
    target: float | None = None
    point: float | None = None
    difference: str | None = None
    workers: int = 1
    notes: tuple[str, ...] = field(default=())
    failure: str = ""
    failed_exams: str = ""
    reference: Reference | None = None
    bounds: Bounds = UNBOUNDED
    aggregates: Aggregates | None = None
    constraints: tuple[str, ...] = ()
    feasibility: tuple[Feasibility, ...] = ()
    objectives: tuple[Pareto, ...] = ()
    states: Mapping[str, State] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The study's name; of several, what their names begin with up to a dot, as a suite's do, and how many they are."""
        if len(self.tasks) < 2:
            return self.study
        suites = {name.rpartition(".")[0] for name in self.tasks}
        tasks = f"{len(self.tasks)} tasks"
        if len(suites) == 1 and "" not in suites:
            return f"{suites.pop()}, {tasks}"
        return self.study if len(self.tasks) < 4 else tasks

    @property
    def budget_epochs(self) -> int | None:
        """The budget of a run in epochs; None if the tasks' budgets differ, or are a cost."""
        sizes = set(self.budgets.values())
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def budget_cost(self) -> float | None:
        """The budget of a run in cost; None if the tasks' budgets differ, or are epochs."""
        sizes = {self.cost_budgets.get(task) for task in self.budgets}
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def verdict(self) -> str:
        """What the data allow to be said, in one to three sentences."""
        said = verdict(self)
        return f"With {' and '.join(self.constraints)}: {said}" if self.constraints and not self.failure else said

    def to_json(self) -> dict[str, Any]:
        """Returns the contract of `hpo compare --format json` and further keys; null for numbers that are not finite."""
        going = {name: str(state.word) for name, state in self.states.items() if state.word != "complete"}
        found = {
            "study": self.study, "metric": self.metric, "mode": self.mode, "budget_epochs": self.budget_epochs,
            "verdict": self.verdict, "brief": brief(self), "notes": list(self.notes), "tasks": list(self.tasks),
            "blocks": self.blocks, "workers": self.workers, "target": self.target, "point": self.point,
            "difference": self.difference, "test_metric": self.test_metric,
            "runs": [_run(run) for run in self.runs], "methods": [asdict(method) for method in self.methods],
            "tests": [asdict(test) for test in self.tests],
            "test_tests": [asdict(test) for test in self.test_tests],
            "budgets": dict(self.budgets), "budget_cost": self.budget_cost, "cost_budgets": dict(self.cost_budgets),
            "task_tests": {task: [asdict(test) for test in tests] for task, tests in self.task_tests.items()},
            "test_task_tests": {task: [asdict(test) for test in tests] for task, tests in self.test_task_tests.items()},
            "ranking": _ranking(self.ranking), "reference": asdict(self.reference) if self.reference else None,
            "bounds": [self.bounds.low, self.bounds.high], "aggregates": asdict(self.aggregates) if self.aggregates else None,
            "failure": self.failure or None, "failed_exams": self.failed_exams or None,
            "constraints": list(self.constraints), "feasibility": [asdict(run) for run in self.feasibility],
            "objectives": [found.to_json() for found in self.objectives],
            **({"states": going} if going else {}),
        }  # fmt: skip
        answer: dict[str, Any] = plain(found)
        return answer


def _run(run: RunSummary) -> dict[str, Any]:
    # `asdict` would walk and copy every corner of the curves.
    return {**vars(run), "incumbent": asdict(run.incumbent) if run.incumbent else None}


def _ranking(ranking: Ranking | None) -> dict[str, Any] | None:
    if ranking is None:
        return None
    pairwise = [{"a": a, "b": b, "p": p} for (a, b), p in ranking.pairwise.items()]
    return {**vars(ranking), "mean_ranks": dict(ranking.mean_ranks), "pairwise": pairwise}
