"""Tasks on which methods are measured without training, each as it is and mirrored, and the games that are played on them.

    python tests/bench/tasks.py [--tasks quicktune taskset smooth] [--half development|confirmation|all] [--mirrored]
                                [--methods random asha ...] [--trainings 5 10 20] [--seeds 3] [--workers 4]

- `quicktune`: recorded fine-tuning, 13 data sets; the recorded configurations are a pool, answered exactly. A curve that
  ends before epoch 50 is a training that ended itself. Every second data set by name is for development.
- `taskset`: 12 recurrent networks, 1,000 recorded configurations; an answer is the nearest that the game has not used.
- `smooth`: test functions, of one epoch each.

Mirrored: each number's axis is folded, so that the best recorded value lies inside the axis instead of near an end. No
method can then gain by liking corners. Regret: 0 is the best recorded value, 1 the median configuration's best; of smooth
functions the difference to the minimum.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from recorded import Answers, Recorded, taskset
from rows import ROOT, command

from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.methods import build
from hpo.methods.protocol import Setting
from hpo.study.amounts import COST
from hpo.study.candidates import domains_of
from hpo.study.space import Choice, Config, Float, SearchSpace
from hpo.study.values import Method, Observation, RunKey, TrialKey, digest

QUICKTUNE = ROOT.parent / "shared" / "data" / "curves" / "quicktune-a.parquet"

Values = NDArray[np.float64]
Answer = Callable[[Config], tuple[Values, float]]
"""The values of a configuration's epochs, larger is better, NaN from where it fails, and the seconds of an epoch."""


@dataclass(frozen=True)
class Task:
    """`oracle()` begins a game: it returns what answers. `best`, `median`: the values of regrets 0 and 1.

    `whole`: the seconds of the median full training, in whose multiples a budget in seconds is given.
    """

    name: str
    space: SearchSpace
    max_epochs: int
    oracle: Callable[[], Answer]
    best: float
    median: float
    whole: float = 1.0

    def regret(self, values: Values) -> Values:
        return np.asarray((self.best - values) / (self.best - self.median))


@dataclass(frozen=True)
class Game:
    """Regret after each charged epoch, at most 1 for recorded tasks; how many trials; processor seconds."""

    regret: Values
    trials: int
    seconds: float


# -- recorded fine-tuning -----------------------------------------------------------------------------------------


@cache
def _quicktune_table() -> Any:
    import pandas as pd

    return pd.read_parquet(QUICKTUNE)


def quicktune(half: str = "development", mirror: bool = False) -> list[Task]:
    table = _quicktune_table()
    names = sorted(table["task"].unique())
    chosen = {"development": names[::2], "confirmation": names[1::2], "all": names}[half]
    return [_pool_task(name, mirror) for name in chosen]


def _pool_task(name: str, mirror: bool) -> Task:
    table = _quicktune_table()
    part = table[table["task"] == name]
    columns = [column for column in part.columns if column.startswith("config_")]
    rows, curves, seconds = [], [], []
    for values, group in part.groupby(columns, dropna=False, sort=False):
        rows.append(dict(zip([c.removeprefix("config_") for c in columns], map(_scalar, values), strict=True)))
        curves.append(group.sort_values("epoch")["val_accuracy"].to_numpy(dtype=float))
        seconds.append(float(group["seconds"].mean()))
    space = SearchSpace(domains_of(rows, {}), {}, rows)
    tops = np.array([curve.max() for curve in curves])
    if mirror:
        space = _mirrored_pool(space, int(tops.argmax()))
    found = {digest(dict(c)): (curve, s) for c, curve, s in zip(space.pool or (), curves, seconds, strict=True)}
    full = float(np.median([s for s, curve in zip(seconds, curves, strict=True) if len(curve) == 50])) * 50
    label = f"quicktune/{name}" + (" mirrored" if mirror else "")
    return Task(
        label,
        space,
        50,
        lambda: lambda config: found[digest(dict(config))],
        float(tops.max()),
        float(np.median(tops)),
        full,
    )


def _scalar(value: object) -> int | float | str:
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]


