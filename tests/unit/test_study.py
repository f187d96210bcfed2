"""The study: what its file may say, which of its parts results depend on, where its paths start."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import StudyError
from hpo.live.session import checkpoint_place
from hpo.storage.place import place
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
        ({"more": "bounds: [1, 1]"}, r":\d+:1: bounds must be the metric's smallest and largest value.*but got \[1, 1\]"),
        ({"more": "bounds: [0]"}, r"bounds must be the metric's smallest and largest value.*but got \[0\]"),
        ({"more": "bounds: [a, b]"}, r"bounds must be the metric's smallest and largest value.*but got \['a', 'b'\]"),
        ({"more": "bounds: 3"}, r"bounds must be the metric's smallest and largest value.*but got 3"),
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


# -- what its values may be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domains", "says"),
    [
        ("a: {type: float, low: 0, high: 1, grid: [null]}", r"every grid value must lie in \[0, 1\], but got None"),
        ("a: {type: float, low: 0, high: 1, step: 0.1, grid: [null]}", "every grid value must lie in .* but got None"),
        ("a: {type: int, low: 0, high: 1, grid: [null]}", "every grid value must lie in .* but got None"),
        ("{a: {type: float, low: 0, high: 1}, b: {type: int, low: 0, high: 1, if: {a: null}}}",
         "b must depend on values of a in .* but got None"),
        ("a: {type: choice, values: [1, '1']}", "a: values must differ as text too, but got 1 and '1'; rename one"),
        ("a: {type: choice, values: [x, null, None]}", "values must differ as text too, but got None and 'None'"),
        ("a: {type: choice, values: [true, 'True']}", "values must differ as text too, but got True and 'True'"),
    ],
)  # fmt: skip
def test_a_space_with_values_that_cannot_be_tried_or_told_apart_is_refused(tmp_path, domains, says):
    space = domains if domains.startswith("{") else f"{{{domains}}}"
    path = tmp_path / "small.yaml"
    path.write_text(
        f"study: small\ntrainable: curves\nspace: {space}\nbudget: {{epochs: 8, max_epochs: 4}}\nmethods: [grid]\n"
    )
    with pytest.raises(StudyError, match=says):
        Study.load(path)


def test_a_doubled_key_is_named_without_the_whole_of_its_value(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(f"study: small\nspace:\n  a: {{type: choice, values: [{'x' * 9000}]}}\n  a: 1\n")
    with pytest.raises(StudyError, match='duplicate key "a"') as refused:
        Study.load(path)
    assert len(str(refused.value)) < 1000


# -- where its paths start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "weights", "found"),
    [
        ("photos", "DEFAULT", ("photos", "DEFAULT")),
        ("photos", "weights/a.pth", ("photos", "weights/a.pth")),
        ("photos", "a.pth", ("photos", "a.pth")),
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


def test_a_path_may_begin_with_the_home_folder_and_means_the_same_place_to_all_of_its_readers(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    study = load(tmp_path, data="{root: ~/photos}", model="{name: x, weights: ~/w/a.pth}")
    task = study.located()
    assert task["data"]["root"] == str(tmp_path / "home" / "photos")
    assert task["model"]["weights"] == str(tmp_path / "home" / "w" / "a.pth")
    study = study.model_copy(update={"store": "~/results"})
    assert checkpoint_place(study).startswith(f"{place(study.store).root}/")
    assert place("~nobody-of-this-name/results").root == tmp_path / "~nobody-of-this-name" / "results"


def test_a_presets_paths_start_at_the_working_folder(tmp_path):
    assert find("digits")[1] == Path()
    assert find(tmp_path / "small.yaml")[1] == tmp_path


# -- which is better ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        *(("val_loss", "min"), ("loss", "min"), ("validation_error", "min"), ("Error_rate", "min"), ("logloss", "min")),
        *(("val_accuracy", "max"), ("f1", "max"), ("val_auc", "max"), ("recall", "max"), ("top1_accuracy", "max")),
        *(("val_reward", None), ("map50", None), ("seconds", None), ("prefaccuracy", None)),
    ],
)
def test_the_mode_follows_from_the_metrics_name_or_must_be_given(tmp_path, metric, mode):
    if mode is None:
        with pytest.raises(StudyError, match=r"small\.yaml:11:1: mode must be min or max, because the metric's name"):
            load(tmp_path, more=f"metric: {metric}")
        with pytest.raises(StudyError, match=r"small\.yaml:11:1: early_stopping\.mode must be min or max, because"):
            load(tmp_path, more=f"early_stopping: {{patience: 2, metric: {metric}}}")
        mode = "min"
        study = load(
            tmp_path, more=f"metric: {metric}\nmode: min\nearly_stopping: {{patience: 2, metric: {metric}, mode: min}}"
        )
    else:
        study = load(tmp_path, more=f"metric: {metric}\nearly_stopping: {{patience: 2, metric: {metric}}}")
    assert (study.mode, study.definition["mode"], study.task["early_stopping"]["mode"]) == (mode, mode, mode)


def test_a_mode_that_is_given_holds_and_an_inferred_one_gives_the_same_digest(tmp_path):
    assert load(tmp_path, more="metric: val_loss\nmode: max").mode == "max"
    inferred, given = load(tmp_path), load(tmp_path, more="metric: val_accuracy\nmode: max")
    assert inferred.digest == given.digest == "bf72560915ca5c97"


def test_bounds_may_be_open_and_change_no_digest(tmp_path):
    bounded = load(tmp_path, more="bounds: [0, null]")
    assert bounded.definition["bounds"] == [0, None]
    assert bounded.digest == load(tmp_path).digest


# -- what YAML can say and no study means -------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "difference"), [("difference: 0.005", 0.005), ("difference: 1 %", "1 %"), ("", None)])
def test_a_study_names_the_difference_that_matters_and_its_results_do_not_depend_on_it(tmp_path, more, difference):
    found = load(tmp_path, more=more)
    assert found.difference == found.definition["difference"] == difference
    assert found.digest == load(tmp_path).digest


@pytest.mark.parametrize("given", ["0", "-0.01", "a point", "0 %", "'%'", "-1 %"])
def test_a_difference_that_is_none_is_refused_with_its_place(tmp_path, given):
    with pytest.raises(
        StudyError, match=r"11:\d+: difference must be a number above 0 in the metric's unit, or a percentage"
    ):
        load(tmp_path, more=f"difference: {given}")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("? [a]\n: 1", r"1:1: a key must be a single value, but got \('a',\)"),
        ("seeds: [1" + "0" * 400 + "]", r"11:9: a whole number must fit into 64 bits, but got 1000+\.\.\.0+$"),
        ("seeds: [" + "9" * 5000 + "]", "1:1: a study file must be valid YAML, but it cannot be read"),
        ("seeds: !!python/object:os.system [0]", "11:1: a value must be written without a tag, but got 'tag:yaml.org"),
        ("store: !!set {a, b}", "11:1: a value must be written without a tag, but got a CommentedSet"),
        ("prior: " + "[" * 300 + "]" * 300, "11:27: mappings and lists must be nested at most 20 deep"),
        ("prior: " + "[" * 5000, "11:27: mappings and lists must be nested at most 20 deep"),
        ("".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}' if i else 'x'] * 10)}]\n" for i in range(9)), "aliases must"),
        ("prior: &x [*x]", "11:1: prior: input should be a valid string"),
        ("checkpoints_gb: .inf", "11:1: a number must be finite, but got inf"),
        ("checkpoints_gb: .nan", "11:1: a number must be finite, but got nan"),
        ("store: 2001-99-99", "1:1: a study file must be valid YAML, but it cannot be read"),
        ("store: ' '", "11:1: store must not be blank, but got ' '"),
        ("metric: ''", "11:1: metric must not be blank, but got ''"),
        ("fixed: {' ': 1}", "11:9: a key must not be blank, but got ' '"),
        ('fixed: {"a\\nb": 1}', "11:9: a hyperparameter's name must be 1 to 100 characters"),
        ("seeds: [1000000000001]", "11:9: seeds.0 <= 1000000000000 must hold, but got 1000000000001"),
        ("mode: " + "x" * 5000, r"mode: input should be 'min' or 'max', but got 'x+\.\.\.x+'$"),
        (r'store: "a\ud800"', r"11:1: text must be UTF-8 without NUL, but got 'a\\ud800'; write it without that escape"),
        (r'fixed: {"a\0": 1}', r"11:9: text must be UTF-8 without NUL, but got 'a\\x00'"),
        ("store: \a", r"11:8: a study file must be valid YAML, but it has the special character '\\x07'"),
    ],
)  # fmt: skip
def test_what_no_study_means_is_refused_in_a_short_sentence_with_its_place(tmp_path, more, says):
    with pytest.raises(StudyError, match=says) as refused:
        load(tmp_path, more=more)
    assert str(refused.value).startswith(f"{tmp_path / 'small.yaml'}:")
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"epochs": 10**30}, "9:10: a whole number must fit into 64 bits"),
        ({"epochs": 10**10}, "budget.epochs <= 1000000000 must hold, but got 10000000000"),
        ({"trainable": "image_classifier", "data": "{name: digits, validation: []}"}, "validation must be a single value"),
        ({"data": "{folds: many}"}, "data.folds must be a whole number >= 1, but got 'many'"),
        ({"data": "{folds: 7}"}, "budget.max_epochs . data.folds <= budget.epochs must hold, but got .max_epochs=4, folds=7"),
        ({"methods": "[{random: {parallelism: true}}]"}, "parallelism >= 1 must hold"),
        ({"methods": "[{grid: {points: [1]}}]"}, "points must be a whole number"),
    ],
)  # fmt: skip
def test_numbers_and_values_without_measure_are_refused(tmp_path, part, says):
    from hpo.live.validation import validate

    with pytest.raises(StudyError, match=says):
        validate(load(tmp_path, **part))


@pytest.mark.parametrize("values", ["[[1], 2]", "[{a: 1}]"])
def test_a_choice_of_lists_or_mappings_is_refused_with_the_place_of_the_value(tmp_path, values):
    path = tmp_path / "small.yaml"
    load(tmp_path)
    path.write_text(path.read_text().replace("[adam, sgd]", values))
    with pytest.raises(
        StudyError, match=r"small\.yaml:8:\d+: a value must be a number, a text, true or false, but got"
    ):
        Study.load(path)


def test_a_budget_of_the_command_line_does_not_hide_a_budget_that_is_none(tmp_path):
    load(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(
        path.read_text().replace("{epochs: 24, max_epochs: 4}", "[24, 4]").replace("methods: [", "methods: {a: [")
    )
    path.write_text(path.read_text().replace("}}]", "}}]}"))
    with pytest.raises(StudyError, match="budget"):
        Study.load(path, epochs=8, methods=["random"])
