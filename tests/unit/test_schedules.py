"""Schedules against their papers' pseudo-code and their peers, worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.methods.protocol import InvalidOption, Schedule, Setting
from hpo.methods.schedules.asha_stopping import AshaStopping
from hpo.methods.schedules.brackets import shape
from hpo.methods.schedules.full import Full
from hpo.methods.schedules.hyperband import AsyncHyperband, Hyperband, table
from hpo.methods.schedules.median_stopping import MedianStopping
from hpo.methods.schedules.patience import Patience
from hpo.methods.schedules.quantile import GrowingQuantile
from hpo.methods.schedules.successive_halving import SuccessiveHalving
from hpo.study.space import Config, Float, SearchSpace
from hpo.study.values import Decision, Segment

SPACE = SearchSpace({"x": Float(0.0, 1000.0)})


class Counting:
    """A searcher that suggests x = 0, 1, 2, ... up to an end."""

    oblivious = True

    def __init__(self, end: int = 10_000) -> None:
        self.given, self.end = 0, end
        self.closed: list[float] = []

    def suggest(self) -> Config | None:
        if self.given == self.end:
            return None
        self.given += 1
        return {"x": float(self.given - 1)}

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """Learns nothing."""

    def fail(self, config: Config) -> None:
        """Learns nothing."""

    def close(self, config: Config) -> None:
        self.closed.append(float(config["x"]))


def setting(max_epochs: int) -> Setting:
    return Setting(SPACE, budget=10_000, max_epochs=max_epochs)


def run_segment(schedule: Schedule, segment: Segment, value: Callable[[int, int], float | None]) -> Decision | None:
    """Trains a segment; returns the decision at its end, or None if the trial failed."""
    decision = Decision.CONTINUE
    for epoch in range(segment.start + 1, segment.stop + 1):
        found = value(segment.trial, epoch)
        if found is None:
            schedule.on_failure(segment.trial, epoch - 1)
            return None
        decision = schedule.on_epoch(segment.trial, epoch, found)
        if decision is not Decision.CONTINUE:
            break
    return decision


def sequence(schedule: Schedule, value: Callable[[int, int], float | None], segments: int) -> list[tuple[int, int]]:
    """Plays with one worker; returns what was trained, as (trial, up to epoch)."""
    seen = []
    for _ in range(segments):
        segment = schedule.next_segment()
        if segment is None:
            break
        seen.append((segment.trial, segment.stop))
        run_segment(schedule, segment, value)
    return seen


# -- Hyperband --------------------------------------------------------------------------------------------------------


def test_hyperband_table_of_the_paper() -> None:
    """Li et al. 2018 (JMLR 18:185), Table 1: the brackets for R = 81, eta = 3, as (n_i, r_i)."""
    assert table(81, 3) == [
        ((81, 1), (27, 3), (9, 9), (3, 27), (1, 81)),
        ((34, 3), (11, 9), (3, 27), (1, 81)),
        ((15, 9), (5, 27), (1, 81)),
        ((8, 27), (2, 81)),
        ((5, 81),),
    ]


def test_hyperband_plays_its_table() -> None:
    """Two whole rounds of R = 9, eta = 3, trial by trial: as many trials at each length as the table says."""
    shapes = table(9, 3)
    assert shapes == [((9, 1), (3, 3), (1, 9)), ((5, 3), (1, 9)), ((3, 9),)]
    one_round = [stop for bracket in shapes for trials, stop in bracket for _ in range(trials)]
    schedule = Hyperband(setting(9), Counting())
    seen = sequence(schedule, lambda trial, epoch: float(trial), 2 * len(one_round))
    assert [stop for _, stop in seen] == one_round * 2
    assert [trial for trial, stop in seen if stop == 3][:3] == [8, 7, 6]


def test_where_the_maximum_is_no_power_of_eta_the_last_rung_is_the_maximum() -> None:
    assert shape(27, 3, 50, 3) == ((27, 1), (9, 5), (3, 16), (1, 50))
    assert table(1, 3) == [((1, 1),)]
    assert table(2, 3) == [((1, 2),)]
    assert table(50, 3, min_epochs=10)[0] == ((3, 16), (1, 50))


def test_failed_trials_do_not_stall_a_rung() -> None:
    """Of nine trials seven fail at once: the two that are left go on, although there is room for three."""
    schedule = SuccessiveHalving(setting(9), Counting(), configurations=9)
    value = lambda trial, epoch: None if trial in range(7) else float(trial)  # noqa: E731
    assert sequence(schedule, value, 12) == [*((t, 1) for t in range(9)), (8, 3), (7, 3), (8, 9)]


def test_a_rung_in_which_all_failed_begins_the_next_round() -> None:
    schedule = SuccessiveHalving(setting(4), Counting(), eta=2)
    assert sequence(schedule, lambda trial, epoch: None if trial < 4 else 1.0, 5) == [(t, 1) for t in range(5)]


def test_workers_that_would_wait_for_a_rung_begin_the_next_bracket() -> None:
    schedule = SuccessiveHalving(setting(4), Counting(), eta=4)
    segments = [schedule.next_segment() for _ in range(5)]
    assert [s.trial for s in segments if s] == [0, 1, 2, 3, 4]
    for trial in range(4):
        schedule.on_epoch(trial, 1, float(trial))
    promoted = schedule.next_segment()
    assert promoted is not None
    assert (promoted.trial, promoted.start, promoted.stop) == (3, 1, 4)


def test_halving_without_new_configurations_trains_the_best_on() -> None:
    searcher = Counting(end=3)
    seen = sequence(SuccessiveHalving(setting(9), searcher, eta=3), lambda trial, epoch: float(trial), 99)
    assert seen == [(0, 1), (1, 1), (2, 1), (2, 3), (1, 3), (0, 3), (2, 9), (1, 9), (0, 9)]
    assert sorted(searcher.closed) == [0.0, 1.0, 2.0]


def test_halving_without_new_configurations_trains_the_longest_trained_on_first() -> None:
    """A whole bracket of nine: then 7 and 6, which trained 3 epochs, go on before 5 .. 0, which trained 1."""
    seen = sequence(SuccessiveHalving(setting(9), Counting(end=9), eta=3), lambda trial, epoch: float(trial), 99)
    assert seen[:13] == [*((t, 1) for t in range(9)), (8, 3), (7, 3), (6, 3), (8, 9)]
    assert seen[13:] == [(trial, 9) for trial in (7, 6, 5, 4, 3, 2, 1, 0)]


def test_a_bracket_waits_for_a_searcher_that_waits_for_results() -> None:
    """The searcher has nothing while its first two suggestions are under way; the bracket still takes all nine."""
    searcher = Counting(end=2)
    schedule = SuccessiveHalving(setting(9), searcher, eta=3)
    first = [schedule.next_segment() for _ in range(2)]
    assert schedule.next_segment() is None
    searcher.end = 9
    for segment in first:
        assert segment is not None
        run_segment(schedule, segment, lambda trial, epoch: float(trial))
    seen = sequence(schedule, lambda trial, epoch: float(trial), 11)
    assert seen == [*((t, 1) for t in range(2, 9)), (8, 3), (7, 3), (6, 3), (8, 9)]


def test_of_equal_values_in_a_rung_the_earlier_trials_go_on() -> None:
    """Nine trials have one value: 0, 1 and 2 go on, and then 0."""
    schedule = SuccessiveHalving(setting(9), Counting(), eta=3, configurations=9)
    seen = sequence(schedule, lambda trial, epoch: 0.5, 13)
    assert seen == [*((t, 1) for t in range(9)), (0, 3), (1, 3), (2, 3), (0, 9)]


def test_of_equal_values_the_earlier_trials_go_on_whichever_arrives_first() -> None:
    schedule = SuccessiveHalving(setting(3), Counting(), eta=3)
    started = [schedule.next_segment() for _ in range(3)]
    for segment in reversed(started):
        assert segment is not None
        schedule.on_epoch(segment.trial, 1, 0.5)
    promoted = schedule.next_segment()
    assert promoted is not None
    assert (promoted.trial, promoted.stop) == (0, 3)


def test_of_equal_values_the_earlier_trials_train_on_when_nothing_new_is_left() -> None:
    """Three trials have one value: 0 wins the bracket, then 1 trains on before 2, and none beyond R."""
    searcher = Counting(end=3)
    seen = sequence(SuccessiveHalving(setting(3), searcher, eta=3), lambda trial, epoch: 0.5, 99)
    assert seen == [(0, 1), (1, 1), (2, 1), (0, 3), (1, 3), (2, 3)]


def test_async_hyperband_gives_all_brackets_the_same_budget() -> None:
    schedule = AsyncHyperband(setting(9), Counting(), eta=3)
    given = {1: 0, 3: 0, 9: 0}
    rung_of: dict[int, int] = {}
    for trial, stop in sequence(schedule, lambda trial, epoch: float(trial * 7 % 11), 600):
        first = rung_of.setdefault(trial, stop)
        given[first] += stop - {1: 0, 3: 1, 9: 3}[stop] if stop != first else stop
    assert max(given.values()) - min(given.values()) <= 18


def test_async_hyperband_begins_with_the_bracket_that_stops_earliest() -> None:
    """R = 9, eta = 3: all brackets have been given nothing yet; then 1 epoch leaves s = 1 the first of the others."""
    schedule = AsyncHyperband(setting(9), Counting(), eta=3)
    stops = [segment.stop for _ in range(4) if (segment := schedule.next_segment()) is not None]
    assert stops == [1, 3, 9, 1]


def test_async_hyperband_lets_passed_over_trials_wait_while_another_is_under_way() -> None:
    schedule = AsyncHyperband(setting(9), Counting(end=2), eta=3)
    for _ in range(2):
        schedule.next_segment()
    schedule.on_epoch(0, 1, 0.5)
    assert schedule.next_segment() is None
    for epoch in (1, 2, 3):
        schedule.on_epoch(1, epoch, 0.5)
    segment = schedule.next_segment()
    assert segment is not None
    assert (segment.trial, segment.start, segment.stop) == (0, 1, 3)


# -- stopping ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80), st.sampled_from([0.5, 2 / 3, 0.75, 0.9]))
def test_growing_quantile_is_numpys(values: Sequence[float], q: float) -> None:
    quantile = GrowingQuantile(q)
    for i, value in enumerate(values):
        quantile.add(value)
        assert quantile.value == pytest.approx(np.quantile(values[: i + 1], q), rel=1e-9, abs=1e-6)


def test_asha_stopping_decides_as_ray_tune_does() -> None:
    """Against ray.tune's own bracket, result by result, over 200 trials that interleave."""
    from ray.tune.schedulers.async_hyperband import _Bracket

    class Stub:
        def __init__(self, number: int) -> None:
            self.trial_id = str(number)

    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 27))
    ours, rays = AshaStopping(setting(27), Counting(), eta=3), _Bracket(1, 27, 3, 0)
    workers = [ours.next_segment() for _ in range(5)]
    stopped = 0
    for _ in range(1500):
        segment = workers.pop(0)
        assert segment is not None
        for epoch in range(segment.start + 1, segment.stop + 1):
            value = float(values[segment.trial % 200, epoch - 1])
            decision = ours.on_epoch(segment.trial, epoch, value)
            if epoch < 27:
                assert (rays.on_result(Stub(segment.trial), epoch, value) == "STOP") == (decision is Decision.STOP)
                stopped += decision is Decision.STOP
        workers.append(ours.next_segment())
    assert stopped > 300


