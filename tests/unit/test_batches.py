"""What one slot gets at a time: several assignments only where epochs are short and other slots have enough to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from without_ray import dispatching, train

from hpo.live.assignments import MOST_AT_A_TIME
from hpo.live.dispatch import Dispatch
from hpo.study.study import Study
from hpo.worker.training import Report

STUDY = """
study: batches
trainable: curves
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: 60, max_epochs: 2}}
methods: [random]
parallelism: {parallelism}
store: {store}
"""


def dispatch(folder: Path, parallelism: int = 30) -> Dispatch:
    path = folder / "batches.yaml"
    path.write_text(STUDY.format(store=folder / "store", parallelism=parallelism))
    study = Study.load(str(path))
    return dispatching(study, ahead=0)


@pytest.mark.parametrize(
    ("pace", "count"), [(None, 1), (2.0, 1), (0.51, 1), (0.5, 2), (0.25, 4), (0.0, MOST_AT_A_TIME)]
)
def test_a_batch_is_expected_to_take_the_seconds_that_are_asked_for(
    tmp_path: Path, pace: float | None, count: int
) -> None:
    playing = dispatch(tmp_path)
    playing.effort.pace = pace  # trials of two epochs: a batch of two seconds
    assert len(playing.batch(2.0, others=0)) == count
    playing.finish(complete=False)


def test_the_most_urgent_demands_are_left_for_other_free_slots(tmp_path: Path) -> None:
    playing = dispatch(tmp_path, parallelism=4)
    playing.effort.pace = 0.0
    urgent = [demand.key.id for demand in playing.arena.demands()]
    first = playing.batch(2.0, others=2)
    assert [given.trial for given in first] == [urgent[0], urgent[3]]
    assert [given.trial for given in playing.batch(2.0, others=1)] == [urgent[1]]
    assert [given.trial for given in playing.batch(2.0, others=0)] == [urgent[2]]
    assert playing.batch(2.0, others=0) == []
    for given in list(playing.live.values()):
        train(playing, given)
    assert len(playing.batch(2.0, others=0)) > 1
    playing.finish(complete=False)


def test_what_could_be_under_way_is_counted_up_to_a_limit_and_exams_count_when_the_runs_are_over(
    tmp_path: Path,
) -> None:
    playing = dispatch(tmp_path, parallelism=4)
    assert [playing.wants(most) for most in (0, 3, 4, 100)] == [0, 3, 4, 4]
    given = playing.next()
    assert given is not None
    assert [playing.wants(most) for most in (0, 1, 100)] == [0, 1, 4]
    playing.withdraw(given)
    while not playing.arena.done:
        given = playing.next()
        assert given is not None
        train(playing, given)
    assert playing.wants(100) == 1  # the winner's exam
    exam = playing.next()
    assert exam is not None
    assert playing.wants(100) == 1
    playing.report(exam, Report(test={"test_accuracy": 0.5}, done=True), "here:1")
    assert playing.wants(100) == 0
    playing.finish(complete=False)
