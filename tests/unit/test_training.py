"""A trial in training: segments, checkpoints that any process can resume, early stopping, kinds of failures."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.worker.checkpoints import Checkpoints
from hpo.worker.training import Assignment, Training
from trainables.curves import Curves
from trainables.early_stopping import EarlyStopping
from trainables.errors import BadStudy

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


def altered(file, name, content):
    """Replaces a member of a checkpoint's archive, in which nothing then tells that it was altered; without content,
    removes it.
    """
    with tarfile.open(file) as tar:
        members = {info.name: tar.extractfile(info).read() for info in tar}
    members[name] = content
    with tarfile.open(file, "w") as tar:
        for each, data in members.items():
            if data is not None:
                info = tarfile.TarInfo(each)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


DAMAGE = [
    ("curves.json", b"no json"),
    ("curves.json", b"{}"),
    ("curves.json", b""),
    ("curves.json", None),
    ("curve.json", b"[]"),
    ("curve.json", b"null"),
    ("curve.json", b'[{"epoch": 7}]'),
    ("curve.json", b"\xff\xfe"),
    ("curve.json", None),
]


@pytest.mark.parametrize(("name", "content"), DAMAGE)
def test_a_damaged_checkpoint_only_costs_epochs_trained_again(tmp_path, caplog, name, content):
    whole, _ = finish(Training(assignment(tmp_path / "a", 8)))
    finish(Training(assignment(tmp_path / "b", 4)))
    altered(next((tmp_path / "b").glob("*.tar")), name, content)
    records, report = finish(Training(assignment(tmp_path / "b", 8, known=4)))
    assert report.failure is None
    assert values(records) == values(whole)
    assert not any(row.get("recovered") for row in records)
    assert len([r for r in caplog.records if "checkpoint of trial" in r.message]) == 1


def test_an_older_checkpoint_takes_the_place_of_a_damaged_one(tmp_path):
    whole, _ = finish(Training(assignment(tmp_path / "a", 8)))
    finish(Training(assignment(tmp_path / "b", 3)))
    older = next((tmp_path / "b").glob("*.tar"))
    content = older.read_bytes()
    finish(Training(assignment(tmp_path / "b", 5, known=3)))
    altered(next((tmp_path / "b").glob("*.tar")), "curves.json", b"no json")
    older.write_bytes(content)
    records, report = finish(Training(assignment(tmp_path / "b", 8, known=2)))
    assert report.failure is None
    assert [(row["epoch"], row.get("recovered", False)) for row in records][:2] == [(3, True), (4, False)]
    assert values(records) == values(whole)[2:]


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@settings(deadline=None, max_examples=60)
def test_no_damage_to_a_checkpoint_fails_a_trial_or_changes_it(tmp_path_factory, place, bit, cut):
    folder = tmp_path_factory.mktemp("damaged")
    whole, _ = finish(Training(assignment(folder / "whole", 8)))
    finish(Training(assignment(folder, 4)))
    file = next(folder.glob("*.tar"))
    content = bytearray(file.read_bytes())
    at = int(place * len(content))
    content[at] ^= 1 << bit
    file.write_bytes(content[:at] if cut else content)
    records, report = finish(Training(assignment(folder, 8, known=4)))
    assert report.failure is None
    assert values(records) in (values(whole), values(whole)[4:]), "trained again, or the damage hit no content"


class CannotLoad(Curves):
    """A trainable whose `load` is wrong, with or without a wrong epoch after it."""

    def load(self, directory):
        self.epoch = 77
        raise RuntimeError(self.config["load"])

    def train_epoch(self):
        if self.config.get("breaks") == self.epoch:
            raise ValueError("so it is")
        return super().train_epoch()


def own(trainable, arguments):
    return CannotLoad(arguments.pop("config"), **arguments)


def test_a_trainable_that_cannot_load_begins_anew_and_what_it_raises_then_counts(tmp_path):
    config = {"load": "wrong keys"}
    finish(Training(assignment(tmp_path, 3, config=config), make=own))
    records, report = finish(Training(assignment(tmp_path, 6, known=3, config=config), make=own))
    assert (report.failure, [row["epoch"] for row in records]) == (None, [1, 2, 3, 4, 5, 6])
    failing = {**config, "breaks": 4}
    finish(Training(assignment(tmp_path / "b", 3, config=failing), make=own))
    records, report = finish(Training(assignment(tmp_path / "b", 6, known=3, config=failing), make=own))
    assert (report.failure["kind"], report.failure["epoch"], len(records)) == ("error", 4, 4)


@pytest.mark.parametrize(
    ("words", "kind"), [("CUDA out of memory", "memory"), ("CUDA error: unspecified launch failure", "process")]
)
def test_a_machine_without_room_or_sense_says_nothing_about_the_checkpoint(tmp_path, words, kind):
    config = {"load": words}
    finish(Training(assignment(tmp_path, 3, config=config), make=own))
    records, report = finish(Training(assignment(tmp_path, 6, known=3, config=config), make=own))
    assert (report.failure["kind"], records) == (kind, [])
    assert Checkpoints(str(tmp_path)).trials() == {TRIAL: 3}


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


def test_a_metric_that_is_missing_ends_the_study_at_the_first_epoch_that_lacks_it(tmp_path):
    stopping = {"patience": 2, "metric": "val_acuracy", "mode": "max"}
    records, report = finish(Training(assignment(tmp_path, 8, task={"early_stopping": stopping})))
    assert (records, report.failure["kind"], report.failure["epoch"]) == ([], "study", 1)
    assert report.failure["reason"] == (
        "early_stopping.metric must be a metric that the trainable reports (accuracy, loss, val_accuracy, val_loss), "
        "but got 'val_acuracy'; did you mean 'val_accuracy'?"
    )
    rule = EarlyStopping(2, "val_loss", "min")
    with pytest.raises(BadStudy, match=r"reports \(loss\), but got 'val_loss'"):
        rule.ended([{"val_loss": 1.0}, {"loss": 1.0}])


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


@pytest.mark.parametrize("found", [None, {}, 0.9])
def test_a_test_without_metrics_fails_its_exam(tmp_path, monkeypatch, found):
    monkeypatch.setattr(Curves, "test", lambda self: found)
    _, report = finish(Training(assignment(tmp_path, 3, exam=True, resumable=False, kept_as=TRIAL)))
    assert report.test is None
    assert report.failure["reason"] == f"TypeError: test must return metrics by name, but it returned {found!r}"
