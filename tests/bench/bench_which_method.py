"""Which method, for how much budget and how many workers: `python tests/bench/bench_which_method.py [--write]`.

Replays TaskSet's 12 tasks (hpo/replay/recorded/taskset.yaml, 50 epochs a full training) if ../shared/data has their curves.
Unrecorded configurations take the surrogate's prediction in one set of games and the nearest recorded curve in the
other. Regret: 0 is the best known value, 1 the median of whole trainings. Tests: signed ranks over task and seed against
random search, Holm over methods. `--write` puts the tables into docs/measured/which-method.md, whose sentences rest on them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import CURVES, ROOT, Row, command, markdown, row, tell, write

from hpo.replay import Replay, Weather, best_recorded, replay
from hpo.replay.answers import Between
from hpo.replay.curve_forest import CurveForest
from hpo.replay.sources import RecordedTable, load
from hpo.results.statistics import holm, signed_rank
from hpo.study.study import Study

STUDY = ROOT / "hpo" / "replay" / "recorded" / "taskset.yaml"
PAGE = ROOT / "docs" / "measured" / "which-method.md"
FULL = 50  # epochs of a full training
METHODS = (
    "random", "sobol", "bayesian", "tpe", "genetic", "cmaes", "median-stopping", "i-epoch", "sha", "hyperband", "asha",
    "bohb", "asha+tpe",
)  # fmt: skip
TRAININGS = (5, 10, 20)
WORKERS = (1, 4, 16, 64)
DRAWN = 10_000
SCALED = ("random", "bayesian", "sha", "hyperband", "asha")
BETWEEN: tuple[Between, ...] = ("surrogate", "nearest")

Values = NDArray[np.float64]


@cache
def tasks() -> tuple[str, ...]:
    return tuple(str(name) for name in np.load(CURVES)["tasks"])


@cache
def recorded(task: str) -> RecordedTable:
    study = Study.load(STUDY)
    return load(str(CURVES), study.space, study.metric, task)


@dataclass(frozen=True)
class Game:
    """A method on a task with a seed: regret after each charged epoch, virtual time in full trainings, processor seconds."""

    regret: Values
    time: float
    seconds: float


def play(
    task: str,
    method: str,
    seed: int,
    *,
    trainings: int,
    between: Between,
    workers: int = 4,
    weather: Weather | None = None,
) -> Game:
    study = Study.load(STUDY, methods=[method], seeds=[1_000 * tasks().index(task) + seed], epochs=trainings * FULL)
    began = time.process_time()
    played = replay(study, table=recorded(task), between=between, workers=workers, weather=weather)
    seconds = time.process_time() - began
    return Game(regret(played, task), played.runs[0].now / FULL, seconds)


@cache
def reference(task: str, between: Between) -> tuple[float, float]:
    """Returns the values of regrets 0 and 1: the best value and the median of whole trainings.

    They are those of all recorded configurations, or with a surrogate those of DRAWN random ones, since its predictions
    avoid the extremes.
    """
    study, table = Study.load(STUDY), recorded(task)
    if between == "nearest":
        return best_recorded(study, table=table), float(np.nanmedian(table.values[:, FULL - 1]))
    whole, rng = np.flatnonzero(table.known == table.epochs), np.random.default_rng(0)
    features = np.array([study.space.features(table.configs[i]) for i in whole])
    drawn = np.array([study.space.features(study.space.sample(rng)) for _ in range(DRAWN)])
    curves = CurveForest(features, table.values[whole]).curves(drawn)
    return float(curves.min()), float(np.median(curves[:, -1]))


def regret(played: Replay, task: str) -> Values:
    """Returns the regret of the best value so far, after each charged epoch of the only run."""
    best, median = reference(task, played.answers.between)
    values = np.array([charge.value for charge in played.charges])
    lowest = np.minimum.accumulate(np.where(np.isfinite(values), values, np.inf))
    return np.clip((lowest - best) / (median - best), 0.0, 1.0)


# -- budgets ------------------------------------------------------------------------------------------------------


def by_budget(between: Between, methods: Sequence[str], few: int, seeds: int) -> dict[str, list[Game]]:
    """Plays and returns the games of each method, in the order of task and seed."""
    games = [(task, seed) for task in tasks()[:few] for seed in range(seeds)]
    found = {}
    for method in methods:
        found[method] = [play(t, method, s, trainings=TRAININGS[-1], between=between) for t, s in games]
        print(f"{between} {method}: {at(found[method], TRAININGS[-1]).mean():.4f}", flush=True)
    return found


def at(games: Sequence[Game], trainings: int) -> Values:
    """Returns each game's regret when the epochs of `trainings` full trainings are charged."""
    return np.array([game.regret[min(trainings * FULL, len(game.regret)) - 1] for game in games])


