"""What a study costs beyond its budget: epochs that are trained again, and the room that its checkpoints take."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from without_ray import dispatching, train

from hpo import store
from hpo.errors import StudyFailed
from hpo.live.dispatch import Dispatch
from hpo.store import delivery
from hpo.study.study import Study
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.training import Training

STUDY = """
study: costs
trainable: curves
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: 40, max_epochs: 8}}
methods: {methods}
parallelism: 4
checkpoints_gb: {gigabytes}
store: {store}
"""


def dispatch(folder: Path, gigabytes: float = 1.0, methods: str = "[{asha: {eta: 2}}]") -> Dispatch:
    path = folder / "costs.yaml"
    path.write_text(STUDY.format(store=folder / "store", gigabytes=gigabytes, methods=methods))
    study = Study.load(str(path))
    return dispatching(study, ahead=0)


@pytest.mark.parametrize("kept", [True, False])
def test_epochs_are_wasted_where_they_are_trained_again_and_not_where_a_checkpoint_has_them(
    tmp_path: Path, kept: bool
) -> None:
    """Workers whose assignments were made before the last epochs came in report these once more."""
    playing, repeated = dispatch(tmp_path), 0
    while not playing.arena.done:
        given = playing.next()
        assert given is not None
        if not kept:
            Checkpoints(given.checkpoints).delete([given.trial])
        repeated += given.known
        records = train(playing, replace(given, known=0))
        assert [row["epoch"] for row in records] == list(range(1, given.stop + 1))
        assert sum(bool(row.get("recovered")) for row in records) == (given.known if kept else 0)
    assert repeated > 0
    playing.finish(complete=False)
    data = store.read(str(tmp_path / "store"))
    (run,) = data.runs.to_pylist()
    assert run["wasted_epochs"] == (0 if kept else repeated)
    assert run["charged_epochs"] == 40
    assert sum(row["attempt"] > 0 for row in data.epochs.to_pylist()) == run["wasted_epochs"]
    assert store.verify(str(tmp_path / "store")) == []


def test_a_report_is_on_disk_as_a_whole_when_it_has_been_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one write: its epochs, and the charges that they lead to."""
    monkeypatch.setattr(delivery, "BATCH_SECONDS", 3600.0)
    playing = dispatch(tmp_path, methods="[random]")
    given = playing.next()
    assert given is not None
    writes = []
    with monkeypatch.context() as counting:
        counting.setattr(os, "write", lambda file, lines, write=os.write: writes.append(1) or write(file, lines))
        playing.report(given, Training(given).step(), "here:1")
    assert len(writes) == 1
    (spool,) = (tmp_path / "store" / "costs" / "spool").glob("*.jsonl")
    rows = [json.loads(line) for line in spool.read_text().splitlines()]
    assert [row["epoch"] for table, row in rows if table == "epochs"] == list(range(1, 9))
    assert len([row for table, row in rows if table == "charges"]) == playing.arena.runs[0].ledger.committed > 0
    playing.finish(complete=False)


def test_statuses_are_counted_as_trials_change_them(tmp_path: Path) -> None:
    playing = dispatch(tmp_path, methods="[random, {asha: {eta: 2}}]")
    while not playing.arena.done:
        given = playing.next()
        assert given is not None
        train(playing, given)
        for run in playing.arena.runs:
            assert +run.states == Counter(trial.status for trial in run.trials)
    playing.finish(complete=False)


@pytest.mark.timeout(120)
def test_the_checkpoints_of_a_study_take_no_more_than_it_allows(tmp_path: Path) -> None:
    plenty, little = tmp_path / "plenty", tmp_path / "little"
    sizes = {}
    for folder, gigabytes in ((plenty, 1.0), (little, 0.00003)):
        folder.mkdir()
        playing = dispatch(folder, gigabytes)
        for _ in range(12):
            given = playing.next()
            assert given is not None
            train(playing, given)
        playing.finish(complete=False)
        sizes[folder] = [kept.size for kept in Checkpoints(str(folder / "checkpoints")).kept()]
    assert sum(sizes[plenty]) > 30_000
    assert 0 < sum(sizes[little]) <= 30_000


def test_a_study_is_not_finished_while_its_last_decision_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that thinks in a thread may end its run just after its decisions were last collected: exams are due then."""
    playing = dispatch(tmp_path, methods="[bayesian]")
    while not playing.arena.done:
        if (given := playing.next()) is None:
            playing.think(1.0)
            continue
        with monkeypatch.context() as late:
            late.setattr(playing._thinking, "collect", lambda: None)
            train(playing, given)
            wait_until(lambda: not playing.live and (playing.arena.done or all(f.done() for f in thinking(playing))))
            if playing.arena.done:
                assert not playing.finished
    assert not playing.finished
    exam = playing.next()
    assert exam is not None
    assert exam.exam
    playing.finish(complete=False)


def thinking(playing: Dispatch) -> list[Future]:
    return [future for _, future in playing._thinking._under_way.values()]


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def test_a_study_that_stops_early_by_a_metric_that_nobody_reports_fails_in_a_sentence(tmp_path: Path) -> None:
    playing = dispatch(tmp_path)
    given = playing.next()
    assert given is not None
    stopping = {"patience": 2, "metric": "val_los", "mode": "min"}
    report = Training(replace(given, task={**given.task, "early_stopping": stopping})).step()
    with pytest.raises(
        StudyFailed, match=r"early_stopping\.metric must be .* but got 'val_los'; did you mean 'val_loss'"
    ):
        playing.report(given, report, "here:1")
    playing.finish(complete=False)


def test_a_signal_while_a_methods_thread_starts_leaves_no_thread_that_keeps_the_process(tmp_path, monkeypatch):
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("method"):
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dispatch(tmp_path, methods="[bayesian]")
    left = {thread for thread in threading.enumerate() if thread.name.startswith("method")} - before
    for thread in left:
        thread.join(30)
    assert not any(thread.is_alive() for thread in left)
