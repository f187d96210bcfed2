"""What it costs that another library's method plays in a process of its own: `python tests/bench/bench_hosted.py [--quick]`.

Optuna's random sampler and its default one play the same game of one epoch a trial, once in a process of their own (as
`optuna: {...}` in a study) and once asked and told in this process, by the same code. The rows are wall milliseconds a trial,
their difference, and the seconds until the first suggestion: of a first run, which loads the library, and of a later one.
`--write` puts the table into docs/reference/hosted-methods.md.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, markdown, number, row, tell, write

from hpo.game.contract import SPACE
from hpo.methods import build
from hpo.methods.hosted import process
from hpo.methods.hosted.spaces import Translation
from hpo.methods.protocol import Setting
from hpo.study.space import Config
from hpo.study.values import Method

SAMPLERS = ("RandomSampler", "TPESampler")
TRIALS, QUICK_TRIALS, ROUNDS = 200, 30, 5


def value(config: Config) -> float:
    return float(-((SPACE.encode(config) - 0.3) ** 2).sum())


def apart(sampler: str, seed: int) -> Callable[[], None]:
    """Returns a trial of the method in a process of its own; the first one starts that process."""
    method: Any = None

    def trial() -> None:
        nonlocal method
        if method is None:
            setting = Setting(SPACE, budget=10**6, max_epochs=1, seed=seed)
            method = build(Method("optuna", "optuna", {"sampler": sampler}), setting)
        segment = method.next_segment()
        assert segment is not None
        method.on_epoch(segment.trial, 1, value(segment.config))

    return trial


def beside(sampler: str, seed: int) -> Callable[[], None]:
    """Returns the same in this process."""
    sys.path.append(str(process.GUESTS.parent))
    guests, terms = (importlib.import_module(f"guests.{name}") for name in ("optuna", "terms"))
    told: dict[str, Any] = {
        "name": "", "options": {"sampler": sampler}, "space": Translation(SPACE).told, "max_epochs": 1, "budget": 10**6,
        "seed": seed, "parallelism": 1,
    }  # fmt: skip
    driven = guests.begin(terms.Opening.of(told))

    def trial() -> None:
        asked = driven.ask()
        driven.observe(asked.trial, 1, value(asked.config))
        driven.close(asked.trial)

    return trial


def seconds(work: Callable[[], None], times: int = 1) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begin) / times


def starts() -> list[Row]:
    """Returns the rows of what passes before a run's first suggestion."""
    first, *later = (seconds(apart("RandomSampler", seed)) for seed in range(1 + ROUNDS))
    return [
        row("a first run's first trial: the library is loaded", [first], "s"),
        row("a later run's first trial: a process is forked", later, "s"),
    ]


def each(trial: Callable[[], None], trials: int) -> float:
    """Returns the milliseconds of a trial, after a first one."""
    trial()
    return 1000 * seconds(trial, trials)


def main(quick: bool = False, put: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    trials, rows = QUICK_TRIALS if quick else TRIALS, starts()
    for sampler in SAMPLERS:
        there = [each(apart(sampler, seed), trials) for seed in range(ROUNDS)]
        here = [each(beside(sampler, seed), trials) for seed in range(ROUNDS)]
        rows += [
            row(f"{sampler}, a trial in a process of its own", there, "ms"),
            row(f"{sampler}, a trial in this process", here, "ms"),
            row(f"{sampler}, a trial's cost of the boundary", [a - b for a, b in zip(there, here, strict=True)], "ms"),
        ]
    if put:
        body = [[r["what"], *(f"{number(r[key])} {r['unit']}" for key in ("median", "min", "max"))] for r in rows]
        table = markdown(("wall time", "median", "least", "most"), body)
        write(ROOT / "docs" / "reference" / "hosted-methods.md", "boundary", table)
    return rows


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    tell(main(given.quick, given.write), given.json)
