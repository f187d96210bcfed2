"""The space of an objective of Optuna, found by calling it, and the study that `hpo init --optuna` writes of it."""

from __future__ import annotations

import pytest
from training_code import objectives

import hpo
from hpo import cli
from hpo.study.study import Study
from trainables.adapters.optuna_space import space_of


def ended(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def test_every_kind_of_range_and_the_choices_that_decide_about_others_are_found():
    found = space_of(objectives.objective)
    units = {"type": "int", "low": 4, "high": 64, "log": True}
    assert found.space == {
        "optimizer": {"type": "choice", "values": ["sgd", "adam", "None"]},
        "rate": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.3, "if": {"optimizer": "sgd"}},
        "layers": {"type": "int", "low": 1, "high": 3},
        "units_0": units,
        "units_1": {**units, "if": {"layers": [2, 3]}},
        "units_2": {**units, "if": {"layers": 3}},
    }
    assert (found.reports, found.remarks) == (6, [])


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution should be")
def test_choices_that_a_study_file_cannot_hold_are_named_by_their_text():
    found = space_of(objectives.unreported)
    assert found.space["y"] == {"type": "choice", "values": ["(1, 2)", "(3,)"]}
    assert found.reports == 0


def test_a_branch_that_fails_is_told_and_gives_what_it_suggested_before():
    found = space_of(objectives.failing)
    assert found.space == {
        "kind": {"type": "choice", "values": ["a", "b"]},
        "x": {"type": "float", "low": 0.0, "high": 1.0},
    }
    assert found.remarks == ["With kind = b it raised: b does not work here. What it suggests after that is missing."]


def test_ranges_that_depend_on_the_branch_and_two_choices_at_once_are_told():
    def objective(trial):
        a = trial.suggest_categorical("a", [1, 2])
        b = trial.suggest_categorical("b", [1, 2])
        trial.suggest_int("n", 1, 100 * a)
        if a == 1 or b == 1:
            trial.suggest_float("either", 0.0, 1.0)
        if a == 1 and b == 1:
            trial.suggest_float("both", 0.0, 1.0)

    found = space_of(objective)
    assert found.remarks == [
        "n has different ranges in different branches; the first is written.",
        "both is not always suggested, and no single choice decides it: add its `if`.",
    ]


def test_init_writes_a_study_of_an_objective_that_loads(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = ended(capsys, "init", "--optuna", "training_code.objectives:failing", "-o", "mine.yaml")
    assert (code, out) == (0, "mine.yaml\n")
    assert err.startswith("note: With kind = b it raised: b does not work here.")
    study = Study.load(tmp_path / "mine.yaml")
    assert study.trainable == "optuna:training_code.objectives:failing"
    assert (study.budget.max_epochs, study.metric, study.mode) == (1, "value", "min")
    said = " ".join((tmp_path / "mine.yaml").read_text().replace("\n#", "").split())
    assert "Not seen: what it suggests later, or only where two choices differ from their first at once." in said
    assert "b does not work here" in said


def test_python_finds_the_space_of_a_notebooks_objective_and_warns_of_what_it_could_not_see():
    def objective(trial):
        kind, rate = trial.suggest_categorical("kind", ["a", "b"]), trial.suggest_float("rate", 0.1, 1.0)
        return rate / (kind == "a")

    with pytest.warns(UserWarning, match=r"With kind = b it raised: .*What it suggests after that is missing"):
        space = hpo.space_of(objective)
    study = hpo.Study(
        name="mine", trainable={"optuna": objective}, space=space, budget={"epochs": 3, "max_epochs": 1}, methods=["grid"],
        metric="value", mode="min",
    )  # fmt: skip
    assert study.trainable.startswith("optuna:given:objective@")
    assert study.space.names == ("kind", "rate")
    with pytest.raises(hpo.HpoError, match=r'was given as an object; .* trainable="optuna:module:name"'):
        study.to_yaml()
    assert hpo.space_of("training_code.objectives:two") == {"x": {"type": "int", "low": 0, "high": 10, "step": 5}}


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        (lambda trial: 3, r"before its first report, but it suggests none$"),
        (lambda trial: trial.nothing, "but it suggests none: it raised '?_Asking'? object has no attribute 'nothing'"),
        ("training_code.objectives:gone", "training_code.objectives has no 'gone'"),
        (3, "a trainable must be a class, a function or a name, but got 3"),
    ],
)
def test_python_refuses_what_is_no_objective_with_one_sentence(objective, sentence):
    with pytest.raises(hpo.HpoError, match=sentence):
        hpo.space_of(objective)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--optuna", "training_code.objectives:gone"], "but training_code.objectives has no 'gone'"),
        (["--optuna", "no_such_module:objective"], "No module named 'no_such_module'; is its folder on PYTHONPATH?"),
        (["--optuna", "objective"], "--optuna must be package.module:objective, but got 'objective'"),
        (["--optuna", "training_code.objectives:objective", "photos"], "--optuna excludes a FOLDER of images"),
        (["--optuna", "random:random"], "must suggest a hyperparameter before its first report, but it suggests none"),
    ],
)
def test_init_refuses_what_is_no_objective_with_one_sentence(capsys, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = ended(capsys, "init", *arguments)
    assert code == 2
    assert sentence in err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []
