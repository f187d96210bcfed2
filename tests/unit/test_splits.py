"""Splits, subsets, folds and class weights, on label arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.errors import BadData
from trainables.splits import class_weights, folds, is_share, quotas, take

counts_of = st.lists(st.integers(1, 60), min_size=2, max_size=8).map(np.array)


def labels_of(counts):
    return np.repeat(np.arange(len(counts)), counts)


@given(counts_of, st.data())
def test_a_count_is_met_exactly_and_in_proportion(counts, data):
    total = data.draw(st.integers(len(counts), int(counts.sum())))
    wanted = quotas(counts, total)
    assert wanted.sum() == total
    assert (wanted >= 1).all()
    assert (wanted <= counts).all()


def test_proportions_are_kept():
    assert quotas(np.array([100, 300, 600]), 100).tolist() == [10, 30, 60]
    assert quotas(np.array([100, 300, 600]), 0.25).tolist() == [25, 75, 150]
    assert quotas(np.array([1, 1, 998]), 10).tolist() == [1, 1, 8]
    assert quotas(np.array([5, 5, 5]), 1.0).tolist() == [5, 5, 5]


def test_balanced_takes_as_many_of_each():
    assert quotas(np.array([10, 30, 60]), 30, balanced=True).tolist() == [10, 10, 10]
    assert quotas(np.array([10, 30, 60]), 17, balanced=True).tolist() == [6, 6, 5]
    assert quotas(np.array([10, 30, 60]), 0.5, balanced=True).tolist() == [5, 5, 5]
    assert quotas(np.array([10, 30, 60]), "7 per class").tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("share", "balanced", "message"),
    [
        (31, True, "31 needs 31 images, 11 of class number 0, but there are 100, 10 of that class"),
        ("11 per class", False, "needs 33 images, 11 of class number 0"),
        (101, False, "needs 101 images"),
        (2, False, "at least one image of each of the 3 classes, but got 2"),
        (1, False, "write 1.0 for all of them"),
        (0.0, False, "fraction in"),
        (1.5, False, "fraction in"),
        (-3, True, "at least one image"),
        ("many", False, "'N per class'"),
    ],
)
def test_what_cannot_be_had_is_refused(share, balanced, message):
    with pytest.raises(BadData, match=message):
        quotas(np.array([10, 30, 60]), share, balanced=balanced)


def test_a_string_is_a_share_only_where_it_says_how_much():
    assert is_share(3)
    assert is_share(0.2)
    assert is_share("50 per class")
    assert not is_share("val")
    assert not is_share(None)


@given(counts_of, st.integers(0, 5))
def test_take_draws_what_is_wanted_and_leaves_the_rest(counts, seed):
    labels = labels_of(counts)
    wanted = np.maximum(1, counts // 2)
    taken, left = take(labels, wanted, np.random.default_rng(seed))
    assert np.bincount(labels[taken], minlength=len(counts)).tolist() == wanted.tolist()
    assert sorted([*taken, *left]) == list(range(len(labels)))
    again, _ = take(labels, wanted, np.random.default_rng(seed))
    assert taken.tolist() == again.tolist()


@given(st.lists(st.integers(5, 40), min_size=2, max_size=5), st.integers(2, 5))
def test_folds_are_disjoint_stratified_and_even(counts, k):
    labels = labels_of(counts)
    parts = folds(labels, k, np.random.default_rng(0))
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    sizes = [len(p) for p in parts]
    assert max(sizes) - min(sizes) <= 1
    for c in range(len(counts)):
        of_class = [(labels[p] == c).sum() for p in parts]
        assert max(of_class) - min(of_class) <= 1


def test_more_folds_than_images_of_a_class_are_refused():
    with pytest.raises(BadData, match="4 folds need at least 4 images of each class, but class number 0 has 3"):
        folds(labels_of([3, 9]), 4, np.random.default_rng(0))


def test_class_weights():
    labels = labels_of([10, 30, 60])
    assert class_weights("none", labels, 3) is None
    assert class_weights("log", labels, 3) == pytest.approx([np.log(10), np.log(100 / 30), 1])
    assert class_weights("balanced", labels, 3) == pytest.approx([100 / 30, 100 / 90, 100 / 180])
    assert class_weights("log", labels_of([5, 5]), 2).tolist() == [1, 1]
    with pytest.raises(BadData, match="class_weights must be"):
        class_weights("ballanced", labels, 3)
