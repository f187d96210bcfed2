"""Calibration: over 1,000 simulated studies each, the claims of `hpo compare` are wrong no more often than they may be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpo.results.compare import compare
from hpo.results.margin import Margin
from hpo.results.pair_tests import pair_tests, pair_tests_of_each
from hpo.study.difference import Difference
from tests.simulated import simulated_study

STUDIES = 1000
# The bar for a true share of 5 percent in 1,000 draws: 99 of 100 such counts stay below it.
MOST = 0.05 + 2.33 * math.sqrt(0.05 * 0.95 / STUDIES)

DRAWS = {
    "normal": lambda rng, size: rng.normal(0.8, 0.02, size),
    "skewed": lambda rng, size: rng.beta(16, 1, size),
    "100 images": lambda rng, size: rng.binomial(100, 0.9, size) / 100,
}


def claims(values: np.ndarray) -> float:
    """Returns the share of studies [studies, seeds, methods] with a verdict that any method is better than another."""
    labels = [f"method{i}" for i in range(values.shape[2])]
    said = [any(t.better for t in pair_tests(labels, study, "max")) for study in values]
    return float(np.mean(said))


@pytest.mark.parametrize(
    ("shape", "seeds"), [("normal", 5), ("normal", 10), ("normal", 20), ("skewed", 20), ("100 images", 10)]
)
def test_identical_methods_rarely_get_a_verdict(shape: str, seeds: int) -> None:
    share = claims(DRAWS[shape](np.random.default_rng([seeds, len(shape)]), (STUDIES, seeds, 2)))
    assert share <= MOST, f"{shape}, {seeds} seeds: false verdicts in {share:.3f}"


def test_four_identical_methods_rarely_get_a_verdict() -> None:
    share = claims(np.random.default_rng(4).normal(size=(300, 10, 4)))
    assert share <= 0.05 + 2.33 * math.sqrt(0.05 * 0.95 / 300), f"false verdicts in {share:.3f}"


@pytest.mark.parametrize(("seeds", "shape"), [(6, "skewed"), (8, "normal")])
def test_six_methods_of_which_three_differ_rarely_get_a_false_verdict(seeds: int, shape: str) -> None:
    """False: a verdict between two of the three that are the same, or one that names the worse of two as better."""
    rng, labels = np.random.default_rng([6, seeds]), list("abcdef")
    shift = np.array([0.0, 0.0, 0.0, 0.005, 0.05, 0.5])
    false, studies = 0, 300
    for values in DRAWS[shape](rng, (studies, seeds, 6)) + shift:
        better = [
            (labels.index(t.better), labels.index(str(t.worse))) for t in pair_tests(labels, values, "max") if t.better
        ]
        false += any(shift[a] <= shift[b] for a, b in better)
    assert false / studies <= 0.05 + 2.33 * math.sqrt(0.05 * 0.95 / studies), f"false verdicts in {false} of {studies}"


def test_one_standard_deviation_is_detected_with_twenty_seeds() -> None:
    values = np.random.default_rng(20).normal(0.8, 0.02, (STUDIES, 20, 2)) + np.array([0.02, 0.0])
    verdicts = [pair_tests(["a", "b"], study, "max")[0].verdict for study in values]
    found = verdicts.count("a better") / STUDIES
    assert found >= 0.8, f"found in {found:.3f}"
    assert verdicts.count("b better") == 0


def test_compare_gives_the_verdicts_of_pair_tests() -> None:
    rng = np.random.default_rng(11)
    for _ in range(5):
        values = rng.normal(0.7, 0.02, (12, 2)) + np.array([0.02, 0.0])
        found = compare(simulated_study({"a": values[:, 0].tolist(), "b": values[:, 1].tolist()}))
        assert found.tests[0] == pair_tests(["a", "b"], values, "max")[0]


@pytest.mark.parametrize("tasks", [2, 4, 6, 9])
def test_effects_of_mean_zero_over_tasks_rarely_make_a_method_better(tasks: int) -> None:
    """Claims about tasks in general; on fewer than six tasks, claims against the task's own effect."""
    rng, labels, studies = np.random.default_rng([13, tasks]), ["a", "b"], 300
    general = local = 0
    for _ in range(studies):
        effects = rng.normal(0, 2, tasks)
        tables = [np.column_stack([rng.normal(e, 1, 8), rng.normal(0, 1, 8)]) for e in effects]
        means = np.array([table.mean(axis=0) for table in tables])
        general += any(t.better for t in pair_tests(labels, means, "max"))
        each = pair_tests_of_each(labels, tables, "max", Margin(None))
        local += any(t.better == ("b" if e > 0 else "a") for e, (t,) in zip(effects, each, strict=True))
    most = studies * (0.05 + 2.33 * math.sqrt(0.05 * 0.95 / studies))
    assert general <= most, f"false verdicts in general: {general} of {studies}"
    assert local <= most, f"false verdicts on these tasks: {local} of {studies}"


@pytest.mark.parametrize(("seeds", "methods"), [(5, 2), (8, 2), (8, 4), (16, 3)])
def test_methods_apart_by_the_margin_are_rarely_equivalent(seeds: int, methods: int) -> None:
    rng, labels, studies = np.random.default_rng([14, seeds, methods]), list("abcd")[:methods], 400
    shift = 0.02 * (np.arange(methods) % 2)
    margin, false, same = Margin(Difference(0.02), named=True), 0, 0
    for values in rng.normal(0.8, 0.02, (studies, seeds, methods)):
        apart = pair_tests(labels, values + shift, "max", margin)
        false += any(t.verdict == "equivalent" and shift[labels.index(t.a)] != shift[labels.index(t.b)] for t in apart)
        same += pair_tests(labels, 0.8 + (values - 0.8) / 10, "max", margin)[0].verdict == "equivalent"
    assert false / studies <= 0.05 + 2.33 * math.sqrt(0.05 * 0.95 / studies), f"false verdicts in {false} of {studies}"
    assert same / studies > 0.9
