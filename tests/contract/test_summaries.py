"""A study's state and its summary, be the store a folder or on S3: as its driver goes, stops, fails, dies and ends."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stores
from interrupted_study import opened, play, written

from hpo import store
from hpo.files import unpack
from hpo.storage.local import LocalPlace
from hpo.storage.place import place
from hpo.store import keeping, layout, lease, notes, signs, summary
from hpo.store.listing import Listing, one
from hpo.store.state import Signs, State, derived

TESTS, RECORDED = Path(__file__).parents[1], Path(__file__).parents[1] / "recorded_stores"
BUDGET = {"epochs": 24, "max_epochs": 4}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=stores.PLACES)
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return stores.uri(request.param, tmp_path, monkeypatch)


@pytest.fixture
def local(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets writers keep their summaries in every round."""
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.0)


def listed(uri: str) -> dict[str, summary.Summary]:
    return {found.study: found for found in Listing(uri).summaries()}


def both(uri: str, study: str) -> State:
    """The state as the list has it, which must be as the tables tell it."""
    kept, read = listed(uri)[study].state, signs.read(place(uri), study)
    assert (kept.word, kept.sentence, kept.command) == (read.word, read.sentence, read.command)
    return kept


def await_word(uri: str, study: str, word: str) -> None:
    until = time.monotonic() + 20
    while listed(uri)[study].state.word != word:
        assert time.monotonic() < until, listed(uri)[study].state
        time.sleep(0.1)


# -- a study from its beginning to its end ------------------------------------------------------------------------


def test_the_word_follows_a_study_from_its_start_to_its_end(uri: str, tmp_path: Path) -> None:
    study = written(tmp_path, "random", failing=0.0).changed(store=uri)
    dispatch = opened(study, environment={"command": "hpo run drawn.yaml"})
    await_word(uri, "drawn", "starting")
    assert not play(dispatch, random.Random(0), reports=4)
    dispatch.writer.flush()
    await_word(uri, "drawn", "running")
    assert both(uri, "drawn").sentence.startswith("process ")
    with dispatch.writer.journal() as journal:
        journal.write("begun", command="hpo run drawn.yaml", owner="Ada", priority=2.0)
        dispatch.finish(complete=False)
        journal.write("interrupted", signal="SIGTERM", charged_epochs=3)
    stopped = both(uri, "drawn")
    assert (stopped.word, stopped.sentence, stopped.command) == ("stopped", "stopped by SIGTERM", "hpo run drawn.yaml")
    found = listed(uri)["drawn"]
    assert (found.owner, found.priority, found.runs, found.runs_complete) == ("Ada", 2.0, 1, 0)
    assert 0 < found.progress < 1
    assert found.best is not None

    dispatch = opened(study)
    assert play(dispatch, random.Random(1))
    dispatch.finish(complete=True)
    assert both(uri, "drawn").word == "complete"
    found, read = listed(uri)["drawn"], one(uri, "drawn")
    assert (found.charged, found.total, found.progress, found.runs_complete) == (24, 24, 1.0, 1)
    data = store.read(uri, "drawn")
    assert found.best is not None
    assert found.best.value == max(data.runs["incumbent_value"].to_pylist())
    assert found.owner == "Ada"
    assert found.trained_epochs == data.epochs.num_rows == read.trained_epochs
    assert (found.charged, found.best) == (read.charged, read.best)
    assert store.verify(uri) == []


def test_a_failed_driver_and_a_study_without_a_result_have_failed(tmp_path: Path) -> None:
    study = written(tmp_path, "random")
    dispatch = opened(study)
    with dispatch.writer.journal() as journal:
        dispatch.finish(complete=False)
        journal.write("failed", reason="the data cannot be used: no such folder")
    assert (both(study.store, "drawn").word, both(study.store, "drawn").sentence) == (
        "failed", "the data cannot be used: no such folder",
    )  # fmt: skip
    lost = written(tmp_path, "random", failing=1.0).changed(store=str(tmp_path / "lost"))
    dispatch = opened(lost)
    assert play(dispatch, random.Random(0))
    dispatch.finish(complete=True)
    state = both(lost.store, "drawn")
    assert (state.word, state.command) == ("failed", None)
    assert "trials failed: " in state.sentence
    found = listed(lost.store)["drawn"]
    assert found.best is None
    assert found.failed_trials == len(set(store.read(lost.store).failures["trial"].to_pylist()))