def _mirrored_pool(space: SearchSpace, best: int) -> SearchSpace:
    """Returns the pool with each number's place among its values folded around the best candidate's, on a side at random."""
    assert space.pool is not None
    rng = np.random.default_rng(0)
    numbers = [n for n, d in space.domains.items() if not isinstance(d, Choice) or (d.ordered and len(d.options) > 2)]
    rows = [dict(config) for config in space.pool]
    for name in numbers:
        domain = space.domains[name]
        places = np.array(
            [d.place(v) if isinstance(d := domain, Choice) else d.encode(v) for v in (r[name] for r in rows)]
        )
        flipped = 1 - places if places[best] > 0.5 else places
        sides = np.where(rng.random(len(rows)) < 0.5, 1, -1)
        for row, place, side in zip(rows, flipped, sides, strict=True):
            row[name] = round(0.5 + side * float(place) / 2, 6)
    domains = {n: Float(0.0, 1.0) if n in numbers else d for n, d in space.domains.items()}
    return SearchSpace(domains, {}, rows)


# -- recorded trainings of small networks -------------------------------------------------------------------------


@cache
def _taskset() -> Recorded:
    return taskset()


class _Folded(Answers):
    """Answers where each axis is folded around its best recorded end."""

    def curve(self, config: Config) -> Values:
        known = np.nan_to_num(self.recorded.values[self.task], nan=-np.inf)
        weights, tree = self.recorded.weights[self.task], self.recorded.trees[self.task]
        best = tree.data[int(known.max(1).argmax())] / np.maximum(weights, 1e-9)
        unit = np.abs(2 * self.recorded.space.encode(config) - 1)
        point = np.where(best > 0.5, 1 - unit, unit) * weights
        nearest = np.atleast_1d(tree.query(point, k=min(len(self.given) + 1, tree.n))[1])
        row = next(int(i) for i in nearest if i not in self.given)
        self.given.add(row)
        return np.asarray(self.recorded.values[self.task, row])


def tasksets(half: str = "all", mirror: bool = False) -> list[Task]:
    recorded, kind = _taskset(), _Folded if mirror else Answers
    found = []
    for number in range(len(recorded.values)):
        known = recorded.values[number]
        best, median = float(np.nanmax(known)), float(np.nanmedian(known[:, -1]))

        def oracle(number: int = number) -> Answer:
            answers = kind(recorded, number)
            return lambda config: (answers.curve(config), 1.0)

        label = f"taskset/{number}" + (" mirrored" if mirror else "")
        found.append(Task(label, recorded.space, recorded.max_epochs, oracle, best, median, 50.0))
    return found[:: 1 if half == "all" else 2] if half != "confirmation" else found[1::2]


# -- smooth functions ---------------------------------------------------------------------------------------------


def hartmann6(u: Values) -> float:
    """Dixon and Szego 1978; minimum 0 after a shift of 3.32237."""
    a = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    p = 1e-4 * np.array(
        [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
         [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]
    )  # fmt: skip
    return float(3.32237 - (np.array([1, 1.2, 3, 3.2]) * np.exp(-(a * (u - p) ** 2).sum(1))).sum())


def branin(u: Values) -> float:
    x, y = u[0] * 15 - 5, u[1] * 15
    bowl = (y - 5.1 / (4 * np.pi**2) * x * x + 5 / np.pi * x - 6) ** 2
    return float(bowl + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10 - 0.397887)


def ackley5(u: Values) -> float:
    x = u * 65.536 - 32.768 - np.linspace(-5, 9, len(u))
    return float(-20 * np.exp(-0.2 * np.sqrt((x**2).mean())) - np.exp(np.cos(2 * np.pi * x).mean()) + 20 + np.e)


def rosenbrock4(u: Values) -> float:
    x = u * 15 - 5
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum() / 100)


def ellipsoid5(u: Values) -> float:
    x = (u - np.linspace(0.25, 0.7, len(u))) * 2
    return float((10 ** (np.arange(len(u)) * 3 / (len(u) - 1)) * x**2).sum())


FUNCTIONS: dict[str, tuple[Callable[[Values], float], int]] = {
    "hartmann6": (hartmann6, 6), "branin": (branin, 2), "ackley5": (ackley5, 5), "rosenbrock4": (rosenbrock4, 4),
    "ellipsoid5": (ellipsoid5, 5),
}  # fmt: skip


def smooth(half: str = "all", mirror: bool = False) -> list[Task]:
    """Returns the functions; their optima lie inside as they are, so that there is nothing to mirror."""
    del half, mirror
    return [_smooth(name, function, d) for name, (function, d) in FUNCTIONS.items()]


def _smooth(name: str, function: Callable[[Values], float], dimensions: int) -> Task:
    space = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(dimensions)})

    def answer(config: Config) -> tuple[Values, float]:
        return np.array([-function(np.array([config[f"x{i}"] for i in range(dimensions)], dtype=float))]), 1.0

    return Task(f"smooth/{name}", space, 1, lambda: answer, 0.0, -1.0)


