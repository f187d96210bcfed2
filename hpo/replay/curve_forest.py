"""A surrogate of recorded curves: a forest from the configuration to its whole curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

TREES = 64


class CurveForest:
    """Extremely randomized trees (Geurts et al. 2006) over `features` [n, d], their values [n, epochs] as ranks.

    Ranks among all recorded values, because losses range over magnitudes and one that nearly diverged would drown the
    rest; a prediction is the value at the mean rank, so that none lies outside what was recorded.
    """

    def __init__(self, features: Matrix, values: Matrix) -> None:
        self._values = np.unique(values)
        ranks = np.searchsorted(self._values, values).astype(float)
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, bootstrap=True, oob_score=True, random_state=0)
        forest.fit(features, ranks if ranks.shape[1] > 1 else ranks.ravel())
        self._trees = [tree.tree_ for tree in forest.estimators_]
        unseen = np.asarray(forest.oob_prediction_).reshape(len(values), -1)
        self.correlation = float(spearmanr(unseen[:, -1], ranks[:, -1]).statistic)

    def curves(self, features: Matrix) -> Matrix:
        """The predicted values of configurations' epochs: [n, d] to [n, epochs]."""
        rows = features.astype(np.float32)
        ranks = np.mean([tree.predict(rows).reshape(len(rows), -1) for tree in self._trees], axis=0)
        return np.asarray(np.interp(ranks, np.arange(len(self._values)), self._values))
