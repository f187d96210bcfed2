"""What the interval of a mean does not cover: runs far from the rest, and failures that did not happen yet. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.results.statistics import ALPHA

FEWEST = 5  # runs; among fewer, one lies far from the rest by chance too often
GAP = 4.0  # of a far run to the rest, in ranges of the rest


@dataclass(frozen=True)
class FarRuns:
    """Runs far from the rest: how many of how many, the mean of the far ones and of the rest."""

    count: int
    runs: int
    far_mean: float
    rest_mean: float


def far_runs(values: Sequence[float], smallest: float = 0.0) -> FarRuns | None:
    """Returns the runs that lie far from the rest on one side; None if there are none, or fewer than five runs.

    At most a third of the runs are far: they are separated from the rest by more than `smallest` and by more than four
    times the range of the rest. Of normal results, 1.5 percent of the sets of five have such
    a run, of skewed ones (the best of 16) 6 percent; of ten runs 0.0 and 0.6 (tests/bench/bench_intervals.py).
    """
    x = np.sort(np.asarray(values, dtype=float))
    n = len(x)
    if n < FEWEST or not np.isfinite(x).all():
        return None
    for count in range(n // 3, 0, -1):
        for far, rest in ((x[:count], x[count:]), (x[n - count :], x[: n - count])):
            gap = max(rest[0] - far[-1], far[0] - rest[-1])
            if gap > smallest and gap > GAP * (rest[-1] - rest[0]):
                return FarRuns(count, n, float(far.mean()), float(rest.mean()))
    return None


def unseen_share(runs: int) -> float:
    """Returns the largest share of failing runs with which all of `runs` runs succeed in more than 5 percent of studies.

    Exact upper 95 percent bound of a share after no failure (Clopper and Pearson 1934); about 3 / runs.
    """
    return float(1 - ALPHA ** (1 / runs))
