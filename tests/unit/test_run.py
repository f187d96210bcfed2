"""One run, event by event, under a schedule that is written down: natural ends, failures, cut segments, both clocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from hpo.game.arena import Arena
from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.game.script import Script
from hpo.study.values import Charge, Decision, RunKey, Segment, TrialKey


class Written:
    """A schedule that hands out the segments it was given and writes down what it is told."""

    oblivious = expensive = False

    def __init__(
        self, segments: Sequence[tuple[int, int, int]], max_epochs: int = 9, stop_at: tuple[int, int] | None = None
    ) -> None:
        self.left = [Segment(trial, {"x": trial}, start, stop) for trial, start, stop in segments]
        self.max_epochs, self.stop_at = max_epochs, stop_at
        self.told: list[tuple[int, int, float]] = []
        self.failed: list[tuple[int, int]] = []

    def next_segment(self) -> Segment | None:
        return self.left.pop(0) if self.left else None

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        self.told.append((trial, epoch, value))
        return Decision.STOP if (trial, epoch) == self.stop_at else Decision.CONTINUE

    def on_failure(self, trial: int, epoch: int) -> None:
        self.failed.append((trial, epoch))


def run_of(schedule: Written, budget: int = 100, workers: int = 1, cost: Callable[[int], float] = lambda x: 1.0,
           script=None, **rules) -> Run:  # fmt: skip
    key = lambda config, r: TrialKey("task", config, 0, r)  # noqa: E731
    told = Rules(budget, workers, key=key, cost=lambda config: cost(int(config["x"])), **rules)
    return Run(RunKey("written", 0), schedule, told, script)


def curve(curves: Curves, run: Run, trial: int, values: Sequence[float], ended: bool = False) -> str:
    """Fills in a trial's curve; returns the trial's id."""
    name = run.rules.key({"x": trial}, run.schedule.max_epochs).id
    for epoch, value in enumerate(values, start=1):
        curves.add(name, epoch, value, ended and epoch == len(values))
    return name


def charged(charges: Sequence[Charge]) -> list[tuple[int, int]]:
    return [(charge.number, charge.epoch) for charge in charges]


# -- curves that end by themselves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "values", "best"), [("max", (0.3, 0.9, 0.5), 0.9), ("min", (0.3, 0.1, 0.5), -0.1)])
def test_after_a_natural_end_the_schedule_is_told_the_best_value_at_no_charge(mode, values, best) -> None:
    """Training restores its best weights when it ends, so every later epoch of the segment would give the best value."""
    schedule = Written([(0, 0, 6)])
    run, curves = run_of(schedule, budget=10, mode=mode), Curves()
    curve(curves, run, 0, values, ended=True)
    charges = run.play(curves)
    sign = 1 if mode == "max" else -1
    assert schedule.told == [(0, e, sign * v) for e, v in enumerate(values, 1)] + [(0, e, best) for e in (4, 5, 6)]
    assert charged(charges) == [(0, 1), (0, 2), (0, 3)]
    assert (run.ledger.committed, run.ledger.reserved) == (3, 0)
    assert [(t.status, t.epochs, t.best_epoch) for t in run.trials] == [("completed", 3, 2)]


def test_a_later_segment_of_an_ended_trial_costs_nothing_and_keeps_no_worker() -> None:
    schedule = Written([(0, 0, 3), (0, 3, 5), (1, 0, 2)])
    run, curves = run_of(schedule, budget=5), Curves()
    curve(curves, run, 0, (0.3, 0.9, 0.5), ended=True)
    curve(curves, run, 1, (0.1, 0.2))
    assert charged(run.play(curves)) == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
    assert schedule.told[3:5] == [(0, 4, 0.9), (0, 5, 0.9)]
    assert run.done
    assert [t.status for t in run.trials] == ["completed", "paused"]


@pytest.mark.parametrize(("stop_at", "last"), [((0, 3), 3), ((0, 4), 4), ((0, 6), 6)])
def test_a_trial_that_the_schedule_stops_hears_no_more_of_its_ended_curve(stop_at, last) -> None:
    schedule = Written([(0, 0, 6)], stop_at=stop_at)
    run, curves = run_of(schedule), Curves()
    curve(curves, run, 0, (0.3, 0.9, 0.5), ended=True)
    run.play(curves)
    assert [epoch for _, epoch, _ in schedule.told] == list(range(1, last + 1))


def test_nothing_is_demanded_or_kept_beyond_a_natural_end() -> None:
    """Another run has seen the curve's end; this one has still to be charged for it, but nothing is left to train."""
    run = run_of(Written([(0, 0, 6), (1, 0, 6)]), workers=1)
    arena = Arena([run], Curves())
    trial = curve(arena.curves, run, 0, (0.3, 0.9), ended=True)
    arena.play()
    assert [demand.key.config["x"] for demand in arena.demands()] == [1]
    assert not arena.resumable(trial)
    behind = run_of(Written([(0, 0, 6)]), workers=1)
    behind.play(Curves())
    assert list(behind.demands(arena.curves)) == []