def test_asha_stopping_goes_on_with_the_same_trial_first() -> None:
    """R = 4, eta = 2: trial 0 passes as the first; 1 is worse than all before it and stops; 2 is better and goes on."""
    value = lambda trial, epoch: [0.5, 0.4, 0.6][trial]  # noqa: E731
    seen = sequence(AshaStopping(setting(4), Counting(end=3), eta=2), value, 99)
    assert seen == [(0, 1), (0, 2), (0, 4), (1, 1), (2, 1), (2, 2), (2, 4)]


def test_median_stopping_by_hand() -> None:
    """Golovin et al. 2017: curves 1 1 1, 2 2 2, 3 3 3 are trained out; the medians of their averages are 2 throughout.

    Trial 3 has 1.9 at epoch 1: below 2, stopped. Trial 4 has 2.5, 1, 1: its best so far stays 2.5, never below.
    By then the averages of epoch 1 are 1 2 3 1.9 2.5: the median is 2, and trial 5 with exactly 2 goes on.
    """
    curves = {0: [1, 1, 1], 1: [2, 2, 2], 2: [3, 3, 3], 3: [1.9], 4: [2.5, 1, 1], 5: [2, 2, 2]}
    schedule = MedianStopping(setting(3), Counting(end=6), min_trials=3)
    seen = sequence(schedule, lambda trial, epoch: float(curves[trial][epoch - 1]), 99)
    assert [max(stop for t, stop in seen if t == trial) for trial in range(6)] == [3, 3, 3, 1, 3, 3]


