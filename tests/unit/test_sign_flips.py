"""Sign flips against enumeration, scipy's permutation test and closed testing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpo.results.sign_flips import DRAWN, EXACT, margin_flips, sign_flips, smallest_p
from hpo.results.statistics import cliques


def scipys(d: np.ndarray, alternative: str) -> float:
    """The exact p of scipy's one-sample permutation test of the mean."""
    return float(
        stats.permutation_test(
            (d,), np.mean, permutation_type="samples", alternative=alternative, n_resamples=np.inf
        ).pvalue
    )


def test_random_flips_include_the_observed_signs_so_p_is_never_zero() -> None:
    p, adjusted = sign_flips(np.full((30, 1), 1.0))
    assert p[0] == adjusted[0] == pytest.approx(1 / DRAWN) == smallest_p(30)


@pytest.mark.parametrize("n", [1, 2, 5, 6, EXACT])
def test_the_smallest_p_is_that_of_equal_differences(n: int) -> None:
    assert sign_flips(np.ones((n, 1)))[1][0] == smallest_p(n) == min(1, 2 / 2**n)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8))
def test_sign_flips_of_one_column_match_the_enumeration_of_its_signs(values: list[int]) -> None:
    d = np.array(values, dtype=float)
    every = [abs(np.array(s) @ d) for s in itertools.product((-1, 1), repeat=len(d))]
    p, adjusted = sign_flips(d[:, None])
    assert p[0] == adjusted[0] == pytest.approx(np.mean([total >= abs(d.sum()) - 1e-9 for total in every]))


def test_sign_flips_of_one_column_are_scipy_s_permutation_test() -> None:
    d = np.random.default_rng(5).normal(0.7, 1, 10)
    assert sign_flips(d[:, None])[0][0] == pytest.approx(scipys(d, "two-sided"))


def test_sign_flips_adjust_less_for_correlated_columns() -> None:
    d = np.random.default_rng(0).normal(0.8, 1, 9)
    twice = sign_flips(np.column_stack([d, 2 * d]))
    assert twice[0] == pytest.approx(twice[1])
    apart = sign_flips(np.column_stack([d, np.random.default_rng(1).normal(0, 1, (9, 4))]))
    assert apart[0][0] <= apart[1][0] <= 5 * apart[0][0]
    many = np.random.default_rng(2).normal(0.5, 1, (20, 1))
    assert sign_flips(many)[0][0] == pytest.approx(stats.ttest_1samp(many[:, 0], 0).pvalue, abs=0.02)


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 4))
def test_the_step_down_procedure_is_closed_testing(seed: int, n: int, m: int) -> None:
    """A claim's adjusted p is the largest p, by the largest |t|, of all sets of claims that hold it."""
    d = np.random.default_rng(seed).integers(-4, 9, (n, m)).astype(float)
    length = np.sqrt((d**2).sum(axis=0))
    unit = d / np.where(length > 0, length, 1)
    signs = np.array(list(itertools.product((-1, 1), repeat=n)))
    flipped, observed = np.abs(signs @ unit), np.abs(unit.sum(axis=0))
    sets = [list(s) for size in range(1, m + 1) for s in itertools.combinations(range(m), size)]
    by_set = {tuple(s): np.mean(flipped[:, s].max(axis=1) >= observed[s].max() - 1e-9) for s in sets}
    expected = [max(p for s, p in by_set.items() if i in s) for i in range(m)]
    assert sign_flips(d)[1] == pytest.approx(expected)


def test_a_mean_is_within_a_margin_if_both_one_sided_tests_show_it() -> None:
    d = np.random.default_rng(3).normal(0.1, 1, 11)
    both = max(scipys(1.0 + d, "greater"), scipys(1.0 - d, "greater"))
    assert margin_flips(d[:, None], 1.0)[0] == pytest.approx(both)
    assert margin_flips(d[:, None], 0.05)[0] > 0.3


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.integers(1, 3))
def test_several_margins_are_closed_testing(seed: int, n: int, m: int) -> None:
    """A set of columns is rejected by the largest of their smaller t among both t of all of them; one alone by its own."""
    d = np.random.default_rng(seed).integers(-4, 6, (n, m)).astype(float)
    z = np.stack([5.5 + d, 5.5 - d])  # [sides, n, m]
    unit = z / np.sqrt((z**2).sum(axis=1, keepdims=True))
    signs = np.array(list(itertools.product((-1, 1), repeat=n)))
    flipped, observed = signs @ unit, unit.sum(axis=1)  # [sides, flips, m], [sides, m]
    own = (flipped >= observed[:, None] - 1e-9).mean(axis=1).max(axis=0)
    sets = [list(s) for size in range(2, m + 1) for s in itertools.combinations(range(m), size)]
    by_set = {
        tuple(s): np.mean(flipped[:, :, s].max(axis=(0, 2)) >= observed.min(axis=0)[s].max() - 1e-9) for s in sets
    }
    expected = [max([own[i], *(p for s, p in by_set.items() if i in s)]) for i in range(m)]
    assert margin_flips(d, 5.5) == pytest.approx(expected)


def test_a_mean_on_the_edge_of_the_margin_is_not_within_it() -> None:
    assert margin_flips(np.full((10, 1), 0.01), 0.01)[0] == 1.0
    assert margin_flips(np.zeros((10, 1)), 0.01)[0] == pytest.approx(1 / 2**10)
    assert margin_flips(np.zeros((10, 1)), 0.0)[0] == 1.0


def test_rows_that_a_column_lacks_count_neither_for_nor_against_the_margin() -> None:
    d = np.random.default_rng(4).normal(0, 0.5, 8)
    table = np.column_stack([np.where(np.arange(8) < 6, d, math.nan), d])
    few, whole = margin_flips(table[:, :1], 1.0), margin_flips(table[:6, :1], 1.0)
    assert few == pytest.approx(whole)
    assert (margin_flips(table, 1.0) >= [few[0], margin_flips(table[:, 1:], 1.0)[0]]).all()


def test_cliques_are_the_maximal_sets_of_related_ones() -> None:
    chain = np.eye(4, dtype=bool)
    for a, b in ((0, 1), (1, 2), (2, 3), (0, 2)):
        chain[a, b] = chain[b, a] = True
    assert cliques(chain) == ((0, 1, 2), (2, 3))
    assert cliques(np.eye(3)) == ()
    assert cliques(np.ones((4, 4))) == ((0, 1, 2, 3),)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_cliques_match_the_enumeration_of_all_sets(seed: int, m: int) -> None:
    table = np.random.default_rng(seed).random((m, m)) < 0.5
    table = table | table.T
    whole = [
        set(s)
        for size in range(2, m + 1)
        for s in itertools.combinations(range(m), size)
        if all(table[i, j] for i, j in itertools.combinations(s, 2))
    ]
    expected = sorted(tuple(sorted(s)) for s in whole if not any(s < other for other in whole))
    assert cliques(table) == tuple(expected)
