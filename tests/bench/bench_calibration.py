"""Calibration of comparisons over 1,000 simulated studies: false verdicts, detected differences, coverage of intervals.

    python tests/bench/bench_calibration.py [--quick] [--json FILE]

Each study is made as tables and judged by `compare`. Bars: at most 5 percent false verdicts between identical methods
(plus the binomial error), a true difference of one standard deviation detected with 20 seeds in 80 percent of the
studies, and intervals that cover the true mean in 93 to 97 percent. `min` and `max` are three standard errors below and
above the measured share.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell

from hpo.results.compare import compare
from hpo.results.refinement import refinement
from hpo.results.values import UNDECIDED, Comparison
from tests.simulated import simulated_study

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

SHAPES: dict[str, tuple[Draw, float, float]] = {  # draw, true mean, standard deviation
    "normal": (lambda rng, size: rng.normal(0.8, 0.02, size), 0.8, 0.02),
    "best of 16, bounded": (lambda rng, size: rng.beta(16, 1, size), 16 / 17, math.sqrt(16 / (17**2 * 18))),
    "200 images": (lambda rng, size: rng.binomial(200, 0.9, size) / 200, 0.9, math.sqrt(0.09 / 200)),
}


def studies(draw: Draw, count: int, seeds: int, methods: int, shift: float = 0.0, seed: int = 0) -> list[Comparison]:
    """Compares the methods of simulated studies; the first method's results are raised by `shift`."""
    rng = np.random.default_rng([seed, seeds, methods])
    found = []
    for _ in range(count):
        values = draw(rng, (methods, seeds))
        values[0] += shift
        found.append(compare(simulated_study({f"m{i}": shifted.tolist() for i, shifted in enumerate(values)})))
    return found


def rarely(count: int) -> str:
    """Returns the bar for a true share of 5 percent in `count` studies: 99 of 100 such counts stay below it."""
    return f"at most {0.05 + 2.33 * math.sqrt(0.05 * 0.95 / count):.3f}"


def found_in(what: str, share: float, count: int, bar: str) -> Row:
    """Returns a row for a share of `count` studies, with three standard errors on either side."""
    error = 3 * math.sqrt(share * (1 - share) / count)
    return row(what, [max(0.0, share - error), share, min(1.0, share + error)], "share", bar)


def of_two(shape: str, count: int) -> list[Row]:
    """Measures two methods over 5, 10 and 20 seeds: identical ones, then a pair one standard deviation apart."""
    draw, mean, deviation = SHAPES[shape]
    rows = []
    for seeds in (5, 10, 20):
        found = studies(draw, count, seeds, 2)
        false = np.mean([any(t.verdict != UNDECIDED for t in c.tests) for c in found])
        rows.append(
            found_in(
                f"{shape}, {seeds} seeds: false 'better' verdicts between identical methods",
                float(false),
                count,
                rarely(count),
            )
        )
        intervals = [m.ci95 for c in found for m in c.methods]
        cover = np.mean([low <= mean <= high for low, high in intervals])
        bar = "0.93 to 0.97" if seeds >= 10 else ""
        rows.append(found_in(f"{shape}, {seeds} seeds: intervals cover the true mean", float(cover), 2 * count, bar))
        raised = studies(draw, count, seeds, 2, deviation, seed=1)
        power = np.mean([c.tests[0].verdict == "a better" for c in raised])
        bar = "at least 0.8" if seeds == 20 else ""
        rows.append(found_in(f"{shape}, {seeds} seeds: one standard deviation is detected", float(power), count, bar))
    return rows


def of_many(count: int) -> list[Row]:
    """Measures false claims between four identical methods, and between six identical changes of a winner."""
    four = studies(SHAPES["normal"][0], count, 10, 4)
    said = np.mean([any(t.verdict != UNDECIDED for t in c.tests) for c in four])
    ranked = np.mean([c.ranking is not None and c.ranking.p < 0.05 for c in four])
    return [
        found_in("four identical methods, 10 seeds: false 'better' verdicts", float(said), count, rarely(count)),
        found_in("four identical methods, 10 seeds: Friedman's p below 0.05", float(ranked), count, rarely(count)),
        found_in("six identical changes, 10 seeds: false gains", _refined(count), count, rarely(count)),
    ]


def _refined(count: int) -> float:
    rng = np.random.default_rng(9)
    base = {"dropout": 0.0}
    configs = [base, *({"dropout": i / 10} for i in range(1, 7))]
    called = 0
    for _ in range(count):
        rows = [(config, seed, float(rng.normal(0.8, 0.02))) for config in configs for seed in range(10)]
        called += refinement(base, rows, metric="m", mode="max").best is not None
    return called / count


def main(quick: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    count = 100 if quick else 1000
    return [found for shape in SHAPES for found in of_two(shape, count)] + of_many(count)


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
