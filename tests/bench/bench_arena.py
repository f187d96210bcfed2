"""The leaderboard: methods of ours and of other libraries on the suites of tasks.py, at several budgets, in one run.

    python tests/bench/bench_arena.py [--quick] [--suites fine-tuning ...] [--methods ...] [--seeds 20] [--processes 2]
                                      [--again METHOD ...] [--results FILE] [--write]

A game is played for each method, task, budget and seed, and kept in docs/measured/arena.parquet, or --results: the command
goes on where it was stopped, there or on another machine, and a killed one loses a minute. `--again` first forgets the games
of methods whose code has changed. A method that is not installed is not played, and is named; its earlier games count.
`--write` puts the tables into docs/measured/leaderboard.md. A method is in a suite's table from its first seed that was
played on all tasks at all budgets. Regret: 0 is the best recorded value, 1 the median over configurations of their best; the
mean over tasks and its 95 % interval by a bootstrap of tasks; the verdict against random search over tasks (signed ranks of
each task's mean over seeds, Holm over methods, 5 percent). Smooth functions: each one's median difference to its minimum.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import datetime
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from games import Game, Games, Played
from rows import ROOT, Row, command, markdown, row, tell, write
from tasks import KINDS, Task, play

from hpo.errors import HpoError
from hpo.results.statistics import holm, signed_rank
from hpo.study.methods_file import parse_methods
from hpo.study.values import Method

PAGE = ROOT / "docs" / "measured" / "leaderboard.md"
GAMES = ROOT / "docs" / "measured" / "arena.parquet"

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
    {"asha": {"label": "asha+optuna", "searcher": {"optuna": {"sampler": "TPESampler"}}}},
    {"asha": {"label": "asha+hyperopt", "searcher": {"ray-tune": "hyperopt"}}},
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


@cache
def tasks(kind: str, mirrored: bool) -> dict[str, Task]:
    return {task.name: task for task in KINDS[kind]("all", mirrored)}


def outcome(game: Game, method: Method) -> tuple[Game, Played]:
    """Plays a game."""
    suite = SUITES[game.suite]
    done = play(tasks(suite.kind, suite.mirrored)[game.task], method, game.seed, game.budget, seconds=suite.seconds)
    today = datetime.datetime.now(datetime.UTC).date()
    return game, Played(float(done.regret[-1]), done.trials, done.seconds, today)


def games(suites: Sequence[str], methods: Sequence[Method], seeds: int) -> Iterator[tuple[Game, Method]]:
    """Yields the games seed by seed, so that what is there early compares all methods."""
    for seed in range(seeds):
        for name in suites:
            suite = SUITES[name]
            for task in tasks(suite.kind, suite.mirrored):
                for method in methods:
                    if suite.methods is None or method.label in (*suite.methods, *WHOLE_HOSTED):
                        for budget in suite.budgets:
                            yield Game(name, method.label, budget, task, seed), method


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


def play_all(todo: Sequence[tuple[Game, Method]], known: Games, processes: int) -> None:
    """Plays the games that are not known yet; whatever ends it, what has been played is kept."""
    missing = [(game, method) for game, method in todo if game not in known.played]
    try:
        for game, played in _played(missing, processes):
            known.add(game, played)
    finally:
        if missing:
            known.save()


def _played(missing: Sequence[tuple[Game, Method]], processes: int) -> Iterator[tuple[Game, Played]]:
    if processes == 1:
        yield from (outcome(game, method) for game, method in missing)
        return
    pool = ProcessPoolExecutor(processes)
    try:
        for future in as_completed([pool.submit(outcome, game, method) for game, method in missing]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


# -- tables -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """A method on a suite, of the seeds that were played on all tasks at all budgets.

    `regrets` by budget: [tasks, seeds]; `trials` and `seconds`: means over the games.
    """

    regrets: Mapping[int, Figures]
    seeds: int
    trials: float
    seconds: float


def standings(known: Games, name: str, labels: Sequence[str]) -> dict[str, Standing]:
    """Returns the methods' standings on a suite by label; a method without a whole seed is left out."""
    found = {}
    for label in labels:
        seeds = {game.seed for game in known.played if (game.suite, game.method) == (name, label)}
        whole = [grid for seed in sorted(seeds) if None not in (grid := _grid(known, name, label, seed))]
        if whole:
            suite, played = SUITES[name], np.array(whole, dtype=object)  # [seeds, tasks x budgets]
            shape = (len(whole), -1, len(suite.budgets))
            regrets = np.array([game.regret for game in played.flat]).reshape(shape).T  # [budgets, tasks, seeds]
            trials, spent = (float(np.mean([getattr(g, k) for g in played.flat])) for k in ("trials", "seconds"))
            found[label] = Standing(dict(zip(suite.budgets, regrets, strict=True)), len(whole), trials, spent)
    return found


