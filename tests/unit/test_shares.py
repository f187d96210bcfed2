"""Corrected shares: the terms of the correction by hand, the ends of the intervals, and how often these cover."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from hpo.results.density import even_weights
from hpo.results.fanova import fanova
from hpo.results.forest import Cells, Decomposition
from hpo.results.shares import TRUST, _kernel, _of_fold, _over, _Unseen, _Variance
from hpo.study.space import Choice, Float, Int, SearchSpace
from tests.known_shares import KNOWN

NOTHING = np.zeros(8)


def variance(value: float, correction: float = 0.0) -> _Variance:
    return _Variance(value, correction, NOTHING)


def learned(factor: float, cells: int) -> Decomposition:
    """A surrogate of sqrt(12) (x - 1/2) + 12 (x - 1/2)(y - 1/2) that shrinks it by `factor`."""
    middles = (np.arange(cells) + 0.5) / cells - 0.5
    line = factor * math.sqrt(12) * middles
    surface = line[:, None] + factor * 12 * np.outer(middles, middles)
    return Decomposition(0.0, factor**2 * 2, (line, np.zeros(cells)), {(0, 1): surface})


def unseen(factor: float, count: int, cells: int) -> _Unseen:
    places = np.random.default_rng(5).random((count, 2))
    x, y = places.T - 0.5
    values = math.sqrt(12) * x + 12 * x * y
    index = np.floor(places * cells).astype(int)
    return _Unseen(places, index, np.ones(count), values, factor * values)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9, 1.3])
def test_whatever_the_surrogate_learned_the_unseen_trials_complete_it(factor: float) -> None:
    """Both components have the variance 1: of it, the surrogate has factor^2; the rest comes from the residuals."""
    found, whole, explained = _of_fold(learned(factor, 400), unseen(factor, 1500, 400), [4, 4])
    assert found[(0,)].value == pytest.approx(1, abs=0.15)
    assert found[(1,)].value == pytest.approx(0, abs=0.15)
    assert found[0, 1].value == pytest.approx(1, abs=0.15)
    assert whole.value == pytest.approx(2, abs=0.25)
    assert explained.value == pytest.approx(2 if factor else 0, abs=0.25)  # a scaled surrogate explains everything
    assert found[(0,)].correction == pytest.approx(1 - factor**2, abs=0.15)


def test_the_terms_of_a_correction_one_by_one() -> None:
    trials, cells = unseen(0.5, 7, 24), 24
    trials = _Unseen(
        trials.places, trials.index, np.array([2, 0.5, 1, 1, 0.5, 1.5, 0.5]), trials.values, trials.predicted
    )
    found = _of_fold(learned(0.5, cells), trials, [3, 2])[0]
    weight, residual = trials.weights, trials.values - trials.predicted

    def waves(axis: int, i: int, j: int) -> float:
        x, z = trials.places[i, axis], trials.places[j, axis]
        return sum(2 * math.cos(math.pi * k * x) * math.cos(math.pi * k * z) for k in range(1, [3, 2][axis] + 1))

    def middle(place: float) -> float:
        return (math.floor(place * cells) + 0.5) / cells - 0.5

    line = [0.5 * math.sqrt(12) * middle(x) for x, _ in trials.places]
    surface = [0.5 * 12 * middle(x) * middle(y) for x, y in trials.places]
    for axes, curve, own in (((0,), line, 0.25), ((0, 1), surface, 0.25)):
        first = sum(2 * g * w * r for g, w, r in zip(curve, weight, residual, strict=True)) / 7
        second = sum(
            math.prod(waves(axis, i, j) for axis in axes) * weight[i] * residual[i] * weight[j] * residual[j]
            for i, j in itertools.permutations(range(7), 2)
        ) / (7 * 6)
        assert found[axes].correction == pytest.approx(first + second)
        assert found[axes].value - found[axes].correction == pytest.approx(own, abs=0.002)  # less within the cells


@pytest.mark.parametrize("places", [(np.arange(6) + 0.5) / 6, (np.arange(100) + 0.5) / 100])
def test_kernels_project(places: np.ndarray) -> None:
    """Applied twice as a mean over the domain, a projection is itself; its trace is its dimension."""
    kernel = _kernel(places, 4)
    assert kernel @ kernel / len(places) == pytest.approx(kernel, abs=1e-9)
    assert np.trace(kernel) / len(places) == pytest.approx(4)
    assert kernel.mean(axis=0) == pytest.approx(0, abs=1e-9)


def test_intervals_reach_from_all_residuals_being_signal_to_all_being_noise() -> None:
    """Half of a variance of at most 1 and at least 0.8, of which nothing else is known: 0.5 / 1 to 0.5 / 0.8."""
    found = _over({(0,): variance(0.5)}, variance(1.0), variance(0.8))[(0,)]
    assert (found.share, found.low, found.high) == pytest.approx((0.625, 0.5, 0.625))
    both = _over({(0,): variance(0.5), (1,): variance(0.4)}, variance(1.0), variance(0.8))
    assert both[(0,)].share == pytest.approx(0.5 / 0.9)
    doubtful = _over({(0,): variance(0.5, correction=0.1)}, variance(1.0), variance(0.8))[(0,)]
    assert (doubtful.low, doubtful.high) == pytest.approx((0.5 - 1.96 * TRUST * 0.1, 0.625 + 1.96 * TRUST * 0.1 / 0.8))
    nothing = _over({(0,): variance(-0.1)}, variance(1.0), variance(0.0))[(0,)]
    assert (nothing.share, nothing.low, nothing.high) == (0.0, 0.0, 1.0)
    assert _over({(0,): variance(0.1)}, variance(-0.1), variance(0.0))[(0,)].high == 1.0


def test_the_sampling_error_is_that_of_a_ratio() -> None:
    """A part and a whole that err together, as 1 and 2 do, err not at all in their ratio."""
    errors = np.array([0.1, -0.1, 0.2, -0.2])
    whole = _Variance(2.0, 0.0, 2 * errors)
    same = _over({(0,): _Variance(1.0, 0.0, errors)}, whole, whole)[(0,)]
    assert (same.low, same.high) == pytest.approx((0.5, 0.5))
    other = _over({(0,): _Variance(1.0, 0.0, -errors)}, whole, whole)[(0,)]
    assert other.high - 0.5 == pytest.approx(1.96 * math.sqrt(0.1 * 4) / 4 / 2)


def test_a_surrogate_s_bias_is_corrected() -> None:
    """On Ishigami's function the trees read three quarters of the largest share."""
    known = KNOWN["Ishigami"]
    assert known.shares[(0,)] == pytest.approx(0.3139, abs=1e-3)
    assert known.shares[(1,)] == pytest.approx(0.4424, abs=1e-3)
    assert known.shares[0, 2] == pytest.approx(0.2437, abs=1e-3)
    alone, corrected = [], []
    for seed in range(4):
        found = fanova(known.space, *known.draw(300, 0.0, seed), seed=seed)
        alone.append(found.whole.single(1))
        corrected.append(found.estimates[(1,)].share)
    assert np.mean(alone) < 0.36
    assert np.mean(corrected) == pytest.approx(0.4424, abs=0.05)


