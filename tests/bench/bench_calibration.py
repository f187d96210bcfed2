"""How often comparisons claim what is not so, find what is so, and intervals cover: 1,000 studies, whole way.

    python tests/bench/bench_calibration.py [STUDIES]

Every study is made as tables and judged by `compare`. Limits: claims between identical methods at most 5 percent,
a true difference of one standard deviation found by 20 seeds in 80 percent, intervals cover in 93 to 97 percent, each
within its binomial error (3 standard errors are printed beside).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from hpo import statistics
from hpo.compare import compare
from hpo.comparison import UNDECIDED, Comparison
from hpo.refine import refinement
from tests.simulated import simulated_study

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

SHAPES: dict[str, tuple[Draw, float, float]] = {  # draw, true mean, standard deviation
    "normal": (lambda rng, size: rng.normal(0.8, 0.02, size), 0.8, 0.02),
    "best of 16, bounded": (lambda rng, size: rng.beta(16, 1, size), 16 / 17, math.sqrt(16 / (17**2 * 18))),
    "200 images": (lambda rng, size: rng.binomial(200, 0.9, size) / 200, 0.9, math.sqrt(0.09 / 200)),
}


def studies(draw: Draw, count: int, seeds: int, methods: int, shift: float = 0.0, seed: int = 0) -> list[Comparison]:
    """Comparisons of simulated studies; the first method's results are raised by `shift`."""
    rng = np.random.default_rng([seed, seeds, methods])
    found = []
    for _ in range(count):
        values = draw(rng, (methods, seeds))
        values[0] += shift
        found.append(compare(simulated_study({f"m{i}": row.tolist() for i, row in enumerate(values)})))
    return found


def error(share: float, count: int) -> float:
    return 3 * math.sqrt(share * (1 - share) / count)


def main(count: int = 1000) -> None:
    for shape, (draw, mean, deviation) in SHAPES.items():
        for seeds in (5, 10, 20):
            found = studies(draw, count, seeds, 2)
            false = np.mean([any(t.verdict != UNDECIDED for t in c.tests) for c in found])
            line = (
                f"{shape}, {seeds} seeds: better said of identical methods in {false:.3f} (± {error(0.05, count):.3f})"
            )
            intervals = [m.ci95 for c in found for m in c.methods]
            cover = np.mean([low <= mean <= high for low, high in intervals])
            line += f"; intervals cover in {cover:.3f} (± {error(0.95, 2 * count):.3f})"
            raised = studies(draw, count, seeds, 2, deviation, seed=1)
            power = np.mean([c.tests[0].verdict == "a better" for c in raised])
            print(f"{line}; one standard deviation found in {power:.3f}", flush=True)
    four = studies(SHAPES["normal"][0], count, 10, 4)
    said = np.mean([any(t.verdict != UNDECIDED for t in c.tests) for c in four])
    ranked = np.mean([c.ranking is not None and c.ranking.p < 0.05 for c in four])
    print(f"four identical methods, 10 seeds: better said in {said:.3f}, Friedman below 0.05 in {ranked:.3f}")
    print(f"six identical changes, 10 seeds: a gain called real in {_refined(count):.3f}")
    for deviation in (0.01, 0.02, 0.05):
        print(f"pairs needed for one point at a spread of {deviation}: {statistics.pairs_needed(deviation, 0.01)}")


def _refined(count: int) -> float:
    rng = np.random.default_rng(9)
    base = {"dropout": 0.0}
    configs = [base, *({"dropout": i / 10} for i in range(1, 7))]
    called = 0
    for _ in range(count):
        rows = [(config, seed, float(rng.normal(0.8, 0.02))) for config in configs for seed in range(10)]
        called += refinement(base, rows, metric="m", mode="max").best is not None
    return called / count


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