KINDS: dict[str, Callable[[str, bool], list[Task]]] = {"quicktune": quicktune, "taskset": tasksets, "smooth": smooth}


# -- games --------------------------------------------------------------------------------------------------------


def play(
    task: Task,
    method: Method | str,
    seed: int,
    trainings: int,
    workers: int = 4,
    seconds: bool = False,
    prior: Sequence[Observation] = (),
) -> Game:
    """Plays a method on a task with a budget of so many full trainings, in epochs, or in `seconds` of median ones.

    `prior`: earlier results that the method may know.
    The method's own seed differs between tasks, so that games are independent, and is the same for all methods. Regrets
    after the last charge stay what they are; shape [epochs of the budget], or [charges] with seconds.
    """
    method = Method(method, method) if isinstance(method, str) else method
    number = int(digest(task.name), 16) % 1000
    budget = trainings * task.max_epochs
    setting = Setting(task.space, budget, task.max_epochs, 1000 * number + seed, workers, prior=tuple(prior))
    answer, curves, times = task.oracle(), Curves(), dict[str, float]()

    def key(config: Config, max_epochs: int) -> TrialKey:
        trial = TrialKey("task", config, 0, max_epochs)
        if trial.id not in times:
            values, times[trial.id] = answer(config)
            for epoch, value in enumerate(values[:max_epochs], start=1):
                curves.add(trial.id, epoch, float(value), ended=epoch == len(values) < max_epochs)
        return trial

    def cost(config: Config) -> float:
        return times[key(config, task.max_epochs).id] * task.max_epochs / task.whole

    rules = Rules(budget, workers, key=key, cost=cost)
    if seconds:
        rules = replace(rules, budget=COST.amount(budget), unit=COST, price=lambda c: COST.amount(cost(c)))
        setting = replace(setting, epoch_cost=cost if task.space.pool is not None else None, budget_in_cost=True)
    began = time.process_time()
    run = Run(RunKey(method.label, seed), build(method, setting), rules)
    values = np.array([charge.value if np.isfinite(charge.value) else -np.inf for charge in run.play(curves)])
    spent = time.process_time() - began
    regret = task.regret(np.maximum.accumulate(values))
    regret = regret if task.name.startswith("smooth") else np.minimum(regret, 1.0)
    if not seconds and len(regret) < budget:
        regret = np.pad(regret, (0, budget - len(regret)), mode="edge")
    return Game(regret, len(run.trials), spent)


def main(given: Any) -> None:
    kinds, half, seeds = given.tasks, given.half, given.seeds
    for kind in kinds:
        for mirror in (False, True) if given.mirrored and kind != "smooth" else (False,):
            tasks = KINDS[kind](half, mirror)
            longest = max(given.trainings)
            for method in given.methods:
                games = [[play(t, method, s, longest, given.workers) for s in range(seeds)] for t in tasks]
                print(
                    f"{kind + (' mirrored' if mirror else ''):20s} {method:18s} {line(games, tasks, given.trainings)}",
                    flush=True,
                )


def line(games: Sequence[Sequence[Game]], tasks: Sequence[Task], trainings: Sequence[int]) -> str:
    """Returns the mean regret over tasks at each budget (of smooth functions, each one's median), trials, processor time."""
    spent = 1e3 * sum(g.seconds for row in games for g in row) / sum(g.trials for row in games for g in row)
    trials = np.mean([g.trials for row in games for g in row])
    return "  ".join([*_figures(games, tasks, trainings), f"{trials:.0f} trials, {spent:.0f} ms a trial"])


def _figures(games: Sequence[Sequence[Game]], tasks: Sequence[Task], trainings: Sequence[int]) -> Iterator[str]:
    for n in trainings:
        at = np.array([[g.regret[n * t.max_epochs - 1] for g in row] for t, row in zip(tasks, games, strict=True)])
        if tasks[0].name.startswith("smooth"):
            yield f"@{n} " + " ".join(f"{np.median(row):.2g}" for row in at)
        else:
            yield f"@{n} {at.mean():.3f} (median {np.median(at):.3f})"


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=list(KINDS), default=["quicktune"])
    parser.add_argument("--half", choices=["development", "confirmation", "all"], default="development")
    parser.add_argument("--mirrored", action="store_true")
    parser.add_argument("--methods", nargs="+", default=["random", "asha"])
    parser.add_argument("--trainings", nargs="+", type=int, default=[5, 10, 20])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4)
    main(parser.parse_args())
