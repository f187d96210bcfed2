"""The leaderboard: methods of ours and of other libraries on the suites of tasks.py, at several budgets, in one run.

    python tests/bench/bench_arena.py [--quick] [--suites fine-tuning ...] [--methods ...] [--seeds 20] [--processes 2]
                                      [--results FILE] [--write]

A game is played for each method, task, budget and seed, and kept in --results, a line each: the command goes on where it
was stopped. A method that is not installed is left out, and named. `--write` puts the tables into
docs/measured/leaderboard.md. Regret: 0 is the best recorded value, 1 the median over configurations of their best; the mean
over tasks and its 95 % interval by a bootstrap of tasks; the verdict against random search over tasks (signed ranks of each
task's mean over seeds, Holm over methods, 5 percent). Smooth functions: each one's median difference to its minimum.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, markdown, row, tell, write
from tasks import KINDS, Task, play

from hpo.errors import HpoError
from hpo.results.statistics import holm, signed_rank
from hpo.study.methods_file import parse_methods
from hpo.study.values import Method

PAGE = ROOT / "docs" / "measured" / "leaderboard.md"

OURS: list[Any] = [
    "random", "sobol", "asha", "hyperband", "bohb", "priorband", "i-epoch", "bayesian", "tpe", "genetic", "cmaes",
    "asha+tpe", "asha+bayesian", "multifidelity",
]  # fmt: skip
HOSTED: list[Any] = [
    {"optuna": {}},
    {"optuna": {"label": "optuna-gp", "sampler": "GPSampler"}},
    {"optuna": {"label": "optuna-hyperband", "pruner": "HyperbandPruner"}},
    {"optuna": {"label": "optuna-halving", "sampler": "RandomSampler", "pruner": "SuccessiveHalvingPruner"}},
    {"syne-tune": "ASHA"},
    {"syne-tune": "BOHB"},
    {"ray-tune": "bohb"},
    {"ray-tune": "hyperopt"},
]
WHOLE_HOSTED = ("optuna", "optuna-gp", "ray-tune:hyperopt")  # of them, for the functions of one epoch


@dataclass(frozen=True)
class Suite:
    """`kind` of tasks.py, as it is or mirrored; budgets in full trainings, in epochs or in seconds of the median one."""

    kind: str
    budgets: tuple[int, ...]
    mirrored: bool = False
    seconds: bool = False
    methods: tuple[str, ...] | None = None  # of ours, where not all make sense


WHOLE = ("random", "sobol", "bayesian", "tpe", "genetic", "cmaes")  # methods of whole trainings

SUITES: dict[str, Suite] = {
    "fine-tuning": Suite("quicktune", (5, 10, 20)),
    "fine-tuning, seconds": Suite("quicktune", (5, 10, 20), seconds=True),
    "fine-tuning, mirrored": Suite("quicktune", (10,), mirrored=True),
    "small networks": Suite("taskset", (5, 10, 20)),
    "small networks, mirrored": Suite("taskset", (20,), mirrored=True),
    "smooth functions": Suite("smooth", (50, 100), methods=WHOLE),
}

Figures = NDArray[np.float64]
Game = tuple[str, str, int, str, int]
"""suite, task, budget, the method's label, seed"""


@cache
def tasks(kind: str, mirrored: bool) -> dict[str, Task]:
    return {task.name: task for task in KINDS[kind]("all", mirrored)}


def regret(game: Game, method: Method) -> dict[str, Any]:
    """Plays one game; returns its line of the results."""
    name, task, budget, _, seed = game
    suite = SUITES[name]
    played = play(tasks(suite.kind, suite.mirrored)[task], method, seed, budget, seconds=suite.seconds)
    return {"game": game, "regret": float(played.regret[-1]), "trials": played.trials, "seconds": played.seconds}


