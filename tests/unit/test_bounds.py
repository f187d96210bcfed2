"""Bounds of metrics and what intervals cover: intervals stay within the bounds, far runs and unseen failures are named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.report.comparison_tables import render_comparison
from hpo.results.bounds import UNBOUNDED, Bounds, metric_bounds
from hpo.results.compare import compare, compare_many
from hpo.results.coverage import FarRuns, far_runs, unseen_share
from hpo.results.statistics import interval, share_interval
from tests.simulated import simulated_study

UNIT = Bounds(0.0, 1.0)


@pytest.mark.parametrize(
    ("metric", "largest", "expected"),
    [
        ("val_accuracy", 0.9, (0, 1)), ("val_accuracy", 1.0, (0, 1)), ("val_accuracy", 97.2, (0, 100)),
        ("macro-f1", 0.5, (0, 1)), ("precision", 80.0, (0, 100)), ("top1_recall", 0.2, (0, 1)),
        ("val_loss", 3.0, (0, math.inf)), ("error_rate", 0.1, (0, math.inf)), ("kappa", 0.3, (-1, 1)),
        ("r2", 0.7, (-math.inf, 1)), ("reward", 7.0, (-math.inf, math.inf)), ("accuracy", 120.0, (0, math.inf)),
    ],
)  # fmt: skip
def test_bounds_follow_from_the_metrics_name_and_the_values(metric: str, largest: float, expected: tuple) -> None:
    found = metric_bounds({"metric": metric}, [0.1, largest, math.nan])
    assert (found.low, found.high) == expected


def test_the_study_decides_on_bounds_unless_a_value_breaks_them() -> None:
    plan = {"metric": "val_accuracy", "bounds": [0.5, None]}
    assert metric_bounds(plan, [0.6, 2.0]) == Bounds(0.5, math.inf)
    assert metric_bounds(plan, [0.4]) == UNBOUNDED
    assert metric_bounds({"metric": "val_loss", "bounds": [None, None]}, [1.0]) == UNBOUNDED
    assert metric_bounds({"metric": "val_loss"}, [-0.1]) == UNBOUNDED


def test_the_margin_is_carried_over_to_the_scale_of_the_bounds() -> None:
    # logit(0.99) = 4.59512; 0.01 / (0.99 x 0.01) = 1.010101; 1 / (1 + e^-3.585019) and 1 / (1 + e^-5.605221)
    low, high = UNIT.around(np.array(0.99), np.array(0.01))
    assert (float(low), float(high)) == pytest.approx((0.973012, 0.996335), abs=1e-6)
    percent = Bounds(0.0, 100.0).around(np.array(99.0), np.array(1.0))
    assert [float(end) for end in percent] == pytest.approx([97.3012, 99.6335], abs=1e-4)
    loss = Bounds(low=0.0).around(np.array(2.0), np.array(1.0))  # 2 e^-0.5, 2 e^0.5
    assert [float(end) for end in loss] == pytest.approx([1.2130613, 3.2974425], abs=1e-6)
    r2 = Bounds(high=1.0).around(np.array(0.5), np.array(0.5))  # 1 - 0.5 e, 1 - 0.5 / e
    assert [float(end) for end in r2] == pytest.approx([-0.3591409, 0.8160603], abs=1e-6)
    assert [float(end) for end in UNBOUNDED.around(np.array(2.0), np.array(1.0))] == [1.0, 3.0]


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_a_mean_on_a_bound_stays_there(mean: float) -> None:
    assert [float(end) for end in UNIT.around(np.array(mean), np.array(0.0))] == [mean, mean]
    assert [float(end) for end in interval([mean] * 4, bounds=UNIT)] == [mean, mean]


def test_equal_values_have_an_interval_without_width_on_every_scale() -> None:
    for bounds in (UNIT, Bounds(low=0.0), Bounds(high=1.0), UNBOUNDED):
        assert [float(end) for end in interval([0.1] * 7, bounds=bounds)] == [0.1, 0.1]


SHAPES = {
    "inside": (lambda rng, size: rng.normal(0.8, 0.02, size), 0.8),
    "near 1": (lambda rng, size: rng.beta(97.02, 0.98, size), 0.99),  # mean 0.99, standard deviation 0.01
    "skewed": (lambda rng, size: rng.beta(16, 1, size), 16 / 17),
    "percent": (lambda rng, size: 100 * rng.beta(97.02, 0.98, size), 99.0),
    "loss": (lambda rng, size: 0.05 * np.exp(rng.normal(0, 0.6, size)), 0.05 * math.exp(0.18)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seeds", [3, 5, 10, 30])
def test_intervals_cover_the_mean_and_stay_within_the_bounds(shape: str, seeds: int) -> None:
    draw, mean = SHAPES[shape]
    values = draw(np.random.default_rng(seeds), (8000, seeds))
    bounds = metric_bounds({"metric": "loss" if shape == "loss" else "accuracy"}, values.ravel())
    low, high = interval(values, bounds=bounds)
    assert low.min() >= bounds.low
    assert high.max() <= bounds.high
    covered = float(((low <= mean) & (mean <= high)).mean())
    assert covered >= 0.93, f"covered in {covered:.3f}"


# -- far runs and unseen failures ---------------------------------------------------------------------------------


def test_far_runs_are_a_minority_behind_a_gap() -> None:
    rest = [0.90, 0.91, 0.92, 0.91]
    assert far_runs([*rest, 0.10]) == FarRuns(1, 5, pytest.approx(0.10), pytest.approx(0.91))
    assert far_runs([*rest, 0.10], smallest=0.81) is None
    assert far_runs([*rest, 0.90 - 4 * 0.02 - 1e-6]) is not None
    assert far_runs([*rest, 0.90 - 4 * 0.02 + 1e-6]) is None
    assert far_runs([0.9, 0.9, 0.9, 0.1]) is None  # four runs are too few
    assert far_runs([0.1, 0.1, 0.9, 0.9, 0.9]) is None  # 2 of 5 are no third
    assert far_runs([0.1, 0.1, 0.9, 0.9, 0.9, 0.9]).count == 2
    assert far_runs([0.1, 0.1, 0.1, 0.1, 0.9]).far_mean == 0.9
    assert far_runs([0.5] * 6) is None


@pytest.mark.parametrize("runs", [1, 3, 10, 58, 59])
def test_unseen_failures_are_bounded_as_by_clopper_and_pearson(runs: int) -> None:
    exact = stats.binomtest(0, runs, alternative="less").proportion_ci(0.95, "exact").high
    assert unseen_share(runs) == pytest.approx(exact)
    assert (unseen_share(runs) <= 0.05) == (runs >= 59)


@pytest.mark.parametrize(("hits", "n"), [(0, 3), (3, 3), (4, 10), (29, 30)])
def test_shares_have_wilsons_interval(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
    low, high = share_interval(hits / n, n)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("seeds", [5, 10, 30])
def test_collapsed_runs_are_covered_once_one_is_seen_and_named(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    collapsed = rng.random((4000, seeds)) < 0.1
    values = np.where(collapsed, rng.normal(0.1, 0.01, collapsed.shape), rng.normal(0.9, 0.01, collapsed.shape))
    seen = (collapsed.sum(axis=1) > 0) & (collapsed.sum(axis=1) <= seeds // 3)
    low, high = interval(values[seen], bounds=UNIT)
    assert ((low <= 0.82) & (high >= 0.82)).mean() >= 0.95
    assert all(far_runs(row.tolist(), 0.01) for row in values[seen][:300])


# -- in a comparison ----------------------------------------------------------------------------------------------


def test_a_comparison_keeps_every_interval_of_accuracies_within_0_and_1() -> None:
    near = {"a": [1.0, 0.999, 0.95], "b": [0.05, 0.0, 0.001]}
    found = compare(simulated_study(near, tests={"a": [1.0, 1.0, 0.9], "b": [0.0, 0.1, 0.0]}))
    assert found.bounds == UNIT
    for method in found.methods:
        for ends in (method.ci95, method.test_ci95):
            assert 0 <= ends[0] <= ends[1] <= 1
    assert all(-1 <= test.ci95[0] <= test.ci95[1] <= 1 for test in (*found.tests, *found.test_tests))
    assert found.to_json()["bounds"] == [0.0, 1.0]


def test_a_comparison_of_losses_or_percent_knows_its_bounds() -> None:
    loss = compare(simulated_study({"a": [0.01, 0.2, 0.02], "b": [0.5, 0.6, 0.7]}, metric="val_loss", mode="min"))
    assert loss.methods[0].ci95[0] >= 0
    assert loss.to_json()["bounds"] == [0.0, None]
    percent = compare(simulated_study({"a": [99.9, 100.0, 98.0]}))
    assert percent.methods[0].ci95[1] <= 100
    given = compare(simulated_study({"a": [0.99, 1.0, 0.98]}, bounds=[None, None]))
    assert given.methods[0].ci95[1] > 1


def test_a_comparison_names_far_runs_and_what_its_intervals_cannot_cover() -> None:
    found = compare(simulated_study({"a": [0.9, 0.91, 0.9, 0.89, 0.1], "b": [0.8, 0.82, 0.81, 0.8, 0.79]}))
    assert found.notes == (
        "1 of 5 runs of a is far from the rest (mean 0.1 against 0.9): mean and interval depend on how often this happens.",
    )
    assert [m.far_runs for m in found.methods] == [1, 0]
    text = render_comparison(found, "markdown")
    assert "covers no failure that did not happen yet: 5 runs can all succeed if up to 45 % of runs fail." in text
    assert found.notes[0] in text


def test_many_tasks_with_far_runs_have_one_sentence_with_the_farthest() -> None:
    near, far = [0.8, 0.82, 0.81, 0.8, 0.79], {"s.p": 0.5, "s.q": 0.1, "s.r": 0.4, "s.t": 0.3}
    studies = [simulated_study({"a": [0.9, 0.91, 0.9, 0.89, low], "b": near}, name=name) for name, low in far.items()]
    said = "1 of 5 runs of a is far from the rest on s.q (mean 0.1 against 0.9)"
    assert compare_many(studies).notes == (
        f"{said}; 3 other pairs of a method and a task have such runs, too: means and intervals depend on how often this "
        "happens.",
    )
    assert len(compare_many(studies[:3]).notes) == 3


@pytest.mark.parametrize("mean", [5e-324, 1e-313, 1e-12])
@pytest.mark.parametrize("bounds", [Bounds(0.0, 1.0), Bounds(0.0, math.inf)])
def test_a_mean_next_to_a_bound_has_an_interval_within_the_bounds(bounds, mean):
    low, high = bounds.around(np.array(mean), np.array(1.0))
    assert 0 <= low <= mean
    assert mean <= high <= bounds.high
