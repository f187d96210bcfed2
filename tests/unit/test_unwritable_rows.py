"""What cannot be written holds nothing up: text that is not UTF-8 is escaped, other rows are set aside and named."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest
from interrupted_study import opened, play, written
from stores import KINDS, epoch, key, open_writer

from hpo import store
from hpo.live.dispatch import Dispatch
from hpo.report import write_html
from hpo.results.compare import compare
from hpo.results.importance import importance_or_none
from hpo.store import schema
from hpo.store.delivery import Delivery
from hpo.store.errors import Unreachable
from hpo.study.values import Failure
from hpo.text import encodable
from hpo.worker.training import Assignment, Report, Training

STRANGE = "cannot read photo-\udcff.png"
ESCAPED = "cannot read photo-\\udcff.png"


def test_text_is_kept_where_utf_8_can_hold_it() -> None:
    assert encodable("naïve 日本 😀") == "naïve 日本 😀"
    assert encodable(STRANGE) == ESCAPED


def test_a_failure_whose_reason_is_not_utf_8_is_stored_with_escapes_everywhere(tmp_path: Path) -> None:
    study = written(tmp_path, "random", failing=0.0)
    dispatch = opened(study)
    given = dispatch.next()
    assert given is not None
    failure = {"epoch": None, "kind": "error", "reason": STRANGE}
    dispatch.report(given, Report(failure=failure, done=True), "host-\udcfe:1")
    assert play(dispatch, random.Random(0))
    dispatch.finish(complete=True)
    assert store.verify(study.store) == []
    data = store.read(study.store)
    assert data.failures["reason"].to_pylist() == [ESCAPED]
    assert ESCAPED in data.trials["reason"].to_pylist()
    path = tmp_path / "report.html"
    write_html(data, compare(data), importance_or_none(data, seed=0), path, command="hpo run")
    assert ESCAPED in path.read_text()
    assert opened(study).finished


def test_a_trial_that_fits_no_table_is_set_aside_and_the_others_are_listed(tmp_path: Path) -> None:
    """Trials are handed over as columns."""
    writer = open_writer(str(tmp_path))
    columns = {name: ["x", "x"] for name in (*schema.columns("trials"), *(f"config_{name}" for name in KINDS))}
    numbers = ("seed", "epochs", "best_epoch", "best_value", "config_learning_rate")
    columns |= {name: [1, 1] for name in numbers} | {"config_augment": [True, True]}
    writer.snapshot({**columns, "number": [0, 1], "config_layers": [3, 10**30]}, [])
    writer.flush()
    assert "a row of trials cannot be stored" in writer.trouble
    assert store.read(str(tmp_path)).trials["number"].to_pylist() == [0]
    writer.close(compact=True)


class Strange:
    """A trainable with file names that are not UTF-8 wherever it may put text."""

    provenance = {"data\udcff": "photos-\udcff"}  # noqa: RUF012

    def __init__(self, config: Any, *, task: Any, seed: int, max_epochs: int) -> None:
        self.epoch = 0

    def train_epoch(self) -> dict[str, float]:
        self.epoch += 1
        if self.epoch == 2:
            raise FileNotFoundError(STRANGE)
        return {"val_accuracy": 0.5, "loss\udcff": 1.0}


def test_a_worker_reports_text_that_every_reader_can_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("trainables.load", lambda name: Strange)
    task = {"trainable": "strange", "data": {}, "model": {}, "fixed": {}, "early_stopping": None}
    training = Training(Assignment("t", {}, task, 0, 4, stop=4, known=0, checkpoints=str(tmp_path)))
    report = training.step()
    assert report.provenance == {"data\\udcff": "photos-\\udcff"}
    assert report.records[0]["metrics"] == {"val_accuracy": 0.5, "loss\\udcff": 1.0}
    assert report.failure is not None
    assert report.failure["reason"] == f"FileNotFoundError: {ESCAPED}"


def test_names_of_classes_and_metrics_are_escaped(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path))
    trial = epoch(writer, 1, 1, **{"f1\udcff": 0.5})
    writer.exam({"trial": trial, "exam": "winner", "seed": 0, "epoch": 1, "test_f1\udcff": 0.5, "classes": ["a\udcff"]})
    writer.close(compact=True)
    data = store.read(str(tmp_path))
    assert data.epochs["f1\\udcff"].to_pylist() == [0.5]
    assert json.loads(data.exams["classes"].to_pylist()[0]) == ["a\\udcff"]


def test_a_spool_with_such_a_row_is_delivered_by_the_next_writer(tmp_path: Path) -> None:
    """As a driver of an earlier version left it, which every restart failed on."""
    open_writer(str(tmp_path)).close(compact=False)
    spool = tmp_path / "s" / "spool"
    spool.mkdir(exist_ok=True)
    row = {"study": "s", "trial": "a", "epoch": 0, "kind": "error", "reason": STRANGE}
    (spool / "000001-abcdef-000000.jsonl").write_text(json.dumps(["failures", row]) + "\n")
    open_writer(str(tmp_path)).close(compact=False)
    assert store.read(str(tmp_path)).failures["reason"].to_pylist() == [ESCAPED]


@pytest.mark.parametrize("wrong", [{"epoch": 10**30}, {"epoch": "two"}, {"seconds": [1]}, {"layers": {}}])
def test_a_row_that_fits_no_table_is_set_aside_and_named_and_the_others_are_stored(
    tmp_path: Path, wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer(str(tmp_path))
    epoch(writer, 1, 1)
    row = {"study": "s", "trial": "bad", "seed": 0, "epoch": 1, "seconds": 0.5, "attempt": 0, **wrong}
    if "layers" in wrong:
        row = {"config_layers": {}, **{name: value for name, value in row.items() if name != "layers"}}
    with caplog.at_level(logging.WARNING):
        writer._delivery.hand("epochs", row)
        epoch(writer, 2, 1)
        writer.flush()
    assert "a row of epochs cannot be stored and is kept in" in writer.trouble
    assert "a row of epochs cannot be stored" in caplog.text
    writer.close(compact=True)
    (kept,) = (tmp_path / "s" / "spool").glob("*.refused")
    table, refused, why = json.loads(kept.read_text())
    assert (table, refused["trial"]) == ("epochs", "bad")
    assert "must fit its columns" in why
    assert sorted(store.read(str(tmp_path)).epochs["trial"].to_pylist()) == sorted([key(1).id, key(2).id])
    again = open_writer(str(tmp_path))
    again.failure(Failure("x", 0, "broke"))
    again.close(compact=False)


def test_a_row_of_an_unknown_table_is_set_aside(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path))
    writer._delivery.hand("inventions", {"a": 1})
    writer.flush()
    assert "a row of inventions cannot be stored" in writer.trouble
    writer.close(compact=False)


def test_a_snapshot_is_written_without_the_rows_that_do_not_fit() -> None:
    rows = [{"run": "a/0", "trials": 1}, {"run": "b/0", "trials": "many"}]
    found, refused = schema.fitting("runs", rows, {})
    assert found["run"].to_pylist() == ["a/0"]
    assert [row["run"] for row, _ in refused] == ["b/0"]


# -- the end ------------------------------------------------------------------------------------------------------


def closed(dispatch: Dispatch, study: Any) -> None:
    """The next driver is let in, and finds everything that had arrived."""
    assert not dispatch.writer._delivery._thread.is_alive()
    assert not dispatch._tidying._thread.is_alive()
    again = opened(study)
    again.finish(complete=False)
    assert store.verify(study.store) == []


def test_a_method_that_breaks_while_it_thinks_leaves_neither_lease_nor_spool(tmp_path: Path) -> None:
    study = written(tmp_path, "random, tpe", failing=0.0, clock="arrival")
    dispatch = opened(study, slow=["random", "tpe"])
    play(dispatch, random.Random(0), reports=5)
    while dispatch.waiting:  # a run that moved meanwhile thinks once more
        dispatch.think(10)

    def breaks(*arguments: Any) -> Any:
        raise ZeroDivisionError("the method broke")

    for run in dispatch.arena.runs:
        run.schedule.on_epoch = breaks
    given = dispatch.next()
    assert given is not None
    training = Training(given)
    while given.trial in dispatch.live:
        dispatch.report(given, training.step(), "here:1")
    with pytest.raises(ZeroDivisionError):
        dispatch.finish(complete=True)
    closed(dispatch, study)
    assert list((Path(study.store) / "drawn" / "spool").glob("*.jsonl")) == []


@pytest.mark.parametrize("part", ["_standings.write", "writer.note", "_tracking.close", "_tidying.finish"])
def test_whatever_fails_at_the_end_the_store_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    study = written(tmp_path, "random")
    dispatch = opened(study)
    play(dispatch, random.Random(0), reports=5)
    owner, name = part.split(".")
    whole = getattr(getattr(dispatch, owner), name)

    def breaks(*arguments: Any, **named: Any) -> None:
        if owner == "_tidying":
            whole(*arguments, **named)
        raise OSError("the disk broke")

    monkeypatch.setattr(getattr(dispatch, owner), name, breaks)
    with pytest.raises(OSError, match="the disk broke"):
        dispatch.finish(complete=True)
    closed(dispatch, study)


def test_a_store_that_does_not_answer_at_the_end_keeps_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = written(tmp_path, "{asha: {eta: 2}}")
    dispatch = opened(study)
    play(dispatch, random.Random(0), reports=5)
    asked = []

    def silent(self: Delivery) -> None:
        asked.append(1)
        raise Unreachable("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "flush", silent)
        with pytest.raises(Unreachable):
            dispatch.finish(complete=True)
    assert asked == [1], "one minute of waiting is enough"
    assert list((Path(study.store) / "drawn" / "checkpoints").rglob("*"))
    closed(dispatch, study)
