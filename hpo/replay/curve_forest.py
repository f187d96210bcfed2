"""The surrogate of recorded curves: a forest that predicts a configuration's whole curve. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

TREES = 64


class CurveForest:
    """Extremely randomized trees (Geurts et al. 2006) from `features` [n, d] to `values` [n, epochs] as ranks.

    Values are ranked among all recorded ones, because losses span magnitudes and a single near-divergence would drown
    the rest. A prediction is the value at the mean rank, so that it never leaves the recorded range. `correlation`:
    the rank correlation of predicted and recorded last values, each predicted by the trees that did not see it.
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
        """Predicts the curves of configurations: features [n, d] to values [n, epochs]."""
        rows = features.astype(np.float32)
        ranks = np.mean([tree.predict(rows).reshape(len(rows), -1) for tree in self._trees], axis=0)
        return np.asarray(np.interp(ranks, np.arange(len(self._values)), self._values))