def _grid(known: Games, name: str, label: str, seed: int) -> list[Played | None]:
    suite = SUITES[name]
    names = tasks(suite.kind, suite.mirrored)
    return [known.played.get(Game(name, label, budget, task, seed)) for task in names for budget in suite.budgets]


def table(by: Mapping[str, Standing], name: str) -> tuple[str, list[Row]]:
    """Returns a suite's table, the best at the last budget first, and its rows."""
    suite = SUITES[name]
    means = {label: {b: r.mean(axis=1) for b, r in standing.regrets.items()} for label, standing in by.items()}
    order = sorted(by, key=lambda label: means[label][suite.budgets[-1]].mean())
    unit = "seconds" if suite.seconds else "epochs"
    head = ["method", *[f"{b} trainings' {unit}" for b in suite.budgets], "seeds", "trials", "seconds a game"]
    body = []
    for label in order:
        standing, cells = by[label], [_cell({m: means[m][b] for m in by}, label) for b in suite.budgets]
        body.append([label, *cells, standing.seeds, f"{standing.trials:.0f}", f"{standing.seconds:.2f}"])
    found = [row(f"{name}, {b}: {m}", means[m][b].tolist(), "regret") for m in order for b in suite.budgets]
    return markdown(head, body), found


def _cell(means: Mapping[str, Figures], label: str) -> str:
    values = means[label]  # [tasks]
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    text = f"{values.mean():.3f} ({low:.3f} to {high:.3f})"
    return text if label == "random" or "random" not in means else f"{text}, {_verdict(means, label)}"


def _verdict(means: Mapping[str, Figures], label: str) -> str:
    others = [other for other in means if other != "random"]
    tested = [signed_rank(means["random"] - means[other]) for other in others]
    adjusted = dict(zip(others, holm([p for p, _ in tested]), strict=True))
    side = dict(zip(others, [s for _, s in tested], strict=True))[label]
    return {1: "better", -1: "worse"}.get(side, "level") if adjusted[label] < 0.05 else "undecided"


def smooth_table(by: Mapping[str, Standing], name: str) -> str:
    """Returns the medians of the smooth functions, a row a method."""
    suite = SUITES[name]
    names = [task.removeprefix("smooth/") for task in tasks(suite.kind, suite.mirrored)]
    head = ["method", *[f"{task} at {b}" for task in names for b in suite.budgets], "seeds"]
    body = []
    for label, standing in by.items():
        medians = np.array([np.median(standing.regrets[b], axis=1) for b in suite.budgets])  # [budgets, tasks]
        body.append([label, *[f"{median:.2g}" for median in medians.T.flat], standing.seeds])
    return markdown(head, body)


def named(methods: Sequence[str]) -> tuple[Method, ...]:
    """Returns the methods of these labels of the tables, or names of other methods; all of the tables where none is given."""
    entries = [*OURS, *HOSTED]
    labelled = {method.label: entry for method, entry in zip(parse_methods(entries), entries, strict=True)}
    return parse_methods([labelled.get(name, name) for name in methods] or entries)


def main(
    quick: bool = False,
    suites: Sequence[str] = tuple(SUITES),
    methods: Sequence[str] = (),
    seeds: int = 20,
    processes: int = 2,
    again: Sequence[str] = (),
    results: Path = GAMES,
    writes: bool = False,
) -> list[Row]:
    """Returns the bench's rows. Raises ValueError for a method of `again` that is not played here."""
    standing, wanted = named(()), named(methods)
    chosen = playable(wanted)
    if unknown := sorted(set(again) - {method.label for method in chosen}):
        raise ValueError(f"--again must name methods that are played here, but {', '.join(unknown)} is none of them")
    known = Games(results)
    if again:
        known.forget(again)
    play_all(list(games(suites, chosen, 2 if quick else seeds)), known, processes)
    rows: list[Row] = []
    for name in suites:
        by = standings(known, name, list(dict.fromkeys(method.label for method in (*standing, *wanted))))
        smooth = SUITES[name].kind == "smooth"
        text, found = (smooth_table(by, name), []) if smooth else table(by, name)
        print(f"\n{name}\n{text}", flush=True)
        rows += found
        if writes and by:
            write(PAGE, f"table: {name}", text)
    return rows


if __name__ == "__main__":
    parser = command(__doc__, writes=True)
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--methods", nargs="+", default=[], help="labels of the tables, or names of other methods")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", nargs="+", metavar="METHOD", default=[], help="forget these methods' games first")
    parser.add_argument("--results", type=Path, default=GAMES)
    given = parser.parse_args()
    rows = main(
        given.quick, given.suites, given.methods, given.seeds, given.processes, given.again, given.results, given.write
    )
    tell(rows, given.json)
