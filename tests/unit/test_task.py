"""The task as trainables get it: a frozen value whose JSON, and with it every trial's id, is the study's."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from hpo.study import study as study_file
from hpo.study.study import Study, presets
from hpo.study.values import canonical
from hpo.worker.training import Assignment, Training
from trainables.curves import Curves
from trainables.early_stopping import EarlyStopping
from trainables.errors import BadData, BadTrainable
from trainables.sections import ARCHITECTURE, Data, ImageTask, Model
from trainables.task import Section, Task

ROOT = Path(__file__).parents[2]
STUDY = {
    "trainable": "my.module:Class",
    "data": {"name": "digits", "train": 0.5, "fail": [{"a": 1}], "nested": {"b": [1, 2]}},
    "model": {"name": "digits_net"},
    "fixed": {"batch_size": 16},
    "early_stopping": {"patience": 2, "metric": "val_loss", "mode": "min"},
}


@pytest.mark.parametrize("name", sorted(presets()))
def test_the_json_of_a_study_comes_back_as_it_was(name):
    study = Study.load(name)
    for given in (study.task, study.located(), {**study.located(), "train_on": "full"}):
        made = Task.from_json(json.loads(json.dumps(given)))
        assert canonical(made.to_json()) == canonical(given)
        assert made == given


def test_it_reads_as_the_mapping_that_it_was_and_as_a_value():
    task = Task.from_json(STUDY)
    assert task["data"] is task.data
    assert task["data"]["nested"]["b"] == [1, 2]
    assert task.get("train_on") is None
    assert "train_on" not in task
    with pytest.raises(KeyError):
        task["train_on"]
    assert {**task, "train_on": "full"} == dict(Task.from_json({**STUDY, "train_on": "full"}))
    assert json.dumps(task["data"]) == json.dumps(STUDY["data"]), "a user's trainable may write it down"
    assert Task.from_json({}) == {"trainable": "", "data": {}, "model": {}, "fixed": {}, "early_stopping": None}


def test_nothing_of_it_can_be_changed():
    given = copy.deepcopy(STUDY)
    task = Task.from_json(given)
    given["data"]["fail"].append({"c": 2})
    assert task.data["fail"] == [{"a": 1}], "a list is a copy"
    with pytest.raises(FrozenInstanceError):
        task.data = {}
    for change in (
        lambda section: section.update(name="mnist"),
        lambda section: section.pop("name"),
        lambda section: section.setdefault("seed", 1),
        lambda section: section.__setitem__("name", "mnist"),
        lambda section: section["nested"].clear(),
        lambda section: section["fail"][0].popitem(),
    ):
        with pytest.raises(TypeError, match="cannot be changed; copy it with dict"):
            change(task.data)
    changed = dict(task.data)
    changed["name"] = "mnist"
    assert task.data["name"] == "digits"


def test_it_crosses_to_other_processes():
    task = Task.from_json(STUDY)
    for other in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
        assert other == task
        assert isinstance(other.data["nested"], Section)


def test_an_unknown_part_is_refused_with_the_nearest():
    with pytest.raises(BadTrainable, match="but got 'modle'; did you mean 'model'"):
        Task.from_json({"modle": {}})


def test_it_imports_neither_torch_nor_numpy():
    code = "import sys, trainables.sections; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "[]\n"


class Looks(Curves):
    """Keeps the task that it was given."""

    def __init__(self, config, *, task, seed, max_epochs):
        super().__init__(config, task=task, seed=seed, max_epochs=max_epochs)
        self.provenance = {"task": type(task).__name__, "data": type(task["data"]).__name__}


def test_a_worker_hands_the_value_to_the_trainable(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.load", lambda name: Looks)
    task = {**STUDY, "data": {}, "early_stopping": None}
    report = Training(Assignment("0" * 16, {"learning_rate": 0.01}, task, 1, 2, 2, 0, str(tmp_path))).step()
    assert report.failure is None
    assert report.provenance == {"task": "Task", "data": "Section"}


# -- the sections that our trainables read ------------------------------------------------------------------------


def test_a_study_file_may_hold_the_keys_that_our_trainables_read():
    assert set(study_file.Data.model_fields) == {field.name for field in fields(Data)}
    assert {*study_file.Model.model_fields, *ARCHITECTURE} == {"name", "weights", "hooks", *ARCHITECTURE}
    assert {field.name for field in fields(Model)} == {"name", "weights", "hooks", "architecture"}


def test_an_image_task_is_read_once_into_frozen_values():
    found = ImageTask.of(Task.from_json({**STUDY, "data": {"name": "digits", "root": None, "validation": "val"}}))
    assert found.data == Data("digits", validation="val")
    assert (found.model.name, found.model.weights, found.model.architecture) == ("digits_net", "DEFAULT", {})
    assert found.stopping == EarlyStopping(2, "val_loss", "min")
    with pytest.raises(FrozenInstanceError):
        found.data.name = "mnist"


def test_the_final_training_takes_all_but_keeps_the_rest():
    task = {**STUDY, "data": {"name": "digits", "train": 100, "balanced": True, "test": 0.3}}
    assert Data.of(Task.from_json(task)) == Data("digits", train=100, balanced=True, test=0.3)
    assert Data.of(Task.from_json({**task, "train_on": "full"})) == Data("digits", train=1.0, balanced=False, test=0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {}}, "data.name must be given, but it is missing"),
        ({"model": {}}, "model.name must be given, but it is missing"),
        ({"model": {"name": "vit_b_16", "head": 2}}, "unknown key 'head' in model; did you mean 'heads'"),
    ],
)
def test_sections_that_cannot_hold_are_refused(changes, message):
    with pytest.raises(BadData, match=message):
        ImageTask.of({**STUDY, **changes})
