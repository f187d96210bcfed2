"""Stores and checkpoints of earlier versions are read, verified, compared and continued."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hpo import store
from hpo.files import unpack
from hpo.game.runs import runs_of
from hpo.live.dispatch import Dispatch
from hpo.results.compare import compare
from hpo.store import StudyWriter, schema
from hpo.study.study import Study
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.training import Assignment, Training

RECORDED = Path(__file__).parents[1] / "recorded_stores"
sys.path.insert(0, str(RECORDED))
import make  # noqa: E402

TIMES = ("seconds", "finished", "train_seconds", "worker", "seen")  # and what earlier versions did not record
LATER = ("run_failures",)  # tables that the recorded version did not have


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Unpacks an archive into the working folder, so that the study finds its store there."""

    def named(name: str) -> Path:
        with tarfile.open(RECORDED / f"{name}.tar.gz") as archive:
            unpack(archive, tmp_path)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return named


def rows(table: str) -> list[dict[str, Any]]:
    """A table's rows without times and places, in the order of their keys."""
    keys = schema.keys(table)
    found = [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in getattr(store.read("store"), table).to_pylist()
    ]
    return sorted(found, key=lambda row: [row[key] for key in keys])


def contents() -> dict[str, bytes]:
    names = [path for path in Path("store").rglob("*") if path.is_file() and path.parent.name != "lease"]
    return {str(path): path.read_bytes() for path in names}


def close(found: Any, recorded: Any) -> bool:
    """Whether JSON values are equal, numbers but for the last digits: other processors round otherwise.

    Later versions may add keys.
    """
    if isinstance(recorded, dict):
        return found.keys() >= recorded.keys() and all(close(found[name], recorded[name]) for name in recorded)
    if isinstance(recorded, list):
        return len(found) == len(recorded) and all(map(close, found, recorded))
    if isinstance(recorded, float):
        return bool(found == pytest.approx(recorded, rel=1e-9, abs=1e-12))
    return bool(found == recorded)


def timeless(found: Any) -> Any:
    """A comparison without what it measures in seconds."""
    if isinstance(found, dict):
        return {n: timeless(value) for n, value in found.items() if not n.endswith("seconds")}
    return [timeless(value) for value in found] if isinstance(found, list) else found


def figures(found: Any) -> Any:
    """A comparison without its sentences, whose wording may change, and without its means' intervals.

    The recorded intervals of accuracies leave [0, 1]; `within_bounds` compares them.
    """
    kept = {name: value for name, value in json.loads(json.dumps(found)).items() if name not in ("verdict", "notes")}
    kept["methods"] = [{n: v for n, v in method.items() if not n.endswith("ci95")} for method in kept["methods"]]
    return kept


def within_bounds(found: Any, recorded: Any) -> bool:
    """Whether each mean's interval lies in [0, 1] and holds what the recorded one has there."""
    names = ("ci95", "test_ci95", "area_ci95")
    both = [(new[n], old[n]) for new, old in zip(found["methods"], recorded["methods"], strict=True) for n in names]
    return all(0 <= new[0] <= max(old[0], 0) and min(old[1], 1) <= new[1] <= 1 for new, old in both)


NOW = {"p": "p_signed_rank", "p_adjusted": "p_signed_rank_adjusted"}  # another test decides since


def by_signed_ranks(recorded: Any) -> Any:
    """A recorded comparison with the p values of its pairs where they are now, without the seeds that their test needed."""
    tests = {
        name: [{NOW.get(key, key): value for key, value in t.items() if key != "more_blocks"} for t in recorded[name]]
        for name in ("tests", "test_tests")
    }
    return {**recorded, **tests}


def without_time_alone(found: Any) -> Any:
    """A comparison without the times alone: the recorded ones let a promotion begin before what it followed from."""
    if isinstance(found, dict):
        return {n: without_time_alone(v) for n, v in found.items() if n not in ("wall_seconds", "anytime_seconds")}
    return [without_time_alone(value) for value in found] if isinstance(found, list) else found


def opened() -> Dispatch:
    Path("study.yaml").write_text(make.STUDY)
    study = Study.load("study.yaml")
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest, environment={},
        space_kinds=study.kinds,
    )  # fmt: skip
    return Dispatch(study, runs_of(study), writer, "store/recorded/checkpoints", 8)


