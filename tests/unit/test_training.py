"""A trial in training: segments, checkpoints that any process can resume, early stopping, kinds of failures."""

from __future__ import annotations

import pytest

from hpo.study.early_stopping import EarlyStopping
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.training import Assignment, Training

TRIAL = "0123456789abcdef"


def assignment(folder, stop, known=0, task=None, **changes):
    task = {
        "trainable": "curves",
        "data": {},
        "model": {},
        "fixed": {"optimizer": "sgd"},
        "early_stopping": None,
        **(task or {}),
    }
    values = {"config": {"learning_rate": 0.01}, "seed": 1, "max_epochs": 8}
    return Assignment(trial=TRIAL, task=task, stop=stop, known=known, checkpoints=str(folder), **{**values, **changes})


def finish(training):
    records, report = [], training.step()
    while not report.done:
        records += report.records
        report = training.step()
    return [*records, *report.records], report


def values(records):
    return [(r["epoch"], r["metrics"]["val_accuracy"]) for r in records]


def test_segments_trained_by_different_processes_make_one_curve(tmp_path):
    whole, _ = finish(Training(assignment(tmp_path / "a", 8)))
    first, _ = finish(Training(assignment(tmp_path / "b", 3)))
    assert Checkpoints(str(tmp_path / "b")).trials() == {TRIAL: 3}
    second, _ = finish(Training(assignment(tmp_path / "b", 8, known=3)))
    assert values(first) + values(second) == values(whole)


def test_epochs_that_only_the_checkpoint_has_are_reported_and_not_trained_again(tmp_path):
    finish(Training(assignment(tmp_path, 5)))
    records, _ = finish(Training(assignment(tmp_path, 6, known=2)))
    assert [r["epoch"] for r in records] == [3, 4, 5, 6]


def test_a_process_goes_on_with_its_live_trainable_where_that_stands_at_the_right_epoch(tmp_path):
    first = Training(assignment(tmp_path, 3))
    finish(first)
    Checkpoints(str(tmp_path)).delete([TRIAL])
    records, _ = finish(Training(assignment(tmp_path, 6, known=3), live=first))
    assert [r["epoch"] for r in records] == [4, 5, 6]


def test_a_torn_checkpoint_only_costs_epochs_trained_again(tmp_path):
    whole, _ = finish(Training(assignment(tmp_path / "a", 8)))
    finish(Training(assignment(tmp_path / "b", 4)))
    file = next((tmp_path / "b").glob("*.tar"))
    file.write_bytes(file.read_bytes()[:100])
    records, _ = finish(Training(assignment(tmp_path / "b", 8, known=4)))
    assert values(records) == values(whole)


def test_a_trial_trained_to_the_end_leaves_no_checkpoint(tmp_path):
    finish(Training(assignment(tmp_path, 8)))
    assert Checkpoints(str(tmp_path)).trials() == {}


def test_an_exam_trains_to_its_epoch_and_tests_there(tmp_path):
    records, report = finish(Training(assignment(tmp_path, 4, exam=True, resumable=False)))
    assert len(records) == 4
    assert report.test["test_accuracy"] > 0


def test_early_stopping_ends_the_curve_and_marks_its_last_epoch(tmp_path):
    stopping = {"patience": 2, "metric": "val_accuracy", "mode": "min"}
    records, report = finish(Training(assignment(tmp_path, 8, task={"early_stopping": stopping})))
    assert report.done
    assert records[-1]["ended"]
    assert len(records) < 8


@pytest.mark.parametrize(
    ("patience", "values", "ended"), [(2, [3, 2, 2, 2], True), (3, [3, 2, 2, 2], False), (1, [3, 2, 1], False)]
)
def test_patience_counts_epochs_without_improvement(patience, values, ended):
    rule = EarlyStopping(patience, "val_loss", "min")
    assert rule.ended([{"val_loss": float(v)} for v in values]) is ended


class Raises:
    """A trainable that raises the exception named in its configuration."""

    def __init__(self, config, *, task, seed, max_epochs):
        self.config = config

    def train_epoch(self):
        kind = self.config["raises"]
        raise type(kind, (MemoryError if kind == "OutOfMemory" else ValueError,), {})("so it is")


@pytest.mark.parametrize(
    ("raises", "kind"),
    [
        ("InvalidConfig", "invalid"),
        ("Diverged", "diverged"),
        ("OutOfMemory", "memory"),
        ("BadData", "data"),
        ("BadWeights", "weights"),
        ("Other", "error"),
    ],
)
def test_the_exception_decides_the_kind_of_failure(tmp_path, raises, kind):
    def make(trainable, arguments):
        return Raises(arguments.pop("config"), **arguments)

    report = Training(assignment(tmp_path, 3, config={"raises": raises}), make=make).step()
    assert report.done
    assert (report.failure["kind"], report.failure["epoch"]) == (kind, 0)
    assert "so it is" in report.failure["reason"]
