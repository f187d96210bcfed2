"""What a Gaussian process learns to predict of configurations: their values or their standings, larger is better. Pure."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from hpo.methods.searchers.history import Seen, standing
from hpo.study.space import Vector

FAR = 4.0  # in normal scores, beyond those of the worst


def values(seen: list[Seen]) -> Vector:
    """Returns the values, with mean 0 and deviation 1; shape [n].

    A configuration that was not trained as long as the longest has the value of those that were and have its standing.
    What is worse than the median is at most as far from it as normal scores are: however bad it is, it says little about
    where the best are (half-rank warping, Song et al. 2024, "The Vizier Gaussian process bandit algorithm").
    """
    stands = standing(seen)
    whole = np.array([s.level for s in seen]) == max(s.level for s in seen)
    own = np.array([s.value for s in seen])
    known = np.where(whole, own, np.interp(stands, np.sort(stands[whole]), np.sort(own[whole])))
    known = known - np.median(known)
    top = known.max()
    if top == 0:  # half of them are the best
        return standings(seen)
    known = np.maximum(known, -FAR * top) / top
    spread = math.sqrt(float((known[known >= 0] ** 2).mean()))
    scores = ndtri(np.minimum((places(stands) - 0.5) / len(seen), 0.5))
    return _standardized(np.maximum(known, spread * scores))


def standings(seen: list[Seen]) -> Vector:
    """Returns normal scores of the standings, with mean 0 and deviation 1; shape [n].

    Losses differ by magnitudes where training goes wrong and by little where it goes well. Equal standings, such as those
    of failures, have equal scores, but a longer training breaks the tie.
    """
    levels = np.array([s.level for s in seen])
    order = standing(seen) + 1e-9 * levels / max(1, levels.max())
    return _standardized(ndtri((places(order) - 0.5) / len(seen)))


def agreement(a: Vector, b: Vector) -> float:
    """Returns the rank correlation of two vectors; 0 if one is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(places(a), places(b))[0, 1])


def places(values: Vector) -> Vector:
    """Returns each value's place, counted from 1; equal values share the mean of theirs."""
    _, group, many = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(many) - (many - 1) / 2)[group])


def _standardized(values: Vector) -> Vector:
    deviation = values.std()
    return np.asarray((values - values.mean()) / (deviation if deviation > 0 else 1.0))
