"""How densely trials cover the unit cube: weights under which they count as an even sample of it. Arrays only.

Methods that learn put most of their trials where the metric is good. A mean over such trials says little about the whole
space, unless a trial counts for as much of the space as it stands for (covariate shift, Shimodaira 2000).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo.results.forest import Cells, Matrix, Vector, on_middles

TREES = 40
LEAF = 10  # points that a density is estimated from at least
SAMPLE = 1500  # points that a tree sees at most
EVEN = 2  # points drawn evenly for every trial
LEAST = 0.01  # chance between which and its complement judgements are kept
MOST = 10.0  # largest weight, and the inverse of the smallest


def even_weights(points: Matrix, cells: Sequence[Cells], *, rng: np.random.Generator) -> Vector:
    """Returns the density of an even sample over that of the trials, at each of `points` [n, d]; between 0.1 and 10.

    A classifier learns to tell the trials from points drawn evenly; its odds are the ratio of the two densities
    (Sugiyama, Suzuki and Kanamori 2012, chapter 4). Each point is judged by trees that have not seen it. If they judge
    no better than the base rate (by logarithmic loss), the trials are even and all weigh 1.
    """
    from sklearn.ensemble import RandomForestClassifier

    even = on_middles(rng.random((EVEN * len(points), points.shape[1])), cells)
    both, trial = np.vstack([points, even]), np.arange(len(points) + len(even)) < len(points)
    forest = RandomForestClassifier(
        TREES,
        min_samples_leaf=LEAF,
        max_features=1.0,
        max_samples=min(SAMPLE, len(both)),
        oob_score=True,
        random_state=int(rng.integers(2**31)),
    ).fit(both, trial)
    base = 1 / (1 + EVEN)
    chance = np.nan_to_num(forest.oob_decision_function_[:, 1], nan=base).clip(LEAST, 1 - LEAST)
    gain = np.log(np.where(trial, chance / base, (1 - chance) / (1 - base)))
    if gain.mean() <= 0:
        return np.ones(len(points))
    ratio = (1 - chance) / chance / EVEN
    return np.asarray(np.clip(ratio[: len(points)], 1 / MOST, MOST))
