"""Baselines for the tuned networks: k-nearest neighbours, a random forest, the Bayes error. No torch.

Paper 002 puts them beside the MLP on the same table. An error rate is the fraction of rows that are misclassified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from trainables.tabular import Labels, Points, Rows, Table


@dataclass(frozen=True)
class Errors:
    """A classifier's error rates on the three parts."""

    train: float
    validation: float
    test: float


def knn(neighbours: int = 25) -> Any:
    """Makes a k-nearest-neighbours classifier."""
    return KNeighborsClassifier(neighbours)


def random_forest(seed: int, trees: int = 50) -> Any:
    """Makes a random forest whose leaves are too large to memorize single rows."""
    return RandomForestClassifier(trees, min_samples_leaf=10, random_state=seed, n_jobs=1)


def compare(table: Table, *, seed: int) -> dict[str, Errors]:
    """Returns the error rates on a table of knn, random_forest and bayes.

    bayes estimates the lowest error rate that any classifier could reach on each part.
    """
    found = {}
    for name, model in (("knn", knn()), ("random_forest", random_forest(seed))):
        model.fit(table.train.features, table.train.labels)
        found[name] = Errors(*(error_rate(model.predict, rows) for rows in (table.train, table.validation, table.test)))
    found["bayes"] = Errors(*(bayes_error(rows, seed=seed) for rows in (table.train, table.validation, table.test)))
    return found


def bayes_error(rows: Rows, *, seed: int) -> float:
    """Estimates the lowest error rate that can be reached on `rows`.

    Closed-loop training (paper 002): k-nearest neighbours and a random forest are trained and tested on the same rows,
    and the lower error rate counts. The fewer the rows, the more the estimate is biased downwards.
    """
    models = (knn(), random_forest(seed))
    return min(error_rate(model.fit(rows.features, rows.labels).predict, rows) for model in models)


def error_rate(predict: Callable[[Points], Labels], rows: Rows) -> float:
    """Returns the fraction of `rows` that `predict` misclassifies."""
    return float(np.mean(predict(rows.features) != rows.labels))


def decision_surface(
    predict: Callable[[Points], Labels], rows: Rows, *, side: int = 100, margin: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.float64], Labels]:
    """Returns a classifier's answers over a plane, to plot: x [side], y [side], classes [side, side] (rows: y).

    The plane is the bounding box of `rows`, enlarged by `margin` of its size on every side.
    """
    low, high = rows.features.min(0), rows.features.max(0)
    room = margin * (high - low)
    x, y = (np.linspace(low[i] - room[i], high[i] + room[i], side, dtype=np.float64) for i in range(2))
    plane = np.stack([v.ravel() for v in np.meshgrid(x, y)], 1).astype(np.float32)
    return x, y, np.asarray(predict(plane)).reshape(side, side)