# -- failures ---------------------------------------------------------------------------------------------------------


def test_trials_that_diverge_in_their_first_epoch_are_charged_for_and_do_not_end_the_run() -> None:
    """Only trials that never trained an epoch cost nothing; 150 that each trained one use the whole budget."""
    run, curves = run_of(Written([(i, 0, 2) for i in range(200)]), budget=150), Curves()
    for trial in range(150):
        curve(curves, run, trial, (math.nan,))
    assert len(run.play(curves)) == 150
    outcome = run.outcome()
    assert (outcome.status, outcome.committed, outcome.reason) == ("complete", 150, "")


def test_many_trials_that_fail_at_once_after_an_epoch_do_not_end_the_run() -> None:
    """120 workers train one epoch each, then all 120 fail one after the other; the budget is spent on what follows."""
    schedule = Written([(i, 0, 2) for i in range(400)])
    run, curves = run_of(schedule, budget=240, workers=120), Curves()
    for trial in range(400):
        name = curve(curves, run, trial, (0.5,))
        curves.fail(name, "out of memory")
    assert len(run.play(curves)) == 240
    assert run.outcome().reason == ""
    assert schedule.failed == [(i, 1) for i in range(120)]


@pytest.mark.parametrize(("trains", "failed", "committed"), [(99, 198, 2), (100, 100, 0)])
def test_a_hundred_trials_in_a_row_that_fail_before_their_first_epoch_end_the_run(trains, failed, committed) -> None:
    """Of 199 trials one trains: as the hundredth it leaves 99 failures before it and 99 after it; one later is too late."""
    run, curves = run_of(Written([(i, 0, 2) for i in range(199)]), budget=10), Curves()
    for trial in range(199):
        if trial == trains:
            curve(curves, run, trial, (0.5, 0.6))
        else:
            curves.fail(curve(curves, run, trial, ()), f"no layer {trial}")
    run.play(curves)
    outcome = run.outcome()
    assert (outcome.status, outcome.failed_trials, outcome.committed) == ("complete", failed, committed)
    early = "100 trials in a row failed before their first epoch; the last: no layer 99"
    assert outcome.reason == (
        early if committed == 0 else "the method has no configuration left to train; 8 epochs were not needed"
    )


# -- decisions --------------------------------------------------------------------------------------------------------


