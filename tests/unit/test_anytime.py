"""Anytime curves, areas, targets and the time alone, against hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.results import anytime
from tests.simulated import simulated_study

finite = st.floats(-10, 10)


def charges(values: list[float], run: str = "a/0") -> pa.Table:
    return pa.Table.from_pylist(
        [{"run": run, "order": 2 * i, "trial": f"t{i}", "number": i, "epoch": 1, "at": 1.0, "value": v}
         for i, v in enumerate(values)][::-1]
    )  # fmt: skip


NO_EPOCHS = pa.table({"trial": pa.array([], pa.string()), "epoch": pa.array([], pa.int64())})


def test_a_run_follows_its_clock_not_the_order_of_the_rows() -> None:
    run = anytime.played(charges([0.1, 0.3, 0.2, 0.5]), NO_EPOCHS, "max")["a/0"]
    assert run.value.tolist() == [0.1, 0.3, 0.2, 0.5]
    assert run.best.tolist() == [0.1, 0.3, 0.3, 0.5]
    assert anytime.corners(run.charged, run.best) == ((1, 0.1), (2, 0.3), (4, 0.5))
    assert np.isnan(run.seconds).all()


def test_values_that_are_not_finite_never_become_incumbents() -> None:
    run = anytime.played(charges([math.nan, math.inf, 0.2, math.nan]), NO_EPOCHS, "min")["a/0"]
    assert anytime.corners(run.charged, run.best) == ((3, 0.2), (4, 0.2))
    assert run.incumbent == 2
    nothing = anytime.played(charges([math.nan]), NO_EPOCHS, "max")["a/0"]
    assert nothing.incumbent is None
    assert anytime.corners(nothing.charged, nothing.best) == ()
    assert anytime.area(nothing, 5) is None


@given(st.lists(finite, min_size=1, max_size=40), st.sampled_from(["max", "min"]))
def test_the_curve_only_improves_and_ends_at_the_incumbent(values: list[float], mode: str) -> None:
    run = anytime.played(charges(values), NO_EPOCHS, mode)["a/0"]
    best = (max if mode == "max" else min)(values)
    curve = anytime.corners(run.charged, run.best)
    assert curve[-1] == (len(values), best)
    assert run.incumbent == values.index(best)
    ordered = [v for _, v in curve]
    assert ordered == sorted(ordered, reverse=mode == "min")
    assert anytime.at(curve, run.charged.astype(float)).tolist() == run.best.tolist()


@given(st.lists(finite, min_size=1, max_size=20), st.integers(0, 10))
def test_the_area_is_the_mean_height_and_a_finished_run_keeps_its_last_value(values: list[float], more: int) -> None:
    run = anytime.played(charges(values), NO_EPOCHS, "max")["a/0"]
    by_hand = [max(values[: i + 1]) for i in range(len(values))] + [max(values)] * more
    assert anytime.area(run, len(values) + more) == pytest.approx(np.mean(by_hand))


def test_the_area_of_folds_reaches_to_the_end_of_the_budget_not_beyond() -> None:
    run = anytime.played(charges([0.1, 0.3]), NO_EPOCHS, "max", 5)["a/0"]
    assert anytime.area(run, 20) == pytest.approx(np.mean([0.1, 0.3, 0.3, 0.3]))


def test_epochs_to_a_target_in_both_modes() -> None:
    assert anytime.epochs_to(((2, 0.1), (5, 0.4), (9, 0.4)), 0.4, "max") == 5
    assert anytime.epochs_to(((2, 0.1), (5, 0.4)), 0.5, "max") is None
    assert anytime.epochs_to(((2, 0.4), (5, 0.1)), 0.1, "min") == 5


def test_seconds_are_those_of_the_first_attempt() -> None:
    epochs = pa.Table.from_pylist([
        {"trial": "t1", "epoch": 1, "attempt": 1, "seconds": 9.0}, {"trial": "t0", "epoch": 1, "attempt": 0, "seconds": 2.0},
        {"trial": "t1", "epoch": 1, "attempt": 0, "seconds": 3.0}, {"trial": "t1", "epoch": 2, "attempt": 0, "seconds": 7.0},
    ])  # fmt: skip
    run = anytime.played(charges([0.1, 0.2, 0.3]), epochs, "max")["a/0"]
    assert run.seconds[:2].tolist() == [2.0, 3.0]
    assert math.isnan(run.seconds[2])


def test_time_alone_by_hand() -> None:
    # Trials 0 and 1 run side by side; trial 0 continues on its worker, trial 2 takes the worker that trial 1 left.
    trial, seconds = np.array([0, 1, 0, 2]), np.array([3.0, 1.0, 2.0, 5.0])
    assert anytime.ends_alone(trial, seconds, 1).tolist() == [3, 4, 6, 11]
    assert anytime.ends_alone(trial, seconds, 2).tolist() == [3, 1, 5, 6]
    assert anytime.ends_alone(np.array([0, 0]), np.array([math.nan, 4.0]), 1).tolist() == [4, 8]
    assert anytime.ends_alone(np.array([], int), np.array([]), 3).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 9)), min_size=1, max_size=40), st.integers(1, 6))
def test_time_alone_lies_between_its_bounds(rows: list[tuple[int, float]], workers: int) -> None:
    trial, seconds = np.array([t for t, _ in rows]), np.array([s for _, s in rows])
    end = anytime.ends_alone(trial, seconds, workers).max()
    longest = max(seconds[trial == t].sum() for t in set(trial.tolist()))
    assert max(longest, seconds.sum() / workers) - 1e-9 <= end <= seconds.sum() + 1e-9


def test_bands_begin_where_the_last_curve_begins() -> None:
    mean, low, high = anytime.band([((1, 0.2), (3, 0.4)), ((2, 0.4), (3, 0.4))], np.array([1.0, 2.0, 3.0, 9.0]))
    assert math.isnan(mean[0])
    assert mean[1:].tolist() == pytest.approx([0.3, 0.4, 0.4])
    assert low[1] < 0.3 < high[1]
    assert low[2] == high[2] == 0.4
    assert np.isnan(anytime.band([], np.array([1.0]))[0]).all()


def test_a_run_of_the_simulated_study_takes_its_epochs_seconds() -> None:
    data = simulated_study({"a": [0.9]})
    run = anytime.played(data.charges, data.epochs, "max")["a/0"]
    assert run.seconds.tolist() == [1, 1, 2, 2]
    ends = anytime.ends_alone(run.trial, run.seconds, 2)
    assert ends.tolist() == [1, 2, 2, 4]  # the second trial starts at once on the second worker
    assert anytime.over_time(run, ends, "max") == ((1, 0.5), (2, pytest.approx(0.8)), (4, 0.9))
