"""The statistics against scipy, published tables, hand-worked examples, enumeration, and what they promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpo.results import statistics
from hpo.results.sign_flips import sign_flips

SHAPES = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "uniform": (lambda rng, size: rng.random(size), 0.5),
    "best of 16, bounded": (lambda rng, size: rng.beta(16, 1, size), 16 / 17),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0),
    "heavy tails": (lambda rng, size: rng.standard_t(5, size=size), 0.0),
    "200 images": (lambda rng, size: rng.binomial(200, 0.9, size) / 200, 0.9),
    "differences": (lambda rng, size: rng.beta(16, 1, size) - rng.beta(16, 1, size), 0.0),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [10, 20, 40])
def test_intervals_cover_the_mean_in_about_95_percent(shape: str, n: int) -> None:
    draw, mean = SHAPES[shape]
    low, high = statistics.interval(draw(np.random.default_rng([n, len(shape)]), (6000, n)))
    coverage = np.mean((low <= mean) & (mean <= high))
    error = 3 * math.sqrt(0.05 * 0.95 / 6000)
    assert 0.93 - error <= coverage <= 0.97 + error, f"{shape}, n = {n}: {coverage:.4f}"


def test_the_interval_is_student_s_without_skewness_and_contains_it_with_skewness() -> None:
    even = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    low, high = statistics.interval(even)
    expected = stats.t.interval(0.95, 4, even.mean(), stats.sem(even))
    assert (float(low), float(high)) == pytest.approx(expected, abs=1e-9)
    skewed = np.array([0.0, 0.1, 0.1, 0.2, 5.0])
    inside = stats.t.interval(0.95, 4, skewed.mean(), stats.sem(skewed))
    assert statistics.interval(skewed)[0] <= inside[0]
    assert statistics.interval(skewed)[1] > inside[1]


def test_differences_too_small_to_be_cubed_have_student_s_interval() -> None:
    low, high = statistics.interval([0.0, 1e-135])
    assert low < 0 < 1e-135 < high
    assert (low + high) / 2 == pytest.approx(5e-136)


def test_one_value_has_no_interval_and_equal_values_have_one_of_zero_width() -> None:
    assert np.isnan(statistics.interval([0.7])[0])
    assert statistics.mean_interval([0.747932] * 7) == (0.747932, (0.747932, 0.747932))
    assert statistics.mean_interval([math.nan, 0.5]) == (0.5, None)
    assert statistics.mean_interval([math.nan]) == (None, None)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 10, 20, 50])
def test_signed_rank_is_scipy_s_exact_test(n: int) -> None:
    d = np.random.default_rng(n).normal(0.3, 1, n)
    assert statistics.signed_rank(d)[0] == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, abs=1e-12)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_signed_rank_with_ties_and_zeros_matches_the_enumeration_of_signs(values: list[int]) -> None:
    d = np.array(values, dtype=float)
    ranks = stats.rankdata(np.abs(d))[d != 0]
    signs = np.sign(d[d != 0])
    p, direction = statistics.signed_rank(d)
    if not len(ranks):
        assert (p, direction) == (1.0, 0)
        return
    observed = abs(signs @ ranks)
    every = [abs(np.array(s) @ ranks) for s in itertools.product((-1, 1), repeat=len(ranks))]
    assert p == pytest.approx(np.mean([total >= observed - 1e-9 for total in every]), abs=1e-12)
    assert direction == np.sign(signs @ ranks)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_signed_rank_is_symmetric_in_the_two_methods(values: list[float]) -> None:
    d = np.array(values)
    (p, direction), (other, opposite) = statistics.signed_rank(d), statistics.signed_rank(-d)
    assert p == pytest.approx(other, abs=1e-12)
    assert direction == -opposite


def test_signed_rank_of_many_pairs_and_of_infinite_ones() -> None:
    d = np.random.default_rng(0).normal(0.1, 1, 400)
    assert statistics.signed_rank(d)[0] == pytest.approx(stats.wilcoxon(d, correction=False, method="approx").pvalue)
    assert statistics.signed_rank([math.inf] * 6) == (2 / 2**6, 1)


def test_rounding_errors_are_neither_differences_nor_ranks() -> None:
    assert statistics.signed_rank([0.1 + 0.2 - 0.3] * 8) == (1.0, 0)
    assert statistics.signed_rank([0.3 - 0.2, -0.1]) == (1.0, 0)  # these two tie: neither side is larger


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 x 0.005, 3 x 0.01, 2 x 0.03, and never less after
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.6, 0.001, 0.9], [1.0, 0.003, 1.0]),
    ],
)
def test_holm_s_adjustment_by_hand(p: list[float], adjusted: list[float]) -> None:
    assert statistics.holm(p) == pytest.approx(adjusted)


def test_friedman_is_scipy_s_test_with_ties() -> None:
    values = np.random.default_rng(3).normal(size=(9, 4)).round(1) + np.array([0, 0.3, 0.6, 2.0])
    found = statistics.friedman(values)
    expected = stats.friedmanchisquare(*values.T)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.mean_ranks == pytest.approx(stats.rankdata(-values, axis=1).mean(axis=0))


DEMSAR = {  # Demsar 2006, Table 5a: methods -> q_0.05, q_0.10
    2: (1.960, 1.645), 3: (2.343, 2.052), 4: (2.569, 2.291), 5: (2.728, 2.459), 6: (2.850, 2.589), 7: (2.949, 2.693),
    8: (3.031, 2.780), 9: (3.102, 2.855), 10: (3.164, 2.920),
}  # fmt: skip


@pytest.mark.parametrize("methods", DEMSAR)
def test_nemenyi_s_quantiles_are_the_published_ones(methods: int) -> None:
    found = [statistics.nemenyi_quantile(methods, alpha) for alpha in (0.05, 0.10)]
    assert found == pytest.approx(DEMSAR[methods], abs=0.0011)  # the table rounds half of twice a rounded number


def test_nemenyi_of_two_methods_is_the_normal_test_of_their_mean_ranks() -> None:
    # 10 blocks, one method first in 8: mean ranks 1.2 and 1.8, their difference has a standard error of 1 / sqrt(10).
    found = statistics.friedman([[2.0, 1.0]] * 8 + [[1.0, 2.0]] * 2)
    assert found.mean_ranks == pytest.approx([1.2, 1.8])
    assert found.pairwise[0, 1] == pytest.approx(2 * stats.norm.sf(0.6 * math.sqrt(10)), abs=1e-9)
    assert found.pairwise[0, 0] == found.pairwise[1, 1] == 1.0
    assert found.critical_difference == pytest.approx(1.959964 / math.sqrt(10), abs=1e-6)


def test_nemenyi_of_three_methods_in_the_same_order_everywhere() -> None:
    # 4 blocks: mean ranks 1, 2, 3; the standard error is sqrt(3 * 4 / (6 * 4)), so q is sqrt(2) and 2 sqrt(2).
    found = statistics.friedman([[3.0, 2.0, 1.0]] * 4)
    assert found.pairwise[0, 1] == found.pairwise[1, 2] == pytest.approx(_range_tail(2.0, 3), abs=1e-9)
    assert found.pairwise[0, 2] == pytest.approx(_range_tail(4.0, 3), abs=1e-9)
    assert found.critical_difference == pytest.approx(2.343701 * math.sqrt(0.5), abs=1e-5)


def _range_tail(q: float, count: int) -> float:
    """The chance that `count` standard normal numbers span more than q, integrated over the lowest of them."""
    z = np.linspace(-9, 9, 200_001)
    inside = count * stats.norm.pdf(z) * (stats.norm.cdf(z + q) - stats.norm.cdf(z)) ** (count - 1)
    return float(1 - np.trapezoid(inside, z))


@given(st.integers(2, 7), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_nemenyi_finds_a_pair_exactly_beyond_the_critical_difference(methods: int, blocks: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, (blocks, methods))  # with ties
    found = statistics.friedman(values)
    gaps = np.abs(found.mean_ranks[:, None] - found.mean_ranks)
    clear = np.abs(gaps - found.critical_difference) > 1e-9
    assert ((found.pairwise < 0.05) == (gaps > found.critical_difference))[clear].all()
    assert np.array_equal(found.pairwise, found.pairwise.T)


def test_the_critical_difference_matches_demsar_s_example() -> None:
    found = statistics.friedman(np.random.default_rng(0).normal(size=(14, 4)))
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)


def test_equal_blocks_show_no_difference() -> None:
    assert statistics.friedman(np.ones((6, 3))).p == 1.0


@pytest.mark.parametrize(("deviation", "difference"), [(0.02, 0.01), (0.01, 0.01), (0.05, 0.01)])
def test_the_pairs_needed_are_enough_and_not_far_too_many(deviation: float, difference: float) -> None:
    n = statistics.pairs_needed(deviation, difference)
    rng = np.random.default_rng(n)
    draws = rng.normal(difference, deviation, (600, n))
    found = np.mean([sign_flips(d[:, None])[0][0] < 0.05 for d in draws])
    assert 0.8 - 0.05 <= found <= 0.8 + 0.08


def test_the_fewest_pairs_that_can_decide() -> None:
    fewest = statistics.fewest_pairs(0.05)
    assert statistics.signed_rank(np.arange(1.0, fewest + 1))[0] < 0.05
    assert statistics.signed_rank(np.arange(1.0, fewest))[0] > 0.05
    assert statistics.pairs_needed(0.0, 0.01) == fewest
    assert statistics.pairs_needed(0.0, 0.01, 0.001) == fewest  # max-T reaches the smallest p for every pair


@pytest.mark.parametrize(
    ("deviation", "alpha", "power", "pairs"),
    [(2.0, 0.05, 0.8, 33.3671), (3.0, 0.05, 0.8, 72.5839), (2.0, 0.01, 0.9, 62.8702), (5.0, 0.01, 0.8, 295.2973)],
)
def test_the_pairs_needed_are_statsmodels_of_the_t_test(
    deviation: float, alpha: float, power: float, pairs: float
) -> None:
    """statsmodels.stats.power.TTestPower().solve_power(1 / deviation, None, alpha, power), rounded up to whole pairs."""
    assert abs(statistics.pairs_needed(deviation, 1.0, alpha, power) - math.ceil(pairs)) <= 1


def test_a_pair_s_level_is_that_of_tukey_s_range() -> None:
    # scipy.stats.studentized_range.isf(0.05, 4, inf) / sqrt(2) = 2.5690: 2 * normal.sf of it.
    assert statistics.pair_alpha(2) == 0.05
    assert statistics.pair_alpha(4) == pytest.approx(2 * stats.norm.sf(2.569), abs=1e-5)
    assert 0.05 / 190 < statistics.pair_alpha(20) < statistics.pair_alpha(4)


@pytest.mark.parametrize("margin", [0.01, 0.3, 2.0])
def test_the_chances_are_the_integrated_posterior_of_a_normal_mean(margin: float) -> None:
    """The mean given the variance is normal; the variance is scaled inverse chi-square: integrated over its quantiles."""
    d = np.random.default_rng(8).normal(0.2, 1, 7)
    quantiles = (np.arange(200_000) + 0.5) / 200_000
    deviation = np.sqrt(6 * d.var(ddof=1) / stats.chi2.isf(quantiles, 6) / 7)
    below = stats.norm.cdf((-margin - d.mean()) / deviation).mean()
    above = stats.norm.sf((margin - d.mean()) / deviation).mean()
    assert statistics.chances(d, margin) == pytest.approx((below, 1 - below - above, above), abs=1e-6)


def test_the_chances_of_equal_differences_are_at_one_point() -> None:
    assert statistics.chances([0.1] * 4, 0.2) == (0, 1, 0)
    assert statistics.chances([0.3] * 4, 0.2) == (0, 0, 1)
    assert statistics.chances([-0.3] * 4, 0.2) == (1, 0, 0)
    assert statistics.chances([0.3], 0.2) is None


def test_the_range_of_more_pairs_follows_the_interval_of_the_spread() -> None:
    d = np.random.default_rng(9).normal(0, 0.02, 10)
    more, ends = statistics.more_pairs(d, 10, 0.01, 0.05)
    spread = d.std(ddof=1) * np.sqrt(9 / stats.chi2.isf([0.1, 0.9], 9))
    assert ends == tuple(statistics.pairs_needed(s, 0.01) - 10 for s in spread)
    assert more == statistics.pairs_needed(float(d.std(ddof=1)), 0.01) - 10
    assert statistics.more_pairs(d[:1], 1, 0.01, 0.05) == (None, None)
    assert statistics.more_pairs(np.zeros(4), 4, 0.01, 0.05) == (2, (2, 2))


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(0.005, (0.006195247178660471, 0.2126285230285453, 0.7811762297927942)),
     (0.01, (0.001587669875511306, 0.7246479550485221, 0.2737643750759666))],
)  # fmt: skip
def test_the_chances_are_baycomp_s(margin: float, expected: tuple[float, float, float]) -> None:
    """baycomp.single.Posterior(mean, variance / n, n - 1, margin).probs(), which is its t test without correlation."""
    assert statistics.chances([0.011, -0.004, 0.019, 0.006, 0.002, 0.013], margin) == pytest.approx(expected, abs=1e-12)


@given(
    st.lists(st.lists(st.sampled_from([0.0, -1.5, 2.0, math.inf, -math.inf, 7.25]), min_size=4, max_size=4), min_size=1)
)
def test_ranks_are_scipys_with_ties_and_infinities_along_both_axes(table: list[list[float]]) -> None:
    for axis in (0, 1):
        np.testing.assert_array_equal(statistics.ranks(table, axis), stats.rankdata(table, axis=axis))


def test_ranks_beside_a_nan_are_nan_as_scipys() -> None:
    table = [[1.0, math.nan, 2.0], [3.0, 1.0, 1.0]]
    np.testing.assert_array_equal(statistics.ranks(table, 1), stats.rankdata(table, axis=1))


def test_chances_of_differences_whose_squares_vanish_are_at_one_point() -> None:
    assert statistics.chances([0.0, 6.9e-230], 0.0) == (0.0, 0.0, 1.0)
    assert statistics.chances([0.0, 6.9e-230], 0.01) == (0.0, 1.0, 0.0)