def test_a_trial_that_is_stopped_within_its_segment_frees_its_worker_and_its_epochs() -> None:
    schedule = Written([(0, 0, 6), (1, 0, 2)], stop_at=(0, 2))
    run, curves = run_of(schedule, budget=6), Curves()
    curve(curves, run, 0, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    curve(curves, run, 1, (0.5, 0.6))
    assert charged(run.play(curves)) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [t.status for t in run.trials] == ["stopped", "paused"]
    assert (run.ledger.committed, run.ledger.reserved) == (4, 0)
    assert run.outcome().reason == "the method has no configuration left to train; 2 epochs were not needed"


def test_epochs_that_are_known_already_are_not_demanded_again() -> None:
    """Trial 1 is known to its end, but must wait for its virtual time: only trial 0 is still to train."""
    run, curves = run_of(Written([(0, 0, 2), (1, 0, 2)]), workers=2), Curves()
    curve(curves, run, 1, (0.1, 0.2))
    assert run.play(curves) == []
    assert [(d.key.config["x"], d.stop) for d in run.demands(curves)] == [(0, 2)]


# -- the ledger cuts segments -----------------------------------------------------------------------------------------


def test_a_segment_that_the_budget_cuts_goes_on_when_another_trial_leaves_epochs_over() -> None:
    """Budget 8, segments of 6: trial 0 is granted 6 epochs, trial 1 only 2, twice as fast.

    At time 1 trial 1 has used its 2 and is put aside. At time 3 trial 0 ends by itself and 3 epochs are refunded:
    trial 1 goes on where it was, before the schedule is asked for anything new.
    """
    schedule = Written([(0, 0, 6), (1, 0, 6), (2, 0, 6)])
    run, curves = run_of(schedule, budget=8, workers=2, cost=lambda x: 1.0 if x == 0 else 0.5), Curves()
    curve(curves, run, 0, (0.1, 0.2, 0.3), ended=True)
    curve(curves, run, 1, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    charges = run.play(curves)
    assert [(c.number, c.epoch, c.at) for c in charges] == [
        (1, 1, 0.5), (0, 1, 1.0), (1, 2, 1.0), (0, 2, 2.0), (0, 3, 3.0), (1, 3, 3.5), (1, 4, 4.0), (1, 5, 4.5),
    ]  # fmt: skip
    assert run.done
    assert run.outcome().reason == ""
    assert [t.status for t in run.trials] == ["completed", "paused"]


def test_a_cut_segment_goes_on_at_once_where_epochs_were_left_over_in_time() -> None:
    """As above, but trial 0 ends after one epoch: 5 are refunded before trial 1 has used its 2, and it never pauses."""
    run, curves = run_of(Written([(0, 0, 6), (1, 0, 6)]), budget=8, workers=2), Curves()
    curve(curves, run, 0, (0.1,), ended=True)
    curve(curves, run, 1, (0.1, 0.2, 0.3))
    assert charged(run.play(curves)) == [(0, 1), (1, 1), (1, 2), (1, 3)]
    assert [t.status for t in run.trials] == ["completed", "running"]
    assert (run.ledger.committed, run.ledger.reserved) == (4, 3)
    assert [(d.key.config["x"], d.stop, d.at) for d in run.demands(curves)] == [(1, 6, 4.0)]


def test_a_cut_segment_is_demanded_only_as_far_as_it_is_granted() -> None:
    run, curves = run_of(Written([(0, 0, 6), (1, 0, 6)]), budget=8, workers=2), Curves()
    run.play(curves)
    assert [(d.key.config["x"], d.stop) for d in run.demands(curves)] == [(0, 6), (1, 2)]


# -- both clocks ------------------------------------------------------------------------------------------------------


def test_of_epochs_that_end_at_the_same_time_that_of_the_earlier_worker_comes_first() -> None:
    run, curves = run_of(Written([(0, 0, 2), (1, 0, 4)]), workers=2, cost=lambda x: (2.0, 1.0)[x]), Curves()
    curve(curves, run, 0, (0.1, 0.2))
    curve(curves, run, 1, (0.1, 0.2, 0.3, 0.4))
    charges = run.play(curves)
    assert [(c.number, c.at) for c in charges] == [(1, 1.0), (0, 2.0), (1, 2.0), (1, 3.0), (0, 4.0), (1, 4.0)]


def test_time_never_goes_back_when_a_later_epoch_arrives_first() -> None:
    """Trial 1 ends at virtual time 3 but arrives first; the worker that trial 0 frees at time 1 starts trial 3 at time 3."""
    schedule = Written([(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1)])
    run, curves = run_of(schedule, workers=2, cost=lambda x: (1.0, 3.0, 1.0, 1.0)[x], clock="arrival"), Curves()
    run.play(curves)
    times = []
    for trial in (1, 0, 3, 2):
        curve(curves, run, trial, (0.5,))
        times += [(c.number, c.at) for c in run.play(curves)]
    assert times == [(1, 3.0), (0, 1.0), (3, 4.0), (2, 4.0)]


def test_what_is_planned_ahead_is_demanded_for_the_time_at_which_its_turn_comes() -> None:
    """Two workers train segments of 4; a planned one's turn comes when those planned before it are shared out to both."""
    schedule = Written([(i, 0, 4) for i in range(9)])
    schedule.oblivious = True
    run, curves = run_of(schedule, workers=2), Curves()
    run.play(curves, ahead=3)
    demands = [(d.key.config["x"], d.at, d.stop) for d in run.demands(curves)]
    assert demands == [(0, 1.0, 4), (1, 1.0, 4), (2, 1.0, 4), (3, 3.0, 4), (4, 5.0, 4)]
    curve(curves, run, 2, (0.1, 0.2, 0.3, 0.4))
    curves.fail(curve(curves, run, 3, ()), "no such layer")
    assert [d.key.config["x"] for d in run.demands(curves)] == [0, 1, 4]


def test_only_trials_that_may_train_on_are_resumable() -> None:
    schedule = Written([(0, 0, 9), (1, 0, 2), (2, 0, 4), (3, 0, 4), (4, 0, 4)], stop_at=(2, 3))
    run, curves = run_of(schedule), Curves()
    values = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    names = [curve(curves, run, trial, values[: 1 if trial == 4 else 9]) for trial in range(5)]
    assert not run.resumable(names[0])
    run.play(curves)
    assert [t.status for t in run.trials] == ["completed", "paused", "stopped", "paused", "running"]
    assert [run.resumable(name) for name in names] == [False, True, False, True, True]
    assert not run.resumable("another run's trial")
    curves.fail(names[4], "out of memory")
    run.play(curves)
    assert run.done
    assert run.trials[4].status == "failed"
    assert not any(run.resumable(name) for name in names)


def test_only_the_virtual_clock_waits_for_one_cell() -> None:
    for clock in ("virtual", "arrival"):
        run, curves = run_of(Written([(0, 0, 2), (1, 0, 2)]), workers=2, clock=clock), Curves()
        first = run.rules.key({"x": 0}, 9).id
        run.play(curves)
        assert run.waiting_for == ((first, 1) if clock == "virtual" else None)
        curve(curves, run, 1, (0.5,))
        assert charged(run.play(curves)) == ([] if clock == "virtual" else [(1, 1)])


def test_of_epochs_that_have_arrived_that_of_the_earlier_worker_comes_first() -> None:
    """Under the arrival clock, even where it ends later in virtual time."""
    run, curves = run_of(Written([(0, 0, 1), (1, 0, 1)]), workers=2, cost=lambda x: 3.0 - x, clock="arrival"), Curves()
    for trial in (1, 0):
        curve(curves, run, trial, (0.5,))
    assert charged(run.play(curves)) == [(0, 1), (1, 1)]


def test_a_stored_arrival_order_is_repeated_with_its_failures() -> None:
    """Trial 3 fails, trial 1 gives an epoch, trial 2 fails, trial 0 gives one; of failures only the curves know the order."""
    segments = [(trial, 0, 1) for trial in range(6)]
    live, curves = Written(segments), Curves()
    run = run_of(live, workers=4, clock="arrival")
    run.play(curves)
    charges: list[Charge] = []
    for trial, value in ((3, None), (1, 0.5), (2, None), (0, 0.6), (5, 0.7), (4, 0.8)):
        if value is None:
            curves.fail(curve(curves, run, trial, ()), "broke")
        else:
            curve(curves, run, trial, (value,))
        charges += run.play(curves)
    assert [(c.order, c.number) for c in charges] == [(1, 1), (3, 0), (4, 5), (5, 4)]
    again = Written(segments)
    assert run_of(again, workers=4, clock="arrival", script=Script.of(charges)).play(curves) == charges
    assert (again.told, again.failed) == (live.told, live.failed)
    assert live.failed == [(3, 0), (2, 0)]
    cut_off = run_of(Written(segments), workers=4, clock="arrival", script=Script.of(charges[:2]))
    assert charged(cut_off.play(curves)) == [(1, 1), (0, 1), (4, 1), (5, 1)], "after the stored order, by arrival"


def test_a_run_that_is_over_waits_for_nothing_and_plays_no_further() -> None:
    run, curves = run_of(Written([(0, 0, 1)])), Curves()
    curve(curves, run, 0, (0.5, 0.6))
    assert len(run.play(curves)) == 1
    assert run.done
    assert run.waiting_for is None
    assert run.play(curves) == []
    assert list(run.demands(curves)) == []


def test_a_segment_that_contradicts_the_trial_is_a_bug_that_shows() -> None:
    run, curves = run_of(Written([(0, 0, 2), (0, 3, 4)])), Curves()
    curve(curves, run, 0, (0.1, 0.2, 0.3, 0.4))
    with pytest.raises(AssertionError, match="trial 0 of written/0 is at epoch 2, not 3"):
        run.play(curves)
