"""What a suggestion costs: `python tests/bench/bench_suggestions.py [--quick] [--json FILE] [--write]`.

Measures the processor seconds of a suggestion after 100 and 1,000 observed configurations, on one thread, in a mixed and
conditional space. Also measures how a searcher's memory grows: the size of everything that it keeps at 1,000 observations
against 500, which linear growth doubles. `--write` puts the table into docs/reference/methods.md.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pickle
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, markdown, row, tell, write

from hpo.methods.protocol import Setting
from hpo.methods.registry import SEARCHERS, build_searcher
from hpo.study.space import Choice, Config, Float, Int, SearchSpace

SPACE = SearchSpace(
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
LARGE = 10**6  # epochs, more than any bench observes
BARS = {("tpe", 100): 0.05, ("tpe", 1000): 0.3, ("bayesian", 100): 0.06, ("bayesian", 1000): 0.3}  # seconds
GROWTH = 2.2  # the most that memory may grow by when observations double
COUNTS, QUICK_COUNTS = (100, 500, 1000), (100,)
SUGGESTIONS, QUICK_SUGGESTIONS = 21, 5  # odd, so that both kinds occur: those that fit the model again, and others


class Bench:
    """A searcher that is fed random configurations with values, and asked for suggestions now and then."""

    def __init__(self, name: str) -> None:
        self.searcher: Any = build_searcher(name, Setting(SPACE, LARGE, 1))
        self._rng = np.random.default_rng(0)

    def feed(self, count: int) -> None:
        """Feeds `count` more observed configurations, as if they had been suggested."""
        for _ in range(count):
            self._observe(self.searcher.history.take(SPACE.sample(self._rng)))

    def ask(self) -> float:
        """Returns the processor seconds of a suggestion, and observes it."""
        begin = time.process_time()
        config = self.searcher.suggest()
        taken = time.process_time() - begin
        self._observe(config)
        return taken

    def _observe(self, config: Config) -> None:
        value = float(-((SPACE.encode(config) - 0.3) ** 2).sum() + 0.01 * self._rng.normal())
        self.searcher.observe(config, 1, value)
        self.searcher.close(config)


def measure(name: str, counts: tuple[int, ...], suggestions: int) -> list[Row]:
    """Returns the rows of a searcher."""
    bench, rows, sizes = Bench(name), [], {}
    for count in counts:
        bench.feed(count - len(bench.searcher.history))
        sizes[count] = len(pickle.dumps(bench.searcher))
        if count != 500:
            bar = BARS.get((name, count))
            taken = [bench.ask() for _ in range(suggestions)]
            rows.append(
                row(f"{name}, a suggestion at {count} observations", taken, "s", f"at most {bar}" if bar else "")
            )
    if 1000 in sizes:
        growth = sizes[1000] / sizes[500]
        rows.append(row(f"{name}, memory at 1,000 against 500 observations", [growth], "ratio", f"at most {GROWTH}"))
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the rows as Markdown, with seconds as milliseconds."""
    body = []
    for r in rows:
        scale, unit = (1000, " ms") if r["unit"] == "s" else (1, "")
        numbers = (f"{r[key] * scale:.3g}{unit}" for key in ("median", "max"))
        body.append([r["what"], *numbers, r["bar"] + (" s" if r["bar"] and r["unit"] == "s" else "")])
    return markdown(("processor time on one thread", "median", "most", "bar"), body)


def main(quick: bool = False, put: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    counts, suggestions = (QUICK_COUNTS, QUICK_SUGGESTIONS) if quick else (COUNTS, SUGGESTIONS)
    rows = [r for name in SEARCHERS if name != "grid" for r in measure(name, counts, suggestions)]
    if put:
        write(ROOT / "docs" / "reference" / "methods.md", "cost", table(rows))
    return rows


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    tell(main(given.quick, given.write), given.json)
