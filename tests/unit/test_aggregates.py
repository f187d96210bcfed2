"""Aggregates of Agarwal et al. 2021: every formula against scipy or by hand; intervals, scales, tables, section."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.report import palette
from hpo.report.aggregate_section import aggregate_section, profiles
from hpo.report.aggregate_tables import aggregate_tables
from hpo.report.comparison_tables import render_comparison
from hpo.report.looks import method_looks
from hpo.results.aggregates import (
    DRAWS,
    Scale,
    aggregates,
    block_counts,
    common_blocks,
    interquartile_interval,
    interquartile_mean,
    probability,
)
from hpo.results.bounds import Bounds
from hpo.results.compare import compare, compare_many
from tests.simulated import simulated_study


def one(values: list[float]) -> float:
    return float(interquartile_mean(np.array(values), np.ones((1, len(values))))[0])


# -- interquartile means ------------------------------------------------------------------------------------------


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    assert one([100, 1, 2, 3, 4, 5, 6, -50]) == 3.5  # of 1 .. 6 without 1 and 6
    assert one([1, 2, 6]) == 3  # a quarter of three runs is none
    assert one([-math.inf, 2, 3, 4]) == 2.5
    assert one([-math.inf, -math.inf, 3, 4]) == -math.inf


def test_repeated_runs_count_as_scipys_trimmed_mean_counts_them() -> None:
    rng = np.random.default_rng(3)
    scores, counts = rng.normal(size=11), rng.integers(0, 4, (40, 11))
    expected = [stats.trim_mean(np.repeat(scores, row), 0.25) for row in counts]
    assert interquartile_mean(scores, counts.astype(float)) == pytest.approx(expected)


def test_seeds_are_drawn_within_tasks_and_tasks_from_six_on() -> None:
    few = block_counts(np.repeat(np.arange(5), [2, 3, 4, 1, 5]), seed=1)
    assert few.shape == (DRAWS, 15)
    assert (np.add.reduceat(few, [0, 2, 5, 9, 10], axis=1) == [2, 3, 4, 1, 5]).all()
    many = block_counts(np.repeat(np.arange(6), 3), seed=1)
    by_task = np.add.reduceat(many, range(0, 18, 3), axis=1)
    assert (by_task % 3 == 0).all()
    assert (by_task.sum(axis=1) == 18).all()
    assert (by_task == 0).any()
    assert (block_counts(np.repeat(np.arange(6), 3), seed=1) == many).all()


def test_of_three_runs_the_interval_is_students() -> None:
    # Nothing is trimmed, and the corrected deviation of the bootstrap's mean is the standard error.
    values = np.array([[0.80, 0.5], [0.84, 0.6], [0.85, 0.7]])
    found = aggregates({"t": values}, ["a", "b"], "max")
    expected = stats.t.interval(0.95, 2, values[:, 0].mean(), stats.sem(values[:, 0]))
    assert found.methods[0].iqm == pytest.approx(values[:, 0].mean())
    assert found.methods[0].ci95 == pytest.approx(expected, rel=0.02)


def test_the_interval_stays_within_the_bounds_of_the_metric() -> None:
    values = {"t": np.array([[0.99], [1.0], [0.93], [1.0]])}
    assert aggregates(values, ["a"], "max").methods[0].ci95[1] > 1
    low, high = aggregates(values, ["a"], "max", Bounds(0.0, 1.0)).methods[0].ci95
    assert 0 < low < 0.995 < high <= 1


@pytest.mark.parametrize(("tasks", "seeds", "least"), [(1, 5, 0.92), (3, 5, 0.92), (8, 3, 0.92)])
def test_intervals_cover_the_interquartile_mean(tasks: int, seeds: int, least: float) -> None:
    rng = np.random.default_rng([tasks, seeds])
    spread = 1.0 if tasks >= 6 else 0.0  # from six tasks on, the tasks are a sample
    task_of = np.repeat(np.arange(tasks), seeds)
    counts, covered = block_counts(task_of, seed=0), 0
    for _ in range(300):
        values = rng.normal(0, spread, (tasks, 1)) + rng.normal(0, 1, (tasks, seeds))
        low, high = interquartile_interval(values.ravel(), task_of, counts)
        covered += low <= 0 <= high
    assert covered / 300 >= least


# -- improvement, profiles, scales --------------------------------------------------------------------------------


def test_the_probability_of_improvement_is_mann_and_whitneys() -> None:
    assert probability(np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0])) == (1 + 0.5 + 1 + 1 + 1) / 6
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 6, 9).astype(float), rng.integers(0, 6, 7).astype(float)
    assert probability(a, b) == pytest.approx(stats.mannwhitneyu(a, b).statistic / 63)
    assert probability(np.array([-math.inf, 1.0]), np.array([-math.inf])) == 0.75


def test_improvement_and_profile_of_two_tasks_by_hand() -> None:
    # Scores: task s runs from 0 (the median of random) to 1; task t likewise.
    values = {"s": np.array([[0.5, 0.9], [0.5, 0.7]]), "t": np.array([[10.0, 30.0], [10.0, 0.0]])}
    found = aggregates(values, ["random", "a"], "max")
    assert found.scales == {"s": Scale(0.5, 0.9), "t": Scale(10.0, 30.0)}
    assert [m.iqm for m in found.methods] == pytest.approx([0.0, 0.75])  # of -0.5, 0.5, 1 and 1 the middle two
    improvement = found.improvements[0]
    assert (improvement.a, improvement.b, improvement.probability) == ("random", "a", 0.25)  # 0 on s, 1/2 on t
    expected = stats.binomtest(1, 4).proportion_ci(0.95, "wilson")
    assert improvement.ci95 == pytest.approx((expected.low, expected.high))
    assert found.thresholds == pytest.approx((-0.5, 0.0, 0.5, 1.0))
    assert [p.share for p in found.profiles] == [(1.0, 0.0, 0.0, 0.0), (0.75, 0.75, 0.5, 0.0)]
    assert found.resampled == "seeds"


def test_without_random_search_the_worst_median_is_zero_and_flat_tasks_are_left_out() -> None:
    values = {
        "s": np.array([[0.5, 0.9], [0.5, 0.7]]), "flat": np.full((2, 2), 0.3), "empty": np.empty((0, 2)),
        "best at zero": np.array([[-math.inf, 0.1], [-math.inf, 0.2]]), "t": np.array([[2.0, 1.0], [3.0, 1.0]]),
    }  # fmt: skip
    found = aggregates(values, ["a", "b"], "max")
    assert found.tasks == ("s", "t")
    assert found.left_out == ("flat", "empty", "best at zero")
    assert found.scales == {"s": Scale(0.5, 0.9), "t": Scale(1.0, 3.0)}


def test_losses_are_shown_in_their_own_unit() -> None:
    finals = {"a": [0.2, 0.3, 0.25, 0.2], "b": [0.5, 0.6, 0.4, 0.7]}
    found = compare(simulated_study(finals, metric="val_loss", mode="min")).aggregates
    assert [m.iqm for m in found.methods] == pytest.approx([0.225, 0.55])
    assert all(0 <= m.ci95[0] <= m.iqm <= m.ci95[1] for m in found.methods)
    assert found.improvements[0].probability == 1.0
    assert found.thresholds[0] == 0.7
    assert found.thresholds[-1] == 0.2
    assert found.profiles[0].share[0] == 1.0


def test_blocks_are_the_seeds_that_every_method_completed() -> None:
    finals = {"a": [0.2, math.nan, 0.4], "b": [0.5, 0.6, 0.7], "c": [0.1, 0.1, 0.1]}
    partial = [("b", 2), *(("c", seed) for seed in range(3))]
    labels, blocks = common_blocks(compare(simulated_study(finals, partial=partial)).runs, "max")
    assert labels == ["a", "b"]
    assert blocks["simulated"].tolist() == [[0.2, 0.5], [-math.inf, 0.6]]


@pytest.mark.parametrize("finals", [{"a": [0.2], "b": [0.5]}, {"a": [0.2, 0.3]}])
def test_one_block_has_no_aggregates_and_one_method_has_no_improvement(finals: dict[str, list[float]]) -> None:
    found = compare(simulated_study(finals))
    assert (found.aggregates is None) == (len(finals["a"]) == 1)
    assert [len(table.rows) for table in aggregate_tables(found)] == ([] if found.aggregates is None else [1])
    assert aggregate_section(found, palette.looks(list(finals))).slug == "aggregates"


# -- shown --------------------------------------------------------------------------------------------------------


def test_several_tasks_are_aggregated_in_every_format() -> None:
    rng = np.random.default_rng(7)
    studies = [
        simulated_study(
            {
                m: (0.6 + 0.05 * i + 0.02 * t + rng.normal(0, 0.01, 3)).tolist()
                for i, m in enumerate(("random", "asha"))
            },
            name=f"task{t}",
        )
        for t in range(7)
    ]
    found = compare_many(studies)
    assert found.aggregates.resampled == "tasks"
    assert found.aggregates.blocks == 21
    assert found.aggregates.improvements[0].ci95 == pytest.approx(
        tuple(stats.binomtest(0, 7).proportion_ci(0.95, "wilson"))
    )
    again = compare_many(studies)
    assert again.aggregates == found.aggregates
    shown = found.to_json()["aggregates"]
    assert shown["methods"][0]["method"] == "random"
    assert set(shown["scales"]["task0"]) == {"zero", "one"}
    for format in ("table", "markdown", "latex", "html"):
        text = render_comparison(found, format)
        for title in ("Interquartile means over 21 runs", "Normalized scores by task", "Probability of improvement"):
            assert title in text
        assert "it holds for tasks like these" in " ".join(text.split())
    assert "iqm,iqm_ci95_low,iqm_ci95_high" in render_comparison(found, "csv")
    section = aggregate_section(found, palette.looks(["random", "asha"]))
    assert any(
        "profiles-profile-asha" in picture.svg for part in section.parts for picture in getattr(part, "figures", ())
    )


def test_a_method_without_a_value_in_its_middle_half_has_no_interquartile_mean() -> None:
    found = compare(simulated_study({"a": [math.nan, math.nan, 0.4], "b": [0.5, 0.6, 0.7]}))
    assert [m.iqm for m in found.aggregates.methods] == [None, pytest.approx(0.6)]
    assert found.to_json()["aggregates"]["methods"][0]["ci95"] is None
    aggregate_section(found, palette.looks(["a", "b"]))


def test_of_twenty_methods_the_best_six_are_named_and_no_band_is_drawn() -> None:
    found = compare(simulated_study({f"m{i}": [0.5 + i / 50, 0.51 + i / 50, 0.52 + i / 50] for i in range(20)}))
    drawn = profiles(found.aggregates, method_looks(found), "accuracy")
    axes, labels = drawn.axes[0], [text.get_text() for text in drawn.legends[0].get_texts()]
    assert sorted(labels) == sorted(["14 others", *(f"m{i}" for i in range(14, 20))])
    assert len(axes.lines) == 20
    assert not axes.collections


def test_a_collapsed_run_does_not_squeeze_the_profiles() -> None:
    finals = {"a": [0.9, 0.91, 0.92, 0.9, 0.1], "b": [0.93, 0.94, 0.95, 0.92, 0.9]}
    found = compare(simulated_study(finals))
    low, high = profiles(found.aggregates, palette.looks(["a", "b"]), "accuracy").axes[0].get_xlim()
    assert low == pytest.approx(0.92 - 2 * 0.03)
    assert high == 0.95