DRIVER = """
import random, sys
sys.path.insert(0, {tests!r})
from interrupted_study import opened, play
from hpo.store import keeping
from hpo.study.study import Study
keeping.KEEP_SECONDS = 0.0
dispatch = opened(Study.load({study!r}, store={store!r}), environment={{"command": "hpo run drawn.yaml"}})
play(dispatch, random.Random(0), reports=4)
dispatch.writer.flush()
print("played", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def driver(uri: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver in a process of its own, in the middle of a study."""
    written(tmp_path, "random", failing=0.0)
    code = DRIVER.format(tests=str(TESTS), study=str(tmp_path / "drawn.yaml"), store=uri)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TESTS.parent
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "played\n"
    yield process
    process.kill()
    process.communicate()


def test_a_killed_driver_gives_no_sign_of_life_and_the_command_to_go_on(
    uri: str, driver: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await_word(uri, "drawn", "running")
    where, mine = Listing(uri), layout.summary("drawn")
    before = place(uri).read(mine)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (found,) = where.summaries()
    assert found.state == both(uri, "drawn")
    assert found.state.word == "no sign of life"
    assert found.state.command == "hpo run drawn.yaml"
    assert found.state.since == pytest.approx(time.time(), abs=60)
    assert f"process {driver.pid} on " in found.state.sentence
    assert before is not None
    # Seen from another machine, it is alive until it has been silent for long.
    monkeypatch.setattr(lease, "lives", lambda holder: None)
    assert listed(uri)["drawn"].state.word == signs.read(place(uri), "drawn").word == "running"
    monkeypatch.setattr("hpo.store.state.TTL_SECONDS", 0.0)
    time.sleep(1.1)  # S3 tells whole seconds
    assert listed(uri)["drawn"].state.word == signs.read(place(uri), "drawn").word == "no sign of life"
    queued = Listing(uri).summaries({"drawn": time.time()})[0].state  # a job tries again
    assert queued.word == "queued"
    found = Listing(uri).summaries({"another": time.time()})  # of which the store knows nothing yet
    assert [(one.study, one.state.word) for one in found] == [("another", "queued"), ("drawn", "no sign of life")]


# -- clocks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-2400.0, 2400.0])
def test_a_driver_whose_clock_differs_is_alive_while_it_writes(local: str, ahead: float) -> None:
    elsewhere = {
        "host": "far",
        "pid": 1,
        "process": {"system": "another", "started": "1"},
        "since": time.time() + ahead,
    }
    facts = summary.Facts(study="far", runs=1)
    told = Signs(holder=elsewhere, released=False, trained=True, last=time.time() + ahead)
    where, listing = place(local), Listing(local)
    where.replace(layout.head("far"), json.dumps({"schema": 2, "digest": "d", "study": {"study": "far"}}).encode())
    where.replace(layout.summary("far"), summary.to_bytes(facts, told))
    assert [found.state.word for found in listing.summaries()] == ["running"]
    held = {**elsewhere, "renewed": time.time() + ahead, "released": False}
    where.replace(layout.lease("far", 1), json.dumps(held).encode())
    assert signs.read(where, "far").word == "starting"  # its tables have no epoch


def test_a_copy_of_a_study_killed_long_ago_is_not_alive(tmp_path: Path) -> None:
    stores.open_writer(str(tmp_path / "s"))  # of this process, and never closed
    path = tmp_path / "s" / layout.lease("s", 1)
    held = {**json.loads(path.read_text()), "process": None, "renewed": time.time() - 86_400}
    path.write_text(json.dumps(held))
    state = signs.read(place(str(tmp_path / "s")), "s")
    assert state.word == "no sign of life"
    assert state.since == pytest.approx(time.time() - 86_400, abs=60)


def test_a_silent_driver_that_is_still_there_must_be_ended_first() -> None:
    holder = {"host": "here", "pid": 7, "since": 0.0}
    told = Signs(holder=holder, released=False, trained=True, last=100.0, command="hpo run s.yaml")
    assert derived(told, silent=29.0, there=True, now=200.0).word == "running"
    assert derived(told, silent=30.0, there=None, now=200.0).word == "running"
    state = derived(told, silent=31.0, there=True, now=200.0)
    assert (state.word, state.since) == ("no sign of life", 100.0)
    assert "end it before" in state.sentence
    assert derived(told, silent=60.0, there=None, now=200.0).since == 100.0  # the clocks agree
    assert derived(told, silent=60.0, there=None, now=2000.0).since == 1940.0  # by the clock here
    assert str(state).endswith("to continue: hpo run s.yaml")


# -- lists --------------------------------------------------------------------------------------------------------


def write(uri: str, study: str, **more: Any) -> None:
    """Writes a small study, which was stopped."""
    methods = [{"name": "random", "label": "random", "options": {}}]
    writer = stores.open_writer(uri, study, methods=methods, seeds=[0], budget=BUDGET, **more)
    stores.epoch(writer, 0, 1, 0.25)
    stores.charge(writer, 0, 0, 1, 0.25)
    run = {"study": study, "run": "random/0", "method": "random", "seed": 0, "status": "partial", "charged_epochs": 1,
           "incumbent_trial": stores.key(0).id, "incumbent_value": 0.25, "budget_epochs": 24}  # fmt: skip
    writer.snapshot([], [run])
    writer.close(compact=False)


def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the list to which every request to S3 adds the name of its operation."""
    from botocore.endpoint import Endpoint

    seen: list[str] = []
    send = Endpoint.make_request

    def counted(self: Any, operation: Any, request: Any) -> Any:
        seen.append(operation.name)
        return send(self, operation, request)

    monkeypatch.setattr(Endpoint, "make_request", counted)
    return seen


def test_three_hundred_studies_on_s3_are_two_listings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = stores.uri("moto", tmp_path, monkeypatch)
    where = place(uri)
    names = [f"study-{number:03}" for number in range(300)]
    for name in names:
        where.replace(layout.head(name), b"{}")
        where.replace(layout.summary(name), summary.to_bytes(summary.Facts(study=name), Signs(over=True, last=1.0)))
    listing, seen = Listing(uri), requests(monkeypatch)
    assert [found.study for found in listing.summaries()] == names
    assert sorted(set(seen)) == ["GetObject", "ListObjectsV2"]
    assert (seen.count("ListObjectsV2"), seen.count("GetObject")) == (2, 300)
    del seen[:]
    assert {found.state.word for found in listing.summaries()} == {"complete"}
    assert seen == ["ListObjectsV2"] * 2
    for name in names[:3]:  # the ones that go on
        where.replace(layout.summary(name), summary.to_bytes(summary.Facts(study=name, charged=5), Signs(last=2.0)))
    del seen[:]
    assert [found.charged for found in listing.summaries()[:4]] == [5, 5, 5, 0]
    assert (seen.count("ListObjectsV2"), seen.count("GetObject")) == (2, 3)


def test_a_study_that_is_moved_or_deleted_vanishes_and_may_come_back(uri: str) -> None:
    for name in ("a", "b"):
        write(uri, name)
    listing, where = Listing(uri), place(uri)
    assert [found.study for found in listing.summaries()] == ["a", "b"]
    content = {entry.name: where.read(entry.name) for entry in where.files() if entry.name.startswith("a/")}
    for name in content:
        where.delete(name)
    assert [found.study for found in listing.summaries()] == ["b"]
    assert [found.study for found in Listing(uri).summaries()] == ["b"]
    assert store.studies(uri) == ["b"]
    for name, found in content.items():
        where.replace(name, found or b"")
    assert [found.study for found in listing.summaries()] == ["a", "b"]


def test_a_study_deleted_while_the_list_is_made_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write(str(tmp_path), name)
    shutil.rmtree(tmp_path / ".studies")  # as an earlier version leaves a store
    read = LocalPlace.read

    def deleting(self: LocalPlace, name: str) -> bytes | None:
        found = read(self, name)
        if name == "a/study.json":
            shutil.rmtree(tmp_path / "a", ignore_errors=True)
        return found

    monkeypatch.setattr(LocalPlace, "read", deleting)
    assert [found.study for found in Listing(str(tmp_path)).summaries()] == ["b"]


def test_what_is_no_study_is_left_alone_and_a_broken_one_says_so(local: str) -> None:
    where = place(local)
    write(local, "good")
    write(local, "-odd_.name")
    for name in ("notes/today.txt", "späße/study.json", "a b/study.json", "<b>/x", "bad/study.json"):
        where.replace(name, b"not ours")
    where.replace(layout.summary("good"), b'{"version": 99}')  # of a later version
    where.replace(".studies/<script>.json", b"{}")
    found = listed(local)
    assert list(found) == ["-odd_.name", "bad", "good"]
    assert found["good"].charged == 1
    assert (found["bad"].state.word, "must be a study's head" in found["bad"].state.sentence) == ("failed", True)


def test_a_summary_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    study = written(tmp_path, "random", failing=0.0)
    Path(study.store).mkdir()
    (Path(study.store) / ".studies").write_text("a file in its way")
    dispatch = opened(study)
    assert play(dispatch, random.Random(0))
    dispatch.finish(complete=True)
    assert store.verify(study.store) == []
    assert signs.read(place(study.store), "drawn").word == "complete"


def test_other_readers_leave_the_summaries_alone(tmp_path: Path) -> None:
    import duckdb

    study = written(tmp_path, "random", failing=0.0)
    dispatch = opened(study)
    assert play(dispatch, random.Random(0))
    dispatch.finish(complete=True)
    kept = tmp_path / "store" / ".studies" / "drawn.json"
    content = kept.read_bytes()
    assert store.studies(study.store) == ["drawn"]
    assert duckdb.sql(f"select count(*) from '{study.store}/*/charges/*.parquet'").fetchall() == [(24,)]
    assert len(store.export(study.store, None, "csv", tmp_path / "out")) == 7
    from hpo.bundle import make

    make(study.store, None, tmp_path / "all.tar.gz")
    with tarfile.open(tmp_path / "all.tar.gz") as archive:
        assert not [name for name in archive.getnames() if ".studies" in name]
    assert kept.read_bytes() == content
    assert [found.state.word for found in Listing(str(tmp_path / "all.tar.gz")).summaries()] == ["complete"]


# -- earlier versions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "word"), [("complete", "complete"), ("interrupted", "no sign of life")])
def test_stores_of_earlier_versions_are_listed_and_not_written(tmp_path: Path, name: str, word: str) -> None:
    with tarfile.open(RECORDED / f"{name}.tar.gz") as archive:
        unpack(archive, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    found = listed(str(tmp_path / "store"))["recorded"]
    assert found.state.word == word
    assert found.state == signs.read(place(str(tmp_path / "store")), "recorded")
    assert found.charged > 0
    assert found.best is not None
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# -- notes --------------------------------------------------------------------------------------------------------


def test_an_archived_study_keeps_all_it_has_and_comes_back(uri: str) -> None:
    write(uri, "old")
    where, listing = place(uri), Listing(uri)
    before = {entry.name: entry.tag for entry in where.files() if "/lease/" not in entry.name}
    notes.archive(uri, "old", by="Ada")
    assert [found.archived for found in listing.summaries()] == [True]
    assert one(uri, "old").archived
    write(uri, "old")  # it goes on, and stays archived
    assert listed(uri)["old"].archived
    notes.unarchive(uri, "old")
    notes.unarchive(uri, "old")
    assert [found.archived for found in listing.summaries()] == [False]
    assert before.keys() <= {entry.name for entry in where.files()}
    with pytest.raises(store.StoreError, match="has no 'none'"):
        notes.archive(uri, "none")
    with pytest.raises(store.StoreError, match="study's name must be"):
        notes.archive(uri, "../old")


def test_nothing_is_archived_in_a_bundle() -> None:
    with pytest.raises(store.StoreError, match=r"is a bundle, and nothing is written into one"):
        notes.archive(str(RECORDED / "digits.tar.gz"), "digits")
    assert [found.state.word for found in Listing(str(RECORDED / "digits.tar.gz")).summaries()] == ["complete"]


def test_a_verdict_holds_for_the_results_that_it_was_told_of(local: str) -> None:
    write(local, "s")
    notes.note_verdict(local, "s", "undecided: 5 more seeds", listed(local)["s"].charged)
    assert (listed(local)["s"].verdict, one(local, "s").verdict) == (
        "undecided: 5 more seeds",
        "undecided: 5 more seeds",
    )
    notes.note_verdict(local, "s", "random better than asha", 7)
    assert listed(local)["s"].verdict is None


def test_a_summary_as_json_has_what_the_service_shows(local: str) -> None:
    write(local, "s", data={"name": "digits"}, model={"name": "mlp"}, trainable="mlp")
    found = one(local, "s").to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["budget"] == {"unit": "epochs", "a_run": 24, "total": 24, "charged": 1}
    assert (found["task"], found["state"]["word"], found["methods"]) == ("mlp on digits", "stopped", ["random"])