def played(dispatch: Dispatch) -> list[dict[str, Any]]:
    """Plays a study to its end; returns the epochs that were reported, as a worker's rows."""
    found = []
    while not dispatch.finished:
        assignment = dispatch.next()
        assert assignment is not None
        training = Training(assignment)
        while assignment.trial in dispatch.live:
            report = training.step()
            found += report.records
            dispatch.report(assignment, report, "node:2")
    dispatch.finish(complete=True)
    return found


def test_a_complete_store_is_read_verified_and_compared_as_it_was(unpacked: Any) -> None:
    unpacked("complete")
    assert store.studies("store") == ["recorded"]
    assert store.verify("store") == []
    data = store.read("store")
    assert data.warnings == ()
    assert data.environment["python"] == "3.11"
    assert {row["exam"] for row in data.exams.to_pylist()} == {"retrain/0"}
    found, recorded = compare(data).to_json(), by_signed_ranks(json.loads(Path("compare.json").read_text()))
    assert close(without_time_alone(figures(found)), without_time_alone(figures(recorded)))
    assert within_bounds(found, recorded)


def test_a_complete_store_wants_nothing_more(unpacked: Any) -> None:
    unpacked("complete")
    known = [table for table in schema.TABLES if table not in LATER]
    before = {table: rows(table) for table in known}
    assert played(opened()) == []
    assert {table: rows(table) for table in known} == before
    assert store.verify("store") == []


def test_failures_that_an_earlier_version_gave_no_place_in_their_run_get_one(unpacked: Any) -> None:
    unpacked("complete")
    charges = rows("charges")
    gaps = {
        (run, order)
        for run in {row["run"] for row in charges}
        for orders in [{row["order"] for row in charges if row["run"] == run}]
        for order in set(range(max(orders))) - orders
    }
    assert gaps
    played(opened())
    assert gaps <= {(row["run"], row["order"]) for row in rows("run_failures")}
    assert store.verify("store") == []


def test_a_store_whose_driver_was_killed_is_read_as_it_lies(unpacked: Any) -> None:
    unpacked("interrupted")
    before = contents()
    assert any("/spool/" in name for name in before)
    data = store.read("store")
    assert data.warnings == ()
    assert set(data.runs["status"].to_pylist()) == {"partial"}
    assert store.verify("store") == []
    assert contents() == before


@pytest.mark.timeout(120)
def test_a_study_whose_driver_was_killed_ends_as_an_undisturbed_one(unpacked: Any) -> None:
    unpacked("complete")
    undisturbed = by_signed_ranks(json.loads(Path("compare.json").read_text()))
    tables = {t: rows(t) for t in schema.TABLES}
    for path in sorted(Path("store").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    unpacked("interrupted")
    spooled = [json.loads(line) for path in Path("store").glob("*/spool/*") for line in path.read_text().splitlines()]
    waiting = {(row["trial"], row["epoch"]) for table, row in spooled if table == "epochs"}
    assert waiting
    dispatch = opened()
    stored = {(row["trial"], row["epoch"]) for row in dispatch.writer.stored.epochs.to_pylist()}
    assert waiting <= stored
    resumed = played(dispatch)
    assert len(resumed) > sum(row.get("recovered", False) for row in resumed)
    assert store.verify("store") == []
    for table in set(schema.TABLES) - set(LATER):
        assert close(rows(table), tables[table]), table
    found = compare(store.read("store")).to_json()
    assert close(timeless(figures(found)), timeless(figures(undisturbed)))


def test_a_checkpoint_is_loaded_and_trained_on_as_without_an_interruption(unpacked: Any) -> None:
    unpacked("trial")
    curve = json.loads(Path("curve.json").read_text())
    assert Checkpoints("checkpoints").trials() == {make.NETWORK["trial"]: 2}
    training, found, done = Training(Assignment(**make.NETWORK, stop=4, checkpoints="checkpoints")), [], False
    while not done:
        report = training.step()
        assert report.failure is None
        found, done = found + report.records, report.done
    assert [row.get("recovered", False) for row in found] == [True, True, False, False]
    for row, recorded in zip(found, curve, strict=True):
        assert row["metrics"] == pytest.approx(recorded, rel=1e-5)
