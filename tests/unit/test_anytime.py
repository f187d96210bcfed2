"""Anytime curves, areas, targets and the time alone, against hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.game.contract import SPACE, Landscape
from hpo.game.contract import play as play_method
from hpo.methods.protocol import Setting
from hpo.results import anytime
from hpo.store import rows as builders
from hpo.study.values import Method
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


def halving() -> dict[str, np.ndarray]:
    """Successive halving of 4 trials to 1, 2 and 4 epochs (eta 2) on 2 virtual workers, one tick an epoch.

    Rung 1: trials 0 to 3. Rung 2: trials 0 and 1 resume when all four have ended. Rung 4: trial 0 resumes when both have.
    """
    return {
        "trial": np.array([0, 1, 2, 3, 0, 1, 0, 0]),
        "epoch": np.array([1, 1, 1, 1, 2, 2, 3, 4]),
        "at": np.array([1.0, 1, 2, 2, 3, 3, 4, 5]),
        "seen": np.array([0.0, 0, 1, 2, 4, 4, 6, 6]),
        "seconds": np.array([1.0, 5, 1, 1, 1, 1, 1, 1]),
    }


def ends(run: dict[str, np.ndarray], workers: int, *, old: bool = False) -> list[float]:
    seen = np.full(len(run["trial"]), math.nan) if old else run["seen"]
    after = anytime.decided_after(seen, np.arange(len(seen)), run["trial"], run["epoch"], run["at"])
    return anytime.ends_alone(run["trial"], run["seconds"], workers, after).tolist()


def test_a_synchronous_rung_waits_for_its_slowest_trial_by_hand() -> None:
    # Worker A: trial 0 until 1, trial 2 until 2 (decided after trial 0). Worker B: trial 1 until 5. Trial 3 was decided
    # after trial 1 ended, at 5: it ends at 6. Rung 2 begins when all four are done, at 6: both end at 7. Then trial 0 alone.
    assert ends(halving(), 2) == [1, 5, 2, 6, 7, 7, 8, 9]
    # Without the rule, trial 0 went on to 4 epochs before trial 1 had trained its first.
    run = halving()
    assert anytime.ends_alone(run["trial"], run["seconds"], 2).tolist()[4:] != ends(run, 2)[4:]
    assert ends(run, 1) == [1, 6, 7, 8, 9, 10, 11, 12]


def test_an_old_store_tells_from_its_virtual_clock_when_a_paused_trial_was_resumed() -> None:
    # Trials 2 and 3 are new and start as soon as a worker is free; trials 0 and 1 paused for a tick, and wait for all four.
    assert ends(halving(), 2, old=True)[:6] == [1, 5, 2, 3, 6, 6]


def test_ashas_promotion_waits_only_for_what_had_passed_when_it_was_decided_by_hand() -> None:
    # ASHA (eta 2, rungs 1 and 3) on 2 workers. Events: 0 ends, 1 ends; then trial 1 is promoted (the best of 2) while
    # trial 2, handed out after event 0, trains for long. The promotion waits for events 0 and 1, not for trial 2.
    run = {
        "trial": np.array([0, 1, 2, 1, 1, 3]),
        "epoch": np.array([1, 1, 1, 2, 3, 1]),
        "at": np.array([1.0, 1, 2, 2, 3, 3]),
        "seen": np.array([0.0, 0, 1, 2, 2, 3]),
        "seconds": np.array([2.0, 1, 9, 1, 1, 1]),
    }
    # Trial 0 until 2, trial 1 until 1; trial 2 was handed out after event 0, at 2: until 11, on the worker that became
    # free last. Trial 1 goes on after events 0 and 1, at 2: until 3 and 4. Trial 3 was handed out after event 2: 11 to 12.
    assert ends(run, 2) == [2, 1, 11, 3, 4, 12]


def test_a_run_under_way_counts_failures_among_the_events_that_a_decision_saw() -> None:
    # Order 1 was a failure without a charge: what was handed out after two events was handed out after one charge.
    after = anytime.decided_after(
        np.array([0.0, 2.0]), np.array([0, 2]), np.array([0, 2]), np.array([1, 1]), np.ones(2)
    )
    assert after.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["random", "grid", "asha", "sha", "hyperband", "tpe", "median-stopping"])
def test_nothing_begins_before_what_decided_it_has_ended(name: str) -> None:
    setting = Setting(SPACE, budget=60, max_epochs=9, parallelism=4)
    game = play_method(Method(name, name), setting, Landscape(failing=0.2))
    rows = [builders.charge_row("s", charge) for charge in game.charges]
    run = anytime.played(pa.Table.from_pylist(rows), NO_EPOCHS, "max")[f"{name}/0"]
    seconds = np.random.default_rng(0).gamma(1.0, 1.0, len(run))
    found = anytime.ends_alone(run.trial, seconds, 4, run.after)
    begun = found - seconds
    orders = [charge.order for charge in game.charges]
    for i, charge in enumerate(game.charges):
        passed = [found[j] for j, order in enumerate(orders) if order < charge.seen]
        assert begun[i] >= max(passed, default=0.0) - 1e-9
    assert found.max() >= anytime.ends_alone(run.trial, seconds, 4).max() * 0.8  # it is no faster, but for luck
    oblivious = name in ("random", "grid")
    assert (run.after == 0).all() == oblivious
    assert (run.after <= np.arange(len(run))).all()


def test_a_charge_holds_how_many_events_had_passed_when_its_segment_was_handed_out() -> None:
    """In a full training the first `parallelism` trials depend on nothing, and every other one on all events before it."""
    setting = Setting(SPACE, budget=12, max_epochs=3, parallelism=2)
    game = play_method(Method("tpe", "tpe"), setting, Landscape())
    assert [(c.number, c.epoch, c.seen) for c in game.charges] == [
        (0, 1, 0), (1, 1, 0), (0, 2, 0), (1, 2, 0), (0, 3, 0), (1, 3, 0),
        (2, 1, 5), (3, 1, 6), (2, 2, 5), (3, 2, 6), (2, 3, 5), (3, 3, 6),
    ]  # fmt: skip


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
