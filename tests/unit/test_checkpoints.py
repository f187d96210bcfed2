"""Checkpoints on bad days: places that are full or silent, a limit that holds, and nothing left in the end."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.live.tidying import Tidying
from hpo.worker import checkpoints
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.training import Assignment, Training

NAMES = [f"{i:016x}" for i in range(5)]


def place(folder, size=1000):
    """Saves a checkpoint for each of NAMES, the first the oldest."""
    kept = Checkpoints(str(folder))
    for age, name in enumerate(NAMES):
        kept.save(name, 3, lambda folder: (folder / "state").write_bytes(bytes(size)))
        os.utime(folder / f"{name}-000003.tar", (age, age))
    return kept


def test_beyond_the_limit_the_oldest_are_deleted_but_none_of_a_trial_in_training(tmp_path):
    kept = place(tmp_path)
    each = kept.kept()[0].size
    kept.trim(3 * each, needed=[NAMES[0]])
    assert sorted(kept.trials()) == [NAMES[0], NAMES[3], NAMES[4]]
    kept.trim(3 * each, needed=[])
    assert sorted(kept.trials()) == [NAMES[0], NAMES[3], NAMES[4]]
    kept.trim(3 * each - 1, needed=[])
    assert sorted(kept.trials()) == [NAMES[3], NAMES[4]]


@pytest.mark.parametrize(("at_most", "found"), [(2, None), (3, 3), (4, 3), (None, 3)])
def test_a_checkpoint_at_the_last_epoch_wanted_is_used_and_none_beyond_it(tmp_path, at_most, found):
    kept = place(tmp_path)
    with kept.opened(NAMES[0], at_most=at_most) as opened:
        assert next((epoch for epoch, _ in opened), None) == found


def test_a_segment_that_ends_where_its_checkpoint_is_trains_nothing_again(tmp_path):
    """A driver that was killed before it stored them asks for the same epochs once more."""
    first, _ = finish(Training(assignment(tmp_path)))
    records, _ = finish(Training(assignment(tmp_path)))
    assert [row["recovered"] for row in records] == [True] * 4
    assert [row["metrics"] for row in records] == [row["metrics"] for row in first]


@pytest.mark.timeout(120)
def test_dropped_trials_lose_their_checkpoints_and_a_finished_study_leaves_none(tmp_path):
    kept = place(tmp_path)
    tidying = Tidying(kept, 1e9, list)
    tidying.drop(NAMES[1])
    tidying.finish(everything=False)
    assert sorted(kept.trials()) == [NAMES[0], *NAMES[2:]]
    tidying = Tidying(kept, 1e9, list)
    tidying.finish(everything=True)
    assert not tmp_path.exists()


def assignment(folder, **changes):
    task = {"trainable": "curves", "data": {}, "model": {}, "fixed": {}, "early_stopping": None}
    values = {"config": {"learning_rate": 0.01}, "seed": 1, "max_epochs": 8, "stop": 4, "known": 0}
    return Assignment(trial=NAMES[0], task=task, checkpoints=str(folder), **{**values, **changes})


def finish(training):
    records, report = [], training.step()
    while not report.done:
        records, report = records + report.records, training.step()
    return records + report.records, report


def test_an_unusable_place_fails_no_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PATIENCE_SECONDS", 0.0)
    (tmp_path / "file").write_text("no folder")
    records, report = finish(Training(assignment(tmp_path / "file" / "checkpoints")))
    assert report.failure is None
    assert [row["epoch"] for row in records] == [1, 2, 3, 4]


def test_epochs_read_from_a_checkpoint_are_marked(tmp_path):
    finish(Training(assignment(tmp_path)))
    records, _ = finish(Training(assignment(tmp_path, stop=6)))
    assert [(row["epoch"], row.get("recovered", False)) for row in records] == [
        (1, True), (2, True), (3, True), (4, True), (5, False), (6, False)
    ]  # fmt: skip


def test_an_exam_keeps_the_winners_state(tmp_path):
    given = assignment(tmp_path, exam=True, resumable=False, kept_as=NAMES[2])
    _, report = finish(Training(given))
    assert report.test is not None
    assert Checkpoints(str(tmp_path)).trials() == {NAMES[2]: 4}


# -- a study that is moved away -----------------------------------------------------------------------------------


@pytest.mark.parametrize("exam", [False, True])
@pytest.mark.parametrize("when", ["before it is built", "before its first checkpoint", "before its second checkpoint"])
def test_a_study_that_is_moved_away_is_not_made_anew_by_its_workers(tmp_path, monkeypatch, caplog, exam, when):
    monkeypatch.setattr(checkpoints, "PATIENCE_SECONDS", 0.0)
    study = tmp_path / "store" / "study"
    study.mkdir(parents=True)
    place = study / "winners" / "retrain-0" if exam else study / "checkpoints"
    given = assignment(place, within=str(study), exam=exam, resumable=not exam, kept_as=NAMES[2] if exam else "")
    if when == "before its second checkpoint":
        finish(Training(given))
        given = replace(given, stop=6, known=4)
    training = Training(given)
    if when != "before it is built":
        with training._checkpoints.opened(NAMES[0]) as found:  # a place that was opened while it was there
            list(found)
    study.parent.rename(tmp_path / "moved")
    records, report = finish(training)
    assert report.failure is None
    assert records[-1]["epoch"] == given.stop
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]
    assert f"{study} must stay where it is, but it is gone; move it back" in caplog.text
    (tmp_path / "moved").rename(study.parent)
    finish(Training(given))
    assert Checkpoints(str(place)).trials() == {NAMES[2] if exam else NAMES[0]: given.stop}


def test_no_folder_comes_up_between_a_move_and_a_write(tmp_path, monkeypatch):
    """The study goes at the last moment: after its folder was seen, while the checkpoint is packed."""
    study = tmp_path / "study"
    study.mkdir()
    kept = Checkpoints(str(study / "checkpoints"), str(study))
    made = Path.mkdir

    def mkdir(self, *args, **kwargs):
        made(self, *args, **kwargs)
        if self == study / "checkpoints":
            study.rename(tmp_path / "moved")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OSError, match="must stay where it is, but it is gone"):
        kept.save(NAMES[0], 3, lambda folder: (folder / "state").write_bytes(b"state"))
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]