@pytest.mark.parametrize(("name", "noise"), [("linear", 0.3), ("mixed", 0.0), ("conditional", 0.3)])
def test_intervals_cover(name: str, noise: float) -> None:
    """Bar: nine in ten; with 95 percent in truth, 99 of 100 samples of 36 stay above it less two standard errors."""
    known, covered = KNOWN[name], []
    for seed in range(12):
        found = known.estimate(*known.draw(100, noise, 100 + seed), seed).of
        for axes in ((0,), (1,), (2,)):
            covered.append(found[axes].low <= known.shares[axes] <= found[axes].high)
    assert np.mean(covered) >= 0.9 - 2 * math.sqrt(0.9 * 0.1 / len(covered))


@pytest.mark.parametrize("count", [12, 13, 40])
@pytest.mark.parametrize("name", ["one", "constants", "many options"])
def test_small_and_degenerate_studies_have_intervals_too(name: str, count: int) -> None:
    space = {
        "one": SearchSpace({"x": Float(0.0, 1.0)}),
        "constants": SearchSpace({"x": Float(0.5, 0.5), "c": Choice(("a",)), "y": Int(1, 1), "z": Int(1, 100, log=True)}),
        "many options": SearchSpace({"c": Choice(tuple(map(str, range(60)))), "x": Float(0.0, 1.0, step=0.25)}),
    }[name]  # fmt: skip
    rng = np.random.default_rng(count)
    configs = [space.sample(rng) for _ in range(count)]
    outlier, wild = np.eye(count)[-1], 1e12 * rng.normal(size=count) ** 5
    for values in (rng.normal(size=count), outlier, wild):
        found = fanova(space, configs, values)
        shares = (*found.shares(), *found.pair_shares())
        assert all(0 <= share.low <= share.share <= share.high <= 1 for share in shares)
        assert [share.share for share in found.shares()] == sorted((s.share for s in found.shares()), reverse=True)
        assert math.isfinite(found.fit)


def test_even_trials_weigh_one_and_searched_ones_stand_for_the_whole_space() -> None:
    rng = np.random.default_rng(1)
    cells = [Cells(24), Cells(2, True)]
    even = np.column_stack([rng.random(300), rng.choice([0.25, 0.75], 300)])
    assert even_weights(even, cells, rng=rng) == pytest.approx(1.0)
    crowded = np.column_stack([rng.beta(2, 1, 300), rng.choice([0.25, 0.75], 300, p=[0.2, 0.8])])
    weights = even_weights(crowded, cells, rng=rng)
    assert crowded.mean(axis=0) == pytest.approx([0.67, 0.65], abs=0.04)
    assert np.average(crowded, axis=0, weights=weights) == pytest.approx([0.5, 0.5], abs=0.07)
    assert 0.1 <= weights.min() < 1 < weights.max() <= 10
