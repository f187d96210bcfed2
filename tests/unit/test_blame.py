"""Processes that die: when the trial is to blame and fails, and when it is handed out anew. Without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slots_without_ray import Played
from without_ray import dispatching

from hpo import store
from hpo.live.blame import OWN_FAULTS, WORKER_DEATHS, Blame
from hpo.study.study import Study
from hpo.worker import mps
from hpo.worker.orders import Orders
from hpo.worker.training import Report
from trainables.curves import Curves
from trainables.errors import InvalidConfig

STUDY = """
study: blame
trainable: {trainable}
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: 24, max_epochs: 4}}
methods: [random]
parallelism: 2
store: {store}
"""
ASSERT = "CUDA error: device-side assert triggered at /src/loss.cu:{line} in block [{line},0,0]"
HIGH = 0.01  # learning rates above it are those that nothing trains


class Asserting(Curves):
    """Curves of which some end their process after an epoch, in every process anew."""

    def train_epoch(self) -> dict[str, float]:
        if self.epoch == 1 and self.config["learning_rate"] > HIGH:
            raise RuntimeError(ASSERT.format(line=next(LINES)))
        return super().train_epoch()


class Refusing(Curves):
    """Curves of which the same ones fail, as any configuration may."""

    def train_epoch(self) -> dict[str, float]:
        if self.epoch == 1 and self.config["learning_rate"] > HIGH:
            raise InvalidConfig("this rate is too high")
        return super().train_epoch()


LINES = count(1)


def played(folder: Path, trainable: str) -> tuple[store.StudyData, int]:
    """What the store holds of a study that one process after the other trained, and how many there were."""
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY.format(trainable=f"{__name__}:{trainable}", store=folder / "store"))
    study = Study.load(str(folder / "study.yaml"))
    starts = Played(dispatching(study, ahead=0)).keeper.starts
    assert store.verify(study.store) == []
    return store.read(study.store), starts


def outcomes(data: store.StudyData) -> Iterator[tuple[Any, ...]]:
    for row in sorted(data.trials.to_pylist(), key=lambda row: row["number"]):
        yield row["config_learning_rate"], row["status"], row["epochs"], row["best_value"]


def test_a_fault_that_comes_again_in_three_processes_is_the_trials_and_the_others_are_untouched(tmp_path: Path) -> None:
    (data, starts), (undisturbed, once) = played(tmp_path / "a", "Asserting"), played(tmp_path / "r", "Refusing")
    failed = data.failures.to_pylist()
    assert len(failed) == undisturbed.failures.num_rows
    assert 1 < len(failed) < data.trials.num_rows
    assert list(outcomes(data)) == list(outcomes(undisturbed))
    assert (starts, once) == (1 + OWN_FAULTS * len(failed), 1)
    for row in failed:
        assert row["kind"] == "lost"
        assert row["reason"].startswith(
            "3 processes that trained it met the same fault and could not go on, the last one with: "
            "CUDA error: device-side assert triggered at /src/loss.cu:"
        )


def test_faults_that_may_be_a_neighbours_count_as_deaths_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mps, "_state", "on")
    failed = played(tmp_path / "a", "Asserting")[0].failures.to_pylist()
    assert failed
    assert all(row["reason"].startswith(f"{WORKER_DEATHS} of its workers died, the last one with: ") for row in failed)


@pytest.mark.parametrize(
    ("faults", "blamed"),
    [
        ([("t", "a:1", "bad 1"), ("t", "a:2", "bad 2"), ("t", "a:3", "bad 3")], True),
        ([("t", "a:1", "bad 1"), ("t", "a:2", "bad 2")], False),
        ([("t", "a:1", "bad 1"), ("t", "a:2", "bad 2"), ("u", "a:3", "bad 3")], False),  # another trial's
        ([("t", "a:1", "bad 1"), ("t", "a:2", "bad 2"), ("t", "a:2", "bad 3")], False),  # the same process
        ([("t", "a:1", "bad 1"), ("t", "a:2", "worse"), ("t", "a:3", "bad 3")], False),  # another kind
    ],
)
def test_three_faults_of_one_kind_in_three_processes_are_needed(faults: list[Any], blamed: bool) -> None:
    blame = Blame()
    for trial, worker, reason in faults:
        blame.fault(trial, worker, reason)
        blame.death(trial)
    assert bool(blame.verdict("t", faults[-1][2])) is blamed


def test_deaths_without_a_word_fail_a_trial_at_the_tenth_and_no_sooner_whatever_faults_came_before() -> None:
    blame = Blame()
    for worker in ("a:1", "a:2"):
        blame.fault("t", worker, "bad")
        blame.death("t")
    for _ in range(WORKER_DEATHS - 3):
        blame.death("t")
        assert blame.verdict("t", "killed") == ""
    blame.death("t")
    assert blame.verdict("t", "killed") == "10 of its workers died, the last one with: killed"


@pytest.mark.parametrize(
    ("built", "state", "own"), [(True, "off: it is off", True), (False, "", False), (True, "on", False)]
)
def test_a_fault_may_be_the_trials_own_unless_its_device_never_worked_or_others_run_on_it_too(
    monkeypatch: pytest.MonkeyPatch, built: bool, state: str, own: bool
) -> None:
    monkeypatch.setattr(mps, "_state", state)
    failure = {"epoch": 1, "kind": "process", "reason": "CUDA error: unknown error"}
    orders: Any = Orders({}, {})
    orders._training = SimpleNamespace(
        step=lambda: Report(failure=failure, done=True), assignment=SimpleNamespace(trial="t"), built=built
    )
    orders._busy = True
    reply = orders.work([], 0)
    assert reply.own == own
    assert [(trial, report.done, report.failure) for trial, report in reply.reports] == [("t", False, None)]
    assert reply.fault.startswith("CUDA error: unknown error")
