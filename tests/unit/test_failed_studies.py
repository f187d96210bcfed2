"""A study without a result says so first, with the reasons grouped, and exits with 1; so does one whose exams failed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from interrupted_study import opened, play, written
from simulated import simulated_study

from hpo import store
from hpo.cli import main
from hpo.live import session
from hpo.live.dispatch import Dispatch
from hpo.report import write_html
from hpo.results.compare import compare, compare_many
from hpo.store.failures import GROUPS, QUOTED, grouped, told, without_result
from hpo.study.study import Study
from hpo.worker import training
from hpo.worker.training import Report, Training


def test_reasons_that_differ_in_numbers_names_and_paths_are_one() -> None:
    reasons = [
        *(f"batch_size must be at most 64, but is {n}" for n in (128, 256, 512)),
        "cannot read '/data/a b.png'", 'cannot read "x"', "cannot read 'y'", "cannot read 'z'",
        "the loss is nan at epoch 3",
    ]  # fmt: skip
    assert grouped(reasons) == [
        (4, "cannot read '/data/a b.png'"), (3, "batch_size must be at most 64, but is 128"),
        (1, "the loss is nan at epoch 3"),
    ]  # fmt: skip
    assert grouped([]) == []


def test_a_sentence_quotes_few_and_short_reasons() -> None:
    words = ("one", "two", "three", "four", "five")
    found = told([*words, "one", f"{'x' * 500}", f"{'x' * 500}", f"{'x' * 500}"])
    assert found == f"3 x {'x' * (QUOTED - 1)}…, 2 x one, 1 x two, 3 x other reasons"
    assert len(grouped(words)) > GROUPS


# -- a study in which everything fails ----------------------------------------------------------------------------


def ended(study: Study) -> store.StudyData:
    dispatch = opened(study)
    assert play(dispatch, random.Random(0))
    dispatch.finish(complete=True)
    return store.read(study.store)


def test_a_study_in_which_every_trial_fails_says_so_everywhere(tmp_path: Path) -> None:
    data = ended(written(tmp_path, "random", failing=1.0))
    failed = len(set(data.failures["trial"].to_pylist()))
    assert failed >= 100
    start = f"all {failed} trials failed: {failed} x "
    found = compare(data)
    assert found.failure.startswith(start)
    assert found.verdict.startswith(f"All {failed} trials failed: ")
    assert found.to_json()["failure"] == found.failure
    path = tmp_path / "report.html"
    write_html(data, found, None, path, command="hpo run")
    assert f'id="verdict">All {failed} trials failed: ' in path.read_text()
    assert store.verify(str(tmp_path / "store")) == []


def test_a_study_whose_every_value_is_nan_has_no_result(tmp_path: Path) -> None:
    study = written(tmp_path, "random", failing=0.0, epochs=6, most=2)
    dispatch = opened(study)
    while not dispatch.finished:
        given = dispatch.next()
        assert given is not None
        row = {"epoch": 1, "metrics": {"val_accuracy": float("nan")}, "seconds": 1.0, "ended": False}
        dispatch.report(given, Report(records=[row], done=True), "here:1")
    dispatch.finish(complete=True)
    assert without_result(store.read(study.store)) == "all 6 trials failed: 6 x the metric is nan at epoch 1"


def test_a_study_with_a_value_or_that_has_just_begun_has_not_failed(tmp_path: Path) -> None:
    assert without_result(ended(written(tmp_path, "random", failing=0.5))) == ""
    assert without_result(simulated_study({"a": [0.5], "b": [float("nan")]})) == ""
    begun = written(tmp_path / "..", "random", failing=1.0)
    begun = Study.load(begun.folder / "drawn.yaml", store=str(tmp_path / "begun"))
    dispatch = opened(begun)
    dispatch.finish(complete=False)
    assert without_result(store.read(begun.store)) == ""
    dispatch = opened(begun)
    play(dispatch, random.Random(0), reports=4)
    dispatch.finish(complete=False)
    assert without_result(store.read(begun.store)).startswith("all trials that have ended failed (4 so far): 4 x ")


def test_of_several_studies_all_must_fail(tmp_path: Path) -> None:
    failed = ended(written(tmp_path, "random", failing=1.0))
    assert compare_many([failed]).failure
    other = simulated_study({"random": [0.5, 0.6]})
    assert compare_many([failed, other]).failure == ""


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def played_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """`hpo run` without a cluster."""

    def here(studies: Sequence[Study], *, then: Callable[[], None], **how: Any) -> None:
        dispatch = opened(*studies)
        assert play(dispatch, random.Random(0))
        dispatch.finish(complete=True)
        then()

    monkeypatch.setattr(session, "play", here)


def run(capsys: pytest.CaptureFixture[str], study: Study, *options: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["run", str(study.folder / "drawn.yaml"), "--store", study.store, "--quiet", *options])
    told = capsys.readouterr()
    return end.value.code, told.out, told.err


@pytest.mark.usefixtures("played_here")
def test_hpo_run_of_such_a_study_exits_with_1_and_the_reason_comes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = written(tmp_path, "random", failing=1.0)
    for _ in range(2):  # and again on the finished store
        code, out, err = run(capsys, study)
        assert code == 1
        assert out.startswith("All ")
        assert " trials failed: " in out.splitlines()[0]
        assert err.splitlines()[0].startswith("hpo: the study failed: all ")
    code, out, err = run(capsys, study, "--format", "json", "--no-report")
    assert code == 1
    assert json.loads(out)["failure"].startswith("all ")
    assert (tmp_path / "store" / "drawn" / "report.html").exists()


@pytest.mark.usefixtures("played_here")
def test_a_failed_exam_is_stored_shown_and_taken_again_by_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = written(tmp_path, "random, {asha: {eta: 2}}", failing=0.0, more="final: {retrain: train, seeds: 2}")
    step = Training.step

    def breaks(self: Training) -> Report:
        if self.assignment.exam:
            return Report(failure={"epoch": 0, "kind": "memory", "reason": "out of memory"}, done=True)
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "step", breaks)
        code, out, err = run(capsys, study)
    assert code == 1
    data = store.read(study.store)
    number = data.exams.num_rows
    assert number >= 2
    assert set(data.exams["reason"].to_pylist()) == {"out of memory"}
    sentence = f"{number} of {number} final exams failed: {number} x out of memory"
    assert out.startswith(sentence)
    assert f"hpo: the study failed: {sentence}" in err
    assert sentence in (tmp_path / "store" / "drawn" / "report.html").read_text()
    assert all(one.incumbent and one.incumbent.test is None for one in compare(data).runs)
    assert store.verify(study.store) == []
    code, out, err = run(capsys, study)
    assert code == 0
    assert "final exams failed" not in out
    data = store.read(study.store)
    assert all(one.incumbent and one.incumbent.exams == 2 for one in compare(data).runs)
    assert compare(data).to_json()["failed_exams"] is None
    assert finished(study)


def finished(study: Study) -> bool:
    dispatch: Dispatch = opened(study)
    over = dispatch.finished
    dispatch.finish(complete=True)
    return over