def against_random(found: Mapping[str, list[Game]], trainings: int) -> dict[str, str]:
    """Returns the verdict on each method: better, worse or undecided."""
    others = [method for method in found if method != "random"]
    tested = [signed_rank(at(found["random"], trainings) - at(found[m], trainings)) for m in others]
    adjusted = holm([p for p, _ in tested])
    words = {1: "better", -1: "worse", 0: ""}
    return {
        m: words[side] if p < 0.05 else "undecided" for m, (_, side), p in zip(others, tested, adjusted, strict=True)
    }


def budget_table(found: Mapping[str, list[Game]]) -> str:
    """Returns mean regrets with the verdicts against random search, as Markdown."""
    said = {n: against_random(found, n) for n in TRAININGS}
    head = ("method", *(f"{n} trainings' epochs" for n in TRAININGS), "processor seconds a run")
    body = []
    for method in sorted(found, key=lambda m: float(at(found[m], TRAININGS[-1]).mean())):
        cells = [
            f"{at(found[method], n).mean():.3f}" + (f", {said[n][method]}" if method != "random" else "")
            for n in TRAININGS
        ]
        body.append([method, *cells, f"{np.median([game.seconds for game in found[method]]):.1f}"])
    return markdown(head, body)


# -- workers and stragglers ---------------------------------------------------------------------------------------


def worker_table(few: int, seeds: int) -> tuple[str, str]:
    """Returns mean regret and virtual time by number of workers, and how much longer runs take with stragglers."""
    budget, games = WORKERS[-1], [(task, seed) for task in tasks()[:few] for seed in range(seeds)]
    regrets, waits = [], []
    for method in SCALED:
        cells, times = [], {}
        for workers in WORKERS:
            found = [play(t, method, s, trainings=budget, between="surrogate", workers=workers) for t, s in games]
            times[workers] = [game.time for game in found]
            cells.append(f"{at(found, budget).mean():.3f} in {np.mean(times[workers]):.1f}")
        regrets.append([method, *cells])
        slow = [
            play(
                t, method, s, trainings=budget, between="surrogate", workers=16, weather=Weather(stragglers=1.0, seed=s)
            )
            for t, s in games
        ]
        ratio = np.array([game.time for game in slow]) / np.array(times[16])
        waits.append([method, f"{np.median(ratio):.2f}", f"{ratio.min():.2f} to {ratio.max():.2f}"])
    first = markdown(("method", *(f"{n} workers" for n in WORKERS)), regrets)
    return first, markdown(("method", "times as long", "least to most"), waits)


# -- all ----------------------------------------------------------------------------------------------------------


def main(quick: bool = False, put: bool = False, only: str | None = None) -> list[Row]:
    """Returns the rows of the bench's table. `only`: budget, or workers."""
    if not CURVES.exists():
        print(f"The methods are not compared: there are no recorded curves at {CURVES}.")
        return []
    few, seeds, methods = (3, 1, METHODS[:-1]) if quick else (12, 2, METHODS)
    tables, rows = {}, []
    for between in BETWEEN if only != "workers" else ():
        found = by_budget(between, methods, few, seeds)
        tables[f"by budget, {between}"] = budget_table(found)
        for method in methods[1:]:
            ratios = [float(at(found[method], n).mean() / at(found["random"], n).mean()) for n in TRAININGS]
            what = f"{method} / random: mean regret, {between}, {TRAININGS[0]} to {TRAININGS[-1]} trainings"
            rows.append(row(what, ratios, "ratio", method=method, between=between))
    if not quick and only != "budget":
        tables["by workers"], tables["stragglers"] = worker_table(6, 1)
    for name, text in tables.items():
        print(f"\n{name}\n{text}")
        if put:
            write(PAGE, f"table: {name}", text)
    return rows


if __name__ == "__main__":
    parser = command(__doc__, writes=True)
    parser.add_argument("--only", choices=("budget", "workers"), help="run only this part")
    given = parser.parse_args()
    tell(main(given.quick, given.write, given.only), given.json)
