"""The queue of segments that wait for a virtual worker: what comes first, what is planned ahead, and how far."""

from __future__ import annotations

import pytest

from hpo.game.segments import SegmentQueue
from hpo.study.space import Config
from hpo.study.values import Decision, Segment, TrialKey


class Whole:
    """A schedule that trains `trials` new configurations for R = 4 epochs each."""

    max_epochs = 4
    expensive = False

    def __init__(self, trials: int = 99, oblivious: bool = True) -> None:
        self.trials, self.oblivious, self.asked = trials, oblivious, 0

    def next_segment(self) -> Segment | None:
        if self.asked == self.trials:
            return None
        self.asked += 1
        return Segment(self.asked - 1, {"x": self.asked - 1}, 0, 4)

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        return Decision.CONTINUE

    def on_failure(self, trial: int, epoch: int) -> None:
        pass


class Keys:
    """Makes keys, and remembers for which configurations it was asked."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, config: Config, max_epochs: int) -> TrialKey:
        self.made.append(int(config["x"]))
        return TrialKey("task", config, 0, max_epochs)


def numbers(queue: SegmentQueue, count: int) -> list[int | None]:
    taken = [queue.take(1) for _ in range(count)]
    return [None if segment is None else segment.trial for segment in taken]


def planned(queue: SegmentQueue, room: int) -> list[tuple[int, int]]:
    return [(segment.trial, segment.stop) for _, segment in queue.planned(room)]


def test_cut_segments_come_first_then_planned_ones_then_what_the_schedule_decides() -> None:
    queue = SegmentQueue(Whole(trials=5), Keys())
    assert numbers(queue, 2) == [0, 1]
    queue.plan(2, room=100)
    queue.put_back(Segment(1, {"x": 1}, 2, 4))
    queue.put_back(Segment(0, {"x": 0}, 3, 4))
    assert numbers(queue, 6) == [1, 0, 2, 3, 4, None]


@pytest.mark.parametrize(("room", "asked"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (100, 3)])
def test_no_more_is_planned_than_was_asked_for_and_than_the_budget_has_left(room: int, asked: int) -> None:
    schedule = Whole()
    queue = SegmentQueue(schedule, Keys())
    queue.plan(3, room)
    assert schedule.asked == asked
    queue.plan(3, room)
    assert schedule.asked == asked, "what is planned already counts"


def test_what_counts_of_a_planned_segment_is_its_epochs_and_not_where_it_ends() -> None:
    """A third party's oblivious schedule may hand out a trial in several segments."""
    schedule = Whole()
    schedule.next_segment = iter(
        [Segment(0, {"x": 0}, 0, 2), Segment(0, {"x": 0}, 2, 4), Segment(1, {"x": 1}, 0, 2)]
    ).__next__
    queue = SegmentQueue(schedule, Keys())
    queue.plan(2, room=6)
    queue.plan(9, room=6)
    assert planned(queue, 5) == [(0, 2), (0, 4), (1, 1)]


def test_a_schedule_that_learns_from_results_is_never_asked_early() -> None:
    schedule = Whole(oblivious=False)
    SegmentQueue(schedule, Keys()).plan(3, room=100)
    assert schedule.asked == 0


def test_planning_ends_with_the_schedules_last_segment() -> None:
    queue = SegmentQueue(Whole(trials=2), Keys())
    queue.plan(9, room=100)
    assert planned(queue, 100) == [(0, 4), (1, 4)]
    assert numbers(queue, 3) == [0, 1, None]


@pytest.mark.parametrize(
    ("room", "shown"), [(0, []), (3, [(0, 3)]), (4, [(0, 4)]), (5, [(0, 4), (1, 1)]), (12, [(0, 4), (1, 4), (2, 4)])]
)
def test_planned_segments_are_shown_as_far_as_the_budget_reaches_and_kept_whole(room, shown) -> None:
    queue = SegmentQueue(Whole(), Keys())
    queue.plan(3, room=12)
    assert planned(queue, room) == shown
    assert [queue.take(1) for _ in range(3)] == [Segment(i, {"x": i}, 0, 4) for i in range(3)]


def test_each_trials_key_is_made_once() -> None:
    """Making a key may cost: it hashes the configuration, and a recorded table looks up its curve."""
    keys = Keys()
    queue = SegmentQueue(Whole(), keys)
    queue.plan(2, room=12)
    for _ in range(3):
        shown = [key for key, _ in queue.planned(12)]
    taken = [segment for _ in range(3) if (segment := queue.take(1)) is not None]
    assert [queue.take_key(segment) for segment in taken][:2] == shown
    assert keys.made == [0, 1, 2]
