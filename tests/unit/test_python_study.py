"""A study from Python values: the same study as a file's, refused in the same sentences, written so that it loads the same."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpo
from hpo.study.study import presets

DIGITS: dict[str, Any] = {
    "name": "digits",
    "trainable": "image_classifier",
    "data": {"name": "digits", "train": 30, "validation": 500, "test": 500, "seed": 0},
    "model": {"name": "digits_net", "weights": "DEFAULT"},
    "space": {
        "learning_rate": hpo.Float(1e-5, 0.1, log=True, grid=[0.0001, 0.01]),
        "dropout": hpo.Float(0.01, 0.4, grid=[0.2]),
        "optimizer": hpo.Choice(["adam", "adadelta", "rmsprop", "sgd"], grid=["adam", "sgd"]),
        "finetuned_layers": hpo.Choice([4, 10, 16, "all"], grid=[4, "all"]),
    },
    "fixed": {"batch_size": 8, "image_size": 24},
    "budget": {"epochs": 128, "max_epochs": 16},
    "methods": ["grid", "random", "bayesian", {"asha": {"min_epochs": 1, "eta": 4}}],
    "seeds": list(range(10)),
    "final": {"retrain": "none"},
}


def study(**changes: Any) -> hpo.Study:
    plain: dict[str, Any] = {
        "name": "small", "trainable": "curves", "space": {"rate": hpo.Float(0, 1)}, "methods": ["random"],
        "budget": {"epochs": 8, "max_epochs": 4},
    }  # fmt: skip
    return hpo.Study(**{**plain, **changes})


def test_a_study_from_values_is_that_of_the_file() -> None:
    made, read = hpo.Study(**DIGITS), hpo.Study.load("digits")
    assert made.digest == read.digest
    assert made.definition == read.definition
    assert isinstance(read, hpo.Study)


def test_every_key_of_a_study_file_can_be_given() -> None:
    keys = {field.alias or name for name, field in hpo.Study.model_fields.items()} - {"folder", "study"}
    assert set(inspect.signature(hpo.Study).parameters) == {*keys, "name"}


@pytest.mark.parametrize("condition", ["when", "if"])
def test_a_condition_makes_a_hyperparameter_exist_for_some_values_of_others(condition: str) -> None:
    momentum: Any = {"type": "float", "low": 0, "high": 1, condition: {"optimizer": "sgd"}}
    made = study(space={"optimizer": hpo.Choice(["adam", "sgd"]), "momentum": momentum})
    assert made.space.conditions == {"momentum": {"optimizer": ("sgd",)}}
    same = study(
        space={"optimizer": hpo.Choice(("adam", "sgd")), "momentum": hpo.Float(0, 1, when={"optimizer": "sgd"})}
    )
    assert same.digest == made.digest


def test_a_hyperparameter_may_be_called_when() -> None:
    assert study(space={"when": hpo.Int(1, 3)}).space.names == ("when",)


def test_values_of_other_libraries_count_as_plain_ones(tmp_path: Path) -> None:
    made = study(
        seeds=range(2), start=[{"rate": np.float64(0.5), "k": np.int64(1)}], parallelism=np.int64(3), store=tmp_path,
        space={"rate": hpo.Float(0, np.float32(1)), "k": hpo.Choice(np.array([1, 2]).tolist())}, fixed={"a": np.True_},
    )  # fmt: skip
    assert (made.seeds, made.parallelism, made.store, made.fixed) == ([0, 1], 3, str(tmp_path), {"a": True})
    assert hpo.Study.load(written(made, tmp_path)).digest == made.digest


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budget": {"epochs": 2, "max_epochs": 4}}, "budget.max_epochs <= budget.epochs must hold"),
        ({"budget": {"epochs": 2, "max_epochz": 2}}, "unknown key 'max_epochz' in budget; did you mean 'max_epochs'?"),
        ({"space": {}}, "space must name at least one hyperparameter"),
        ({"space": {"rate": {"type": "flaot"}}}, "rate.type must be float, int or choice, but got 'flaot'"),
        ({"space": {"rate": 3}}, "space"),
        ({"space": [1]}, "space"),
        ({"name": "no such/name"}, "study must be letters, digits"),
        ({"methods": []}, "methods"),
        ({"metric": "quality"}, "mode must be"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"start": [{"rate": 3.0}]}, "rate"),
    ],
)
def test_what_cannot_hold_is_refused_in_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(hpo.HpoError, match=r"^[^\n]+$") as refused:
        study(**changes)
    assert sentence in str(refused.value)


def test_a_domain_that_cannot_hold_is_refused_where_it_is_written() -> None:
    with pytest.raises(hpo.HpoError, match="low <= high must hold"):
        hpo.Float(2, 1)
    with pytest.raises(hpo.HpoError, match="every grid value must lie in"):
        hpo.Int(1, 4, grid=[9])
    with pytest.raises(hpo.HpoError, match="values must differ"):
        hpo.Choice(["a", "a"])
    with pytest.raises(hpo.HpoError, match="low must be a number, but got 'a'"):
        hpo.Float("a", 1)  # type: ignore[arg-type]
    with pytest.raises(hpo.HpoError, match=r"low must be a whole number, but got 0\.5"):
        hpo.Int(0.5, 3)  # type: ignore[arg-type]
    with pytest.raises(hpo.HpoError, match="a choice must be given a list of its values, but got 'abc'"):
        hpo.Choice("abc")
    with pytest.raises(hpo.HpoError, match=r"a choice must be given a list of its values, but got \{1\}"):
        hpo.Choice({1})  # type: ignore[arg-type]


# -- files --------------------------------------------------------------------------------------------------------


def written(made: hpo.Study, folder: Path) -> Path:
    made.to_yaml(folder / "study.yaml")
    return folder / "study.yaml"


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_written_and_loaded_as_the_same_study(name: str, tmp_path: Path) -> None:
    before = hpo.Study.load(name)
    after = hpo.Study.load(written(before, tmp_path))
    assert (after.digest, after.definition) == (before.digest, before.definition)


def test_what_is_not_in_the_definition_is_written_too(tmp_path: Path) -> None:
    made = study(priority=2, owner="me", resources={"cpus": 2, "min_workers": 1, "max_workers": 3})
    read = hpo.Study.load(written(made, tmp_path))
    assert (read.priority, read.owner, read.resources) == (2, "me", made.resources)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(TEXTS, st.integers(-(2**40), 2**40), st.booleans()), min_size=1, max_size=4, unique_by=str),
    st.floats(1e-12, 1e12),
    st.sampled_from(["yes", "null", "1e-5", "2020-01-01", "0x1F", "~", "a: b", "# no", "- x", "{", "'", "on", "1_000"]),
)
def test_any_value_is_written_and_loaded_as_itself(options: list[Any], high: float, text: str) -> None:
    import tempfile

    if any(not option.strip() for option in options if isinstance(option, str)):
        options = [text]
    made = study(
        space={"rate": hpo.Float(0, high), "kind": hpo.Choice(options)}, data={"note": text, "deep": [{"x": high}]}
    )
    with tempfile.TemporaryDirectory() as folder:
        read = hpo.Study.load(written(made, Path(folder)))
    assert read.digest == made.digest
    assert (read.space_file, read.data) == (made.space_file, made.data)


def test_a_function_given_as_an_object_is_checked_but_cannot_be_written() -> None:
    def train(config: dict[str, float], *, seed: int) -> Any:
        while True:
            yield {"val_accuracy": config["rate"]}

    made = study(trainable=train)
    assert made.trainable.startswith("given:train@")
    assert "given:train@" in str(made.check())
    with pytest.raises(hpo.HpoError, match="a study file must name its trainable"):
        made.to_yaml()
    with pytest.raises(hpo.HpoError, match="a trainable must be a class, a function or a name"):
        study(trainable=3)


def test_a_class_that_can_be_imported_is_given_by_its_name() -> None:
    from trainables.curves import Curves

    assert study(trainable=Curves).trainable == "trainables.curves:Curves"


def test_a_file_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(hpo.HpoError, match="must be a file that can be written"):
        study().to_yaml(tmp_path)


# -- the plan -----------------------------------------------------------------------------------------------------


def test_check_returns_the_plan_that_the_command_prints(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from hpo.cli.app import app

    made = study(methods=["grid", {"asha": {"eta": 2}}], seeds=[0, 1], store=tmp_path / "none")
    answer = CliRunner().invoke(app, ["check", str(written(made, tmp_path))], catch_exceptions=False)
    assert answer.stdout.strip() == str(made.check())
    assert repr(made) == "<Study small: grid, asha over rate>"


def test_check_refuses_what_a_run_refuses() -> None:
    with pytest.raises(hpo.HpoError, match="trainable"):
        study(trainable="no.such.module:Class").check()


def test_a_cluster_that_does_not_answer_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(hpo.HpoError, match=r"a Ray cluster must answer at nowhere\.invalid:1"):
        hpo.run(study(), store=tmp_path, address="nowhere.invalid:1")
    with pytest.raises(hpo.HpoError, match=r"a Ray cluster must answer at nowhere\.invalid:1"):
        study().check(address="nowhere.invalid:1")


def test_another_store_changes_nothing_else(tmp_path: Path) -> None:
    made = study()
    assert made.definition["store"] == "results"
    moved = made.stored_in(tmp_path)
    assert (moved.definition["store"], made.store, moved.digest) == (str(tmp_path), "results", made.digest)
