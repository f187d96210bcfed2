"""Strength and cost of the methods: `python tests/bench/bench_methods.py [--methods a,b] [--seeds 20] [--jobs 2]`.

Strength: normalized regret on recorded learning curves (see recorded.py) at a quarter and at the whole of the budget
of 20 x max_epochs, with paired tests for the claims below. Cost: seconds a suggestion takes at 100 and 1,000
observations. Peers (peers.py) play along where optuna and syne-tune can be imported: they are no dependency, so run
this file with the Python of an environment that has both them and this project's dependencies.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from recorded import CURVES, Recorded, game, taskset

from hpo.methods import METHODS
from hpo.methods.protocol import Setting
from hpo.methods.searchers import SEARCHERS, build_searcher
from hpo.space import Choice, Float, Int, SearchSpace
from hpo.statistics import signed_rank
from hpo.trial import Method

FULL_TRAININGS = 20
LEFT_OUT = ("grid", "default", "refine", "sequential-unfreezing")  # they need a study's own values, not a table's

PEERS = {"optuna": ("optuna-random", "optuna-tpe", "optuna-gp", "optuna-asha"), "syne_tune": ("syne-asha",)}

CLAIMS = (  # method, at least as good as, at which part of the budget, and whether it must be better
    ("bayesian", "random", 1.0, True),
    ("tpe", "random", 1.0, True),
    ("asha", "random", 0.25, True),
    ("bohb", "asha", 1.0, False),
    ("asha+tpe", "asha", 1.0, False),
    ("tpe", "optuna-tpe", 1.0, False),
    ("bayesian", "optuna-gp", 1.0, False),
    ("asha", "optuna-asha", 1.0, False),
    ("asha", "syne-asha", 1.0, False),
)

Regrets = NDArray[np.float64]  # [tasks, seeds, budget]


@cache
def recorded() -> Recorded:
    return taskset()


def play(job: tuple[int, int], method: Method, parallelism: int) -> Regrets:
    task, seed = job
    return game(recorded(), task, seed, method, FULL_TRAININGS, parallelism)


def strength(method: Method, seeds: int, parallelism: int, jobs: int) -> Regrets:
    """The regret of every game after every epoch."""
    games = list(product(range(len(recorded().values)), range(seeds)))
    ask = partial(play, method=method, parallelism=parallelism)
    if jobs == 1:
        found = list(map(ask, games))
    else:
        with ProcessPoolExecutor(jobs) as pool:
            found = list(pool.map(ask, games, chunksize=4))
    return np.array(found).reshape(len(recorded().values), seeds, -1)


def at(regrets: Regrets, part: float) -> NDArray[np.float64]:
    """Regret when `part` of the budget is charged, shape [tasks, seeds]."""
    return regrets[:, :, round(part * regrets.shape[2]) - 1]


def report(found: Mapping[str, Regrets]) -> None:
    print(
        f"\n{'method':28s}{'quarter':>9s}{'half':>9s}{'full':>9s}{'median':>9s}   normalized regret, mean of all games"
    )
    for name, regrets in sorted(found.items(), key=lambda item: float(at(item[1], 1.0).mean())):
        means = "".join(f"{at(regrets, part).mean():9.4f}" for part in (0.25, 0.5, 1.0))
        print(f"{name:28s}{means}{np.median(at(regrets, 1.0)):9.4f}")


def verdicts(found: Mapping[str, Regrets]) -> bool:
    """Prints each claim with its paired test (Wilcoxon's signed ranks over task and seed); whether all hold."""
    all_hold = True
    for a, b, part, better in CLAIMS:
        if a not in found or b not in found:
            continue
        differences = (at(found[b], part) - at(found[a], part)).ravel()
        p, side = signed_rank(differences)
        holds = (p < 0.05 and side > 0) if better else not (p < 0.05 and side < 0)
        all_hold &= holds
        print(
            f"{'holds' if holds else 'FAILS'}: {a} {'beats' if better else 'is not worse than'} {b} at {part:.0%} of the "
            f"budget: regret {at(found[a], part).mean():.4f} against {at(found[b], part).mean():.4f}, "
            f"{'better' if side > 0 else 'worse' if side < 0 else 'equal'} by signed ranks, p = {p:.2g}"
        )
    return all_hold


MIXED = SearchSpace(
    {
        "learning_rate": Float(1e-4, 0.1, log=True),
        "dropout": Float(0.0, 0.5),
        "optimizer": Choice(("adam", "adadelta", "rmsprop", "sgd")),
        "finetuned_layers": Int(1, 132, log=True),
        "momentum": Float(0.5, 0.99),
        "decay": Float(1e-6, 1e-2, log=True),
    },
    {"momentum": {"optimizer": ("sgd",)}},
)


def cost(name: str, counts: Sequence[int] = (100, 1000)) -> list[float]:
    """Median processor seconds of a suggestion, of 11 after so many observed configurations each."""
    searcher, taken, done = build_searcher(name, Setting(MIXED, 10**6, 1)), [], 0
    rng = np.random.default_rng(0)
    for count in counts:
        source = build_searcher("random", Setting(MIXED, 10**6, 1, seed=count))
        configs = [source.suggest() for _ in range(count - done)]
        prior = getattr(searcher, "history", None)
        for config in configs:
            if config is None or prior is None or not prior.is_new(config):
                continue
            prior.take(config)
            _observe(searcher, config, rng)
        done, seconds = count, []
        for _ in range(11):
            begin = time.process_time()
            config = searcher.suggest()
            seconds.append(time.process_time() - begin)
            if config is not None:
                _observe(searcher, config, rng)
        taken.append(float(np.median(seconds)))
    return taken


def _observe(searcher: Any, config: Any, rng: np.random.Generator) -> None:
    searcher.observe(config, 1, float(-((MIXED.encode(config) - 0.3) ** 2).sum() + 0.01 * rng.normal()))
    searcher.close(config)


def parse(text: str) -> Method:
    """A name, or {name: {option: value}} as JSON."""
    if not text.startswith("{"):
        return Method(text, text)
    ((name, options),) = json.loads(text).items()
    return Method(name, text, options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="*", help='names, or JSON: \'{"tpe": {"startup": 5}}\' (default: all)')
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--parallelism", type=int, default=4, help="virtual workers of a run")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--save", type=Path, help="keep the regrets in this .npz file, and reuse what is there")
    parser.add_argument("--cost", action="store_true", help="measure only what suggestions cost")
    arguments = parser.parse_args()
    print("processor seconds a suggestion takes at 100 and 1,000 observations")
    for name in (n for n in SEARCHERS if n != "grid" and (arguments.cost or not arguments.methods)):
        print(f"{name:28s}" + "".join(f"{seconds:9.4f}" for seconds in cost(name)), flush=True)
    if arguments.cost:
        return 0
    if not CURVES.exists():
        print(f"no recorded curves at {CURVES}: the strength of the methods is not measured")
        return 0
    peers = [peer for package, names in PEERS.items() if importlib.util.find_spec(package) for peer in names]
    methods = arguments.methods or [*(name for name in METHODS if name not in LEFT_OUT), *peers]
    found: dict[str, Regrets] = {}
    if arguments.save and arguments.save.exists():
        found = {str(name): regrets for name, regrets in np.load(arguments.save).items()}
    for method in map(parse, methods):
        if method.label in found and not arguments.methods:
            continue
        begin = time.perf_counter()
        found[method.label] = strength(method, arguments.seeds, arguments.parallelism, arguments.jobs)
        full = at(found[method.label], 1.0).mean()
        print(f"{method.label}: regret {full:.4f} in {time.perf_counter() - begin:.0f} s", flush=True)
        if arguments.save:
            np.savez_compressed(arguments.save, **found)
    report(found)
    return 0 if verdicts(found) else 1


if __name__ == "__main__":
    sys.exit(main())
