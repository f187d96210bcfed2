"""A trial that runs out of memory is tried once more, alone; after that it has failed, and is charged what it trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from without_ray import dispatching

from hpo import store
from hpo.study.study import Study
from hpo.worker.training import Assignment, Report, Training
from trainables.curves import Curves

STUDY = """
study: memory
trainable: curves
space: {{size: {{type: choice, values: [1, 2, 3, 4, 5, 6]}}}}
budget: {{epochs: 20, max_epochs: 4}}
methods: [grid]
resources: {{gpus: 0.5}}
store: {store}
"""


class Large(Curves):
    """Runs out of memory after `trained` epochs: at size 5 where it shares the machine, at size 3 always."""

    shared, trained = False, 1

    def train_epoch(self) -> dict[str, float]:
        if self.epoch == Large.trained and (self.config["size"] == 3 or (Large.shared and self.config["size"] == 5)):
            raise MemoryError("no room for 8 GiB")
        return super().train_epoch()


def make(trainable: str, arguments: dict[str, Any]) -> Large:
    return Large(arguments.pop("config"), **arguments)


@pytest.mark.parametrize(("slots", "trained"), [(1, 1), (2, 1), (3, 1), (2, 0)])
def test_it_is_tried_once_more_alone_then_fails_and_is_charged_only_what_it_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int, trained: int
) -> None:
    monkeypatch.setattr(Large, "trained", trained)
    path = tmp_path / "memory.yaml"
    path.write_text(STUDY.format(store=tmp_path / "store"))
    study = Study.load(str(path))
    dispatch = dispatching(study)
    begun: list[tuple[int, bool, int]] = []  # size, whether it asks for the device, how many ran beside it
    running: dict[str, tuple[Assignment, Training]] = {}
    while not dispatch.finished:
        while len(running) < slots and (given := dispatch.next()) is not None:
            if not given.exam:
                begun.append((given.config["size"], given.alone, len(running)))
            assert given.packed
            assert not given.alone or dispatch.batch(60.0, others=0) == [], "nothing begins beside it"
            running[given.trial] = given, Training(Assignment(**{**vars(given), "packed": False}), make=make)
        assert len(running) == 1 or not any(given.alone for given, _ in running.values())
        Large.shared = len(running) > 1
        for trial, (given, training) in list(running.items()):
            report = training.step()
            dispatch.report(given, report, "here:1")
            if report.done:
                del running[trial]
    dispatch.finish(complete=True)
    data = store.read(study.store)
    assert store.verify(study.store) == []
    again = [(size, beside) for size, alone, beside in begun if alone]
    assert {3} <= {size for size, _ in again} <= {3, 5}
    assert len(again) == len(dict(again)), "each is tried again at most once"
    assert not any(beside for _, beside in again), "with nothing beside it"
    (failure,) = data.failures.to_pylist()
    assert (failure["kind"], failure["epoch"]) == ("memory", trained)
    assert "no room for 8 GiB" in failure["reason"]
    assert [row["trial"] for row in data.charges.to_pylist()].count(failure["trial"]) == trained
    (run,) = data.runs.to_pylist()
    assert (run["charged_epochs"], run["failed_trials"], run["status"]) == (20, 1, "complete")


def test_a_trial_to_be_tried_alone_is_in_no_batch_with_others(tmp_path: Path) -> None:
    path = tmp_path / "memory.yaml"
    path.write_text(STUDY.format(store=tmp_path / "store"))
    study = Study.load(str(path))
    dispatch = dispatching(study)
    large, beside = dispatch.next(), dispatch.next()
    assert large is not None
    assert beside is not None
    dispatch.report(large, Report(failure={"epoch": 0, "kind": "memory", "reason": "no room"}, done=True), "here:1")
    dispatch.effort.pace = 0.0  # epochs so short that a slot is given many trials at a time
    others = dispatch.batch(60.0, others=0)
    assert len(others) > 1
    assert large.trial not in {given.trial for given in others}
    assert dispatch.next() is None, "others are under way"
    for given in (beside, *others):
        dispatch.lost(given, "its worker died")
    (again, *rest) = dispatch.batch(60.0, others=0)
    assert (again.trial, again.alone, rest) == (large.trial, True, [])
    assert dispatch.batch(60.0, others=0) == [], "nothing begins beside it"
    dispatch.finish(complete=False)