def test_median_stopping_waits_for_min_epochs_and_min_trials() -> None:
    value = lambda trial, epoch: -float(trial)  # noqa: E731
    seen = sequence(MedianStopping(setting(4), Counting(end=4), min_epochs=2, min_trials=2), value, 99)
    assert seen == [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 2), (3, 2)]


def test_patience_counts_from_the_last_improvement() -> None:
    """Patience 2: 1 2 2 2 stops after epoch 4; 1 2 3 .. never does; segments reach as far as no result can shorten."""
    curves = {0: [1, 2, 2, 2, 9, 9], 1: [1, 2, 3, 4, 5, 6]}
    value = lambda trial, epoch: float(curves[trial][epoch - 1])  # noqa: E731
    seen = sequence(Patience(setting(6), Counting(end=2), patience=2), value, 99)
    assert seen == [(0, 3), (0, 4), (1, 3), (1, 5), (1, 6)]


def test_full_is_as_oblivious_as_its_searcher() -> None:
    searcher = Counting()
    assert Full(setting(3), searcher).oblivious
    searcher.oblivious = False
    assert not Full(setting(3), searcher).oblivious
    assert sequence(Full(setting(3), searcher), lambda trial, epoch: 0.0, 2) == [(0, 3), (1, 3)]


@pytest.mark.parametrize(
    ("schedule", "options", "message"),
    [
        (Full, {"max_epochs": 10}, "1 <= max_epochs <= 9 (the study's budget.max_epochs), but got 10"),
        (Hyperband, {"eta": 1}, "eta must be a whole number with eta >= 2, but got 1"),
        (Hyperband, {"min_epochs": 10}, "1 <= min_epochs <= 9 (max_epochs), but got 10"),
        (SuccessiveHalving, {"configurations": 0}, "configurations >= 1, but got 0"),
        (AsyncHyperband, {"eta": "3"}, "eta >= 2, but got '3'"),
        (AshaStopping, {"s": -1}, "s >= 0, but got -1"),
        (MedianStopping, {"min_trials": 0}, "min_trials >= 1, but got 0"),
        (Patience, {"patience": 0}, "patience >= 1, but got 0"),
        (Patience, {"min_delta": -0.1}, "min_delta must be a number with 0 <= min_delta"),
    ],
)
def test_options_that_cannot_hold(schedule: Callable[..., Schedule], options: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        schedule(setting(9), Counting(), **options)
    assert message in str(caught.value)
