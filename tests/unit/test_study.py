"""The study: what its file may say, which of its parts results depend on, where its paths start."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import StudyError
from hpo.study.study import Study, find

FILE = """
study: small
trainable: {trainable}
data: {data}
model: {model}
space:
  rate: {{type: float, low: 0.001, high: 1.0, log: true}}
  optimizer: {{type: choice, values: [adam, sgd]}}
budget: {{epochs: {epochs}, max_epochs: 4}}
methods: {methods}
{more}
"""


def load(folder: Path, *, trainable: str = "curves", data: str = "{}", model: str = "{}", epochs: int = 24,
         methods: str = "[random, {asha: {eta: 2}}]", more: str = "", **changes) -> Study:  # fmt: skip
    path = folder / "small.yaml"
    path.write_text(FILE.format(trainable=trainable, data=data, model=model, epochs=epochs, methods=methods, more=more))
    return Study.load(path, **changes)


# -- what it refuses ----------------------------------------------------------------------------------------------


def test_a_run_may_train_exactly_one_trial_to_the_end(tmp_path):
    assert load(tmp_path, epochs=4).budget.epochs == 4
    with pytest.raises(StudyError, match=r"but got \(max_epochs=4, epochs=3\)"):
        load(tmp_path, epochs=3)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"more": "fixed: {rate: 0.1}"}, "must be searched or fixed, but got 'rate' in space and in fixed"),
        ({"more": "start: [{rate: 2.0, optimizer: adam}]"}, r"small\.yaml:\d+:\d+: rate must lie in \[0.001, 1\]"),
        ({"more": "start: [{rate: 0.1}]"}, "a configuration must give optimizer a value"),
        ({"more": "resources: {gpus: 1.5}"}, "gpus must be at most 1 or a whole number, but got 1.5"),
        ({"methods": "[random, random]"}, "methods must differ, but got 'random' twice; give one of them a `label`"),
        ({"methods": "[random, {tpe: {label: random}}]"}, "methods must differ, but got 'random' twice"),
        ({"methods": "[{random: {label: a b}}]"}, "label must be letters, digits and . _ . : -, but got 'a b'"),
        ({"methods": "[{random: {parallelism: 0}}]"}, "parallelism >= 1 must hold, and <= 100000, but got 0"),
        ({"methods": "[{random: {}, tpe: {}}]"}, "a method must be a name or one name with options"),
        ({"trainable": "image_classifier", "data": "{nmae: digits}"}, "unknown key 'nmae' in data; did you mean 'name'"),
        ({"trainable": "mlp", "data": "{name: x, folds: 1}"}, r"folds >= 2 must hold, but got 1"),
        ({"trainable": "mlp", "data": "{name: x}", "model": "{weights: none}"}, "name must be given"),
    ],
)  # fmt: skip
def test_a_study_that_contradicts_itself_is_refused_with_its_place(tmp_path, part, says):
    with pytest.raises(StudyError, match=says) as refused:
        load(tmp_path, **part)
    assert str(refused.value).startswith(f"{tmp_path / 'small.yaml'}:")


def test_one_method_may_play_several_times_under_labels_of_its_own(tmp_path):
    study = load(tmp_path, methods="[random, {random: {label: sequential, parallelism: 1}}]")
    assert [(m.name, m.label, m.parallelism, dict(m.options)) for m in study.methods] == [
        ("random", "random", None, {}),
        ("random", "sequential", 1, {}),
    ]


def test_methods_of_the_command_line_keep_the_options_of_the_file(tmp_path):
    study = load(tmp_path, methods="[random, {asha: {eta: 2}}, {tpe: {label: mine}}]")
    assert [m.label for m in study.methods] == ["random", "asha", "mine"]
    chosen = Study.load(tmp_path / "small.yaml", methods=["mine", "asha", "sobol"], seeds=[3], epochs=48)
    assert [(m.name, m.label, dict(m.options)) for m in chosen.methods] == [
        ("tpe", "mine", {}), ("asha", "asha", {"eta": 2}), ("sobol", "sobol", {}),
    ]  # fmt: skip
    assert (chosen.seeds, chosen.budget.epochs, chosen.budget.max_epochs) == ([3], 48, 4)


# -- what its results depend on -----------------------------------------------------------------------------------


def test_methods_and_seeds_may_be_added_to_a_store(tmp_path):
    first = load(tmp_path)
    more = load(tmp_path, methods="[random, tpe]", more="seeds: [0, 1, 2]")
    assert (more.digest, more.task_digest) == (first.digest, first.task_digest)


@pytest.mark.parametrize(
    "part",
    [
        {"more": "parallelism: 2"},
        {"more": "clock: arrival"},
        {"more": "metric: val_loss"},
        {"more": "mode: min"},
        {"more": "start: [{rate: 0.1, optimizer: adam}]"},
        {"more": "prior: elsewhere"},
        {"more": "fixed: {momentum: 0.9}"},
        {"more": "early_stopping: {patience: 3}"},
        {"data": "{seed: 1}"},
        {"model": "{name: other}"},
        {"epochs": 48},
    ],
)
def test_a_store_is_not_shared_by_studies_whose_results_differ(tmp_path, part):
    assert load(tmp_path).digest != load(tmp_path, **part).digest


@pytest.mark.parametrize(
    ("part", "same"),
    [({"more": "metric: val_loss"}, False), ({"data": "{seed: 1}"}, False), ({"more": "parallelism: 2"}, True)],
)
def test_a_trial_is_known_by_its_task_and_metric_and_not_by_how_it_is_searched(tmp_path, part, same):
    config = {"rate": 0.1, "optimizer": "adam"}
    assert (load(tmp_path).key(config, 0, 4) == load(tmp_path, **part).key(config, 0, 4)) is same


def test_an_epoch_is_charged_once_for_each_fold(tmp_path):
    assert load(tmp_path).folds == 1
    assert load(tmp_path, data="{folds: 5}").folds == 5


# -- where its paths start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "weights", "found"),
    [
        ("photos", "DEFAULT", ("photos", "DEFAULT")),
        ("photos", "weights/a.pth", ("photos", "weights/a.pth")),
        ("s3://bucket/photos", "s3://bucket/a.pth", ("s3://bucket/photos", "s3://bucket/a.pth")),
    ],
)
def test_relative_paths_start_at_the_files_folder(tmp_path, root, weights, found):
    study = load(tmp_path, data=f"{{root: {root}}}", model=f"{{name: x, weights: {weights}}}")
    task = study.located()
    places = tuple(
        path if "://" in path or path == "DEFAULT" else str(tmp_path / path)
        for path in found
    )  # fmt: skip
    assert (task["data"]["root"], task["model"]["weights"]) == places
    assert (study.task["data"]["root"], study.task["model"]["weights"]) == (root, weights)


def test_a_presets_paths_start_at_the_working_folder(tmp_path):
    assert find("digits")[1] == Path()
    assert find(tmp_path / "small.yaml")[1] == tmp_path