class Results:
    """The games that were played: a file with a line each, which grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a killed run may have left a part of a line
        if whole != text:
            path.write_text(whole)
        self.games = {_key(line["game"]): line for line in map(json.loads, whole.splitlines())}

    def add(self, line: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.games[_key(line["game"])] = line


def _key(game: Sequence[Any]) -> Game:
    suite, task, budget, label, seed = game
    return suite, task, budget, label, seed


def games(suites: Sequence[str], methods: Sequence[Method], seeds: int) -> Iterator[tuple[Game, Method]]:
    """Yields the games seed by seed, so that what is there early compares all methods."""
    for seed in range(seeds):
        for name in suites:
            suite = SUITES[name]
            for task in tasks(suite.kind, suite.mirrored):
                for method in methods:
                    if suite.methods is None or method.label in (*suite.methods, *WHOLE_HOSTED):
                        for budget in suite.budgets:
                            yield (name, task, budget, method.label, seed), method


def playable(methods: Sequence[Method]) -> list[Method]:
    """Returns the methods that can be built here; names the others."""
    found = []
    for method in methods:
        try:
            play(next(iter(tasks("smooth", False).values())), method, 0, 2)
        except HpoError as error:
            print(f"left out: {method.label}: {error}", file=sys.stderr)
        else:
            found.append(method)
    return found


def played(todo: Sequence[tuple[Game, Method]], results: Results, processes: int) -> None:
    missing = [(game, method) for game, method in todo if game not in results.games]
    if processes == 1:
        for game, method in missing:
            results.add(regret(game, method))
        return
    with ProcessPoolExecutor(processes) as pool:
        for line in pool.map(regret, *zip(*missing, strict=True), chunksize=4) if missing else ():
            results.add(line)


# -- tables -------------------------------------------------------------------------------------------------------


def figures(results: Results, suite: str, budget: int, label: str, seeds: int) -> Figures:
    """Returns the regrets [tasks, seeds] of the seeds that were played on every task."""
    names = tasks(SUITES[suite].kind, SUITES[suite].mirrored)
    found = [
        [results.games.get((suite, t, budget, label, s), {}).get("regret", np.nan) for s in range(seeds)] for t in names
    ]
    values = np.array(found, dtype=float)
    return values[:, ~np.isnan(values).any(axis=0)]


def table(results: Results, name: str, labels: Sequence[str], seeds: int) -> tuple[str, list[Row]]:
    """Returns a suite's table, the best at the last budget first, and its rows."""
    suite = SUITES[name]
    by = {label: {b: figures(results, name, b, label, seeds) for b in suite.budgets} for label in labels}
    by = {label: found for label, found in by.items() if all(values.size for values in found.values())}
    cells = {label: [_cell(by, label, budget) for budget in suite.budgets] for label in by}
    order = sorted(by, key=lambda label: by[label][suite.budgets[-1]].mean())
    unit = "seconds" if suite.seconds else "epochs"
    head = ["method", *[f"{b} trainings' {unit}" for b in suite.budgets], "trials", "seconds a game"]
    body = []
    for label in order:
        lines = [line for key, line in results.games.items() if key[0] == name and key[3] == label]
        trials, spent = (np.mean([line[k] for line in lines]) for k in ("trials", "seconds"))
        body.append([label, *cells[label], f"{trials:.0f}", f"{spent:.2f}"])
    found = [row(f"{name}, {b}: {m}", by[m][b].mean(axis=1).tolist(), "regret") for m in order for b in suite.budgets]
    return markdown(head, body), found


def _cell(by: Mapping[str, Mapping[int, Figures]], label: str, budget: int) -> str:
    values = by[label][budget].mean(axis=1)
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    text = f"{values.mean():.3f} ({low:.3f} to {high:.3f})"
    return text if label == "random" or "random" not in by else f"{text}, {_verdict(by, label, budget)}"


def _verdict(by: Mapping[str, Mapping[int, Figures]], label: str, budget: int) -> str:
    others = [other for other in by if other != "random"]
    random = by["random"][budget].mean(axis=1)
    tested = [signed_rank(random - by[other][budget].mean(axis=1)) for other in others]
    adjusted = dict(zip(others, holm([p for p, _ in tested]), strict=True))
    side = dict(zip(others, [s for _, s in tested], strict=True))[label]
    return {1: "better", -1: "worse"}.get(side, "level") if adjusted[label] < 0.05 else "undecided"


def smooth_table(results: Results, labels: Sequence[str], seeds: int) -> str:
    """Returns the medians of the smooth functions, a row a method."""
    name = "smooth functions"
    names, suite = list(tasks("smooth", False)), SUITES[name]
    body = []
    for label in labels:
        found = [figures(results, name, budget, label, seeds) for budget in suite.budgets]
        if all(values.size for values in found):
            body.append([label, *[f"{np.median(v):.2g}" for i in range(len(names)) for v in (f[i] for f in found)]])
    head = ["method", *[f"{n.removeprefix('smooth/')} at {b}" for n in names for b in suite.budgets]]
    return markdown(head, body)


def main(
    quick: bool = False,
    suites: Sequence[str] = tuple(SUITES),
    methods: Sequence[Any] | None = None,
    seeds: int = 20,
    processes: int = 2,
    results: Path = ROOT / "results" / "arena.jsonl",
    writes: bool = False,
) -> list[Row]:
    """Returns the bench's rows."""
    seeds = 2 if quick else seeds
    chosen = playable(parse_methods(methods or [*OURS, *HOSTED]))
    known = Results(results)
    played(list(games(suites, chosen, seeds)), known, processes)
    rows: list[Row] = []
    labels = [method.label for method in chosen]
    for name in suites:
        smooth = SUITES[name].kind == "smooth"
        text, found = (smooth_table(known, labels, seeds), []) if smooth else table(known, name, labels, seeds)
        print(f"\n{name}\n{text}", flush=True)
        rows += found
        if writes:
            write(PAGE, f"table: {name}", text)
    return rows


if __name__ == "__main__":
    parser = command(__doc__, writes=True)
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "arena.jsonl")
    given = parser.parse_args()
    rows = main(given.quick, given.suites, given.methods, given.seeds, given.processes, given.results, given.write)
    tell(rows, given.json)
