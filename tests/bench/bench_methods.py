"""Strength of the methods on recorded curves: `python tests/bench/bench_methods.py [--quick] [--json FILE] [--write]`.

Measures the normalized regret (recorded.py) at a quarter, a half and the whole of the budget of 20 x max_epochs, on 12 tasks
with SEEDS seeds, and tests each of CLAIMS, paired over all games. Other libraries' methods (PEERS) play the same games in
processes of their own (`hpo host add optuna`, `hpo host add syne-tune`); the bench reports which are missing. `--save FILE`
keeps every game, so that a run can be split: games in the file are not played again. `--write` puts the tables into
docs/reference/methods.md. `--quick` plays few methods and seeds, and judges no claim.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from recorded import Recorded, game, taskset
from rows import CURVES, ROOT, command, markdown, row, tell, write

from hpo.methods import METHODS
from hpo.methods.hosted import environments
from hpo.methods.hosted.libraries import LIBRARIES
from hpo.results.statistics import signed_rank
from hpo.study.values import Method

FULL_TRAININGS = 20
PARALLELISM = 4
SEEDS, QUICK_SEEDS = 20, 2
QUICK = ("random", "asha", "tpe", "asha+tpe")
VARIANTS = ('{"bohb": {"published": true}}',)
LEFT_OUT = ("grid", "default", "refine", "sequential-unfreezing")  # they need values of a study, not of a table
PEERS = {
    "optuna-tpe": Method("optuna", "optuna-tpe", {"sampler": "TPESampler"}),
    "optuna-gp": Method("optuna", "optuna-gp", {"sampler": "GPSampler"}),
    "optuna-asha": Method(
        "optuna",
        "optuna-asha",
        {"sampler": "RandomSampler", "pruner": {"SuccessiveHalvingPruner": {"min_resource": 1}}},
    ),
    "syne-asha": Method("syne-tune", "syne-asha", {"name": "ASHA"}),
}

CLAIMS = (  # method, compared with, share of the budget, whether it must be better rather than not worse
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
def curves() -> Recorded:
    return taskset()


def play(method: Method, seeds: int) -> Regrets:
    """Returns the regret of every game after every charged epoch."""
    found = [
        [game(curves(), task, seed, method, FULL_TRAININGS, PARALLELISM) for seed in range(seeds)]
        for task in range(len(curves().values))
    ]
    return np.array(found)


def present() -> list[str]:
    """Returns the peers whose libraries are installed, and reports the others."""
    missing = [name for name, peer in PEERS.items() if environments.version(LIBRARIES[peer.name]) is None]
    if missing:
        print(f"{', '.join(missing)} left out: their libraries are not installed (hpo host list)", file=sys.stderr)
    return [name for name in PEERS if name not in missing]


def collect(names: Sequence[str], seeds: int, save: Path | None) -> dict[str, Regrets]:
    """Returns every method's games, each played once."""
    found: dict[str, Regrets] = dict(np.load(save)) if save and save.exists() else {}
    for name in names:
        if name in found and found[name].shape[1] >= seeds:
            continue
        begin = time.perf_counter()
        method = parse(name)
        found[method.label] = play(method, seeds)
        taken, full = time.perf_counter() - begin, at(found[method.label], 1.0).mean()
        print(f"{method.label}: regret {full:.4f}, {taken:.0f} s", file=sys.stderr, flush=True)
        if save:
            np.savez_compressed(save, **{label: games.astype(np.float32) for label, games in found.items()})
    return found


def at(regrets: Regrets, part: float) -> NDArray[np.float64]:
    """Returns the regret when `part` of the budget is charged; shape [tasks, seeds]."""
    return regrets[:, :, round(part * regrets.shape[2]) - 1]


def judged(found: Mapping[str, Regrets]) -> list[dict[str, Any]]:
    """Returns each claim as a row with the p-value of Wilcoxon's signed ranks over tasks and seeds.

    If the method must be better: p, or 1 if it is not better. If it must not be worse: p if it is worse, 1 otherwise.
    """
    rows = []
    for a, b, part, better in CLAIMS:
        if a in found and b in found:
            ours, theirs = at(found[a], part), at(found[b], part)
            p, side = signed_rank((theirs - ours).ravel())
            p = p if side == (1 if better else -1) else 1.0
            what = f"{a} {'beats' if better else 'is not worse than'} {b} at {part:.0%} of the budget"
            means = {"mean": float(ours.mean()), "other": float(theirs.mean()), "games": int(ours.size)}
            rows.append(row(what, [p], "p", "at most 0.05" if better else "at least 0.05", **means))
    return rows


def measured(found: Mapping[str, Regrets]) -> list[dict[str, Any]]:
    """Returns each method's regret at the full budget as a row, the best first; its values are means over tasks, one a seed."""
    ordered = sorted(found.items(), key=lambda item: float(at(item[1], 1.0).mean()))
    return [row(f"regret of {name}", [float(x) for x in at(games, 1.0).mean(0)], "regret") for name, games in ordered]


def tables(found: Mapping[str, Regrets], claims: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Returns the tables of methods and of claims as Markdown."""
    body = []
    for name, games in sorted(found.items(), key=lambda item: float(at(item[1], 1.0).mean())):
        ends = at(games, 1.0)
        error = (ends - ends.mean(1, keepdims=True)).std() / np.sqrt(ends.size)
        body.append([name, *(f"{at(games, part).mean():.3f}" for part in (0.25, 0.5, 1.0)), f"{error:.3f}"])
    methods = markdown(("method", "quarter", "half", "whole", "standard error"), body)
    lines = [
        [
            c["what"],
            f"{c['mean']:.3f}",
            f"{c['other']:.3f}",
            f"{c['median']:.2g}",
            c["bar"],
            "yes" if holds(c) else "NO",
        ]
        for c in claims
    ]
    return methods, markdown(("claim", "regret", "the other's", "p", "bar", "holds"), lines)


def holds(claim: Mapping[str, Any]) -> bool:
    """Whether a claim's p-value is on the required side of its bar."""
    return bool(claim["median"] <= 0.05 if claim["bar"].startswith("at most") else claim["median"] >= 0.05)


def parse(text: str) -> Method:
    """Parses a name, also of a peer, or {name: {option: value}} as JSON."""
    if text in PEERS:
        return PEERS[text]
    if not text.startswith("{"):
        return Method(text, text)
    ((name, options),) = json.loads(text).items()
    return Method(name, text, options)


def main() -> int:
    parser = command(__doc__, writes=True)
    parser.add_argument("--methods", nargs="*", help='names, or JSON: \'{"tpe": {"startup": 5}}\' (default: all)')
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--save", type=Path, help="keep the games in this .npz file; games in it are not played again")
    given = parser.parse_args()
    if not CURVES.exists():
        print(f"The strength of the methods is not measured: there are no recorded curves at {CURVES}.")
        tell([], given.json)
        return 0
    peers = [] if given.quick or given.methods else present()
    every = [*(name for name in METHODS if name not in LEFT_OUT), *VARIANTS]
    names = given.methods or (QUICK if given.quick else every)
    seeds = given.seeds or (QUICK_SEEDS if given.quick else SEEDS)
    found = collect([*names, *peers], seeds, given.save)
    claims = [] if given.quick else judged(found)
    tell([*claims, *measured(found)], given.json)
    if given.write:
        for name, table in zip(("strength", "claims"), tables(found, claims), strict=True):
            write(ROOT / "docs" / "reference" / "methods.md", name, table)
    return 0 if all(map(holds, claims)) else 1


if __name__ == "__main__":
    sys.exit(main())
