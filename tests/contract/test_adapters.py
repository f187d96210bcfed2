"""Others' training code as trainables: Optuna's objectives, Lightning's modules, Hugging Face's Trainer.

The documented examples keep the contract as they stand, and so do cases that are hard to resume exactly.
"""

from __future__ import annotations

import gc
import random
import sys

import pytest
from conftest import rows
from interrupted_study import kill, opened, play
from training_code import objectives
from without_ray import dispatching, play_to_the_end

import hpo
from hpo.study.study import Study
from tests import documented
from tests.documented import ROOT
from trainables import load
from trainables.contract import verify
from trainables.errors import BadStudy, Diverged, InvalidConfig, UnknownHyperparameter
from trainables.given import name_of
from trainables.task import Task

pytestmark = pytest.mark.usefixtures("one_thread", "offline")

DOCUMENTED = {  # page -> the module's name, and a call of `verify` where the page has none
    "optuna": (
        "sgd",
        ("optuna:sgd:objective", {"penalty": "elasticnet", "alpha": 1e-4, "l1_ratio": 0.5, "eta0": 0.01}),
    ),
    "lightning": ("lit", None),
    "huggingface": ("vit", None),
}
HARD = {
    "optuna:training_code.objectives:objective": {
        "optimizer": "sgd", "rate": 0.1, "momentum": 0.3, "layers": 2, "units_0": 4, "units_1": 8,
    },
    "lightning:training_code.lightning_modules:build": {"schedule": "epochs"},
    "lightning:training_code.lightning_modules:Tested": {"schedule": "plateau"},
    "huggingface:training_code.bert:build": {"learning_rate": 0.003},
}  # fmt: skip
GIVEN = HARD["optuna:training_code.objectives:objective"]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No hub, a working folder of the test's own, and the libraries' loggers as they were."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def made(name, config, *, epochs=4, seed=0, **task):
    return load(name)(config, task=Task.from_json(task), seed=seed, max_epochs=epochs)


@pytest.mark.parametrize("page", sorted(DOCUMENTED))
def test_the_documented_example_keeps_the_contract_as_it_stands(page, tmp_path):
    module, call = DOCUMENTED[page]
    path = ROOT / "docs" / "tutorials" / f"{page}.md"
    code, *more = documented.blocks(path, ("python",))
    assert len([line for line in code.splitlines() if line.strip()]) < 40
    (tmp_path / f"{module}.py").write_text(code)
    if call:
        verify(call[0], call[1])
    for block in more:  # a call of `verify`, or a study of a notebook's objective
        exec(block, {"__name__": "__main__"})
    sys.modules.pop(module)


@pytest.mark.parametrize("page", sorted(documented.ADAPTED))
def test_the_documented_study_killed_and_resumed_makes_the_same_comparison(page, tmp_path):
    """faults/test_driver_killed.py kills real drivers and workers."""
    name, path = documented.ADAPTED[page], documented.small_study(page, tmp_path)
    killed = opened(Study.load(path, store=str(tmp_path / "killed")))
    assert not play(killed, random.Random(0), slots=2, reports=6)
    kill(killed)
    for store in ("killed", "whole"):
        dispatch = opened(Study.load(path, store=str(tmp_path / store)))
        assert play(dispatch, random.Random(1), slots=2)
        dispatch.finish(complete=True)
    for table in ("runs", "charges", "failures", "exams"):
        found = [sorted(map(str, rows(tmp_path / store, table, name))) for store in ("killed", "whole")]
        assert found[0] == found[1], "the same rows; exams come in any order"
    sys.modules.pop(name)


@pytest.mark.parametrize("name", HARD)
def test_cases_that_are_hard_to_resume_keep_the_contract(name):
    verify(name, HARD[name])


# -- Optuna --------------------------------------------------------------------------------------------------------


def test_an_objective_is_paused_at_each_report_and_ends_there():
    objectives.ENDED.clear()
    made_ = made("optuna:training_code.objectives:objective", GIVEN)
    first = made_.train_epoch()
    assert first.keys() == {"value", "parameters"}
    assert first["parameters"] == 12
    assert made_.train_epoch()["value"] > first["value"] > 0
    assert objectives.ENDED == []
    made_.close()
    assert objectives.ENDED == ["0.1"]
    made("optuna:training_code.objectives:objective", GIVEN).train_epoch()
    gc.collect()
    made("optuna:training_code.objectives:objective", GIVEN)  # one that is forgotten ends when the next is made
    assert objectives.ENDED == ["0.1", "0.1"]


def test_after_its_last_epoch_an_objective_runs_to_its_end_and_is_tested_by_its_attributes():
    whole = made("optuna:training_code.objectives:objective", GIVEN, epochs=6)
    values = [whole.train_epoch()["value"] for _ in range(6)]
    assert whole.test() == whole.test() == {"test_value": values[-1]}
    part = made("optuna:training_code.objectives:objective", GIVEN, epochs=5)
    values = [part.train_epoch()["value"] for _ in range(5)]
    assert part.test() == {"value": values[-1], "parameters": 12}


@pytest.mark.parametrize(
    ("changed", "kind", "sentence"),
    [
        ({"rate": 2.0}, InvalidConfig, r"rate must lie in \[0.0001, 1\], but got 2.0"),
        ({"momentum": 0.2}, InvalidConfig, r"momentum must lie in \[0, 0.9\] by 0.3, but got 0.2"),
        ({"layers": 1.5}, InvalidConfig, r"layers must lie in \[1, 3\], but got 1.5"),
        ({"rate": True}, InvalidConfig, r"rate must lie in \[0.0001, 1\], but got True"),
        ({"optimizer": "lion"}, InvalidConfig, "optimizer must be one of sgd, adam, None, but got 'lion'"),
        (
            {"layers": 3},
            InvalidConfig,
            "the configuration must have units_2, which the objective suggests, but it has not",
        ),
        ({"ratte": 1.0}, UnknownHyperparameter, r"objective suggests \(optimizer, .*\), but got 'ratte'.*rate"),
        ({"optimizer": "adam"}, UnknownHyperparameter, "got 'momentum'.*depends on another needs an `if`"),
    ],
)
def test_a_configuration_outside_what_the_objective_suggests_is_refused_with_one_sentence(changed, kind, sentence):
    with pytest.raises(kind, match=sentence):
        made("optuna:training_code.objectives:objective", {**GIVEN, **changed}).train_epoch()


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution should be")
def test_conditional_suggestions_and_choices_that_are_no_plain_values_are_answered():
    config = {"optimizer": "None", "rate": 0.1, "layers": 1, "units_0": 4}
    assert made("optuna:training_code.objectives:objective", config).train_epoch()["parameters"] == 4
    assert made("optuna:training_code.objectives:unreported", {"x": 0.5, "y": "(1, 2)"}).train_epoch() == {
        "value": 2.25
    }


def test_an_objective_without_reports_is_one_epoch():
    name = "optuna:training_code.objectives:two"
    one = made(name, {"x": 5}, epochs=1)
    assert one.train_epoch() == one.test() == {"value_0": 5.0, "value_1": -5.0}
    with pytest.raises(BadStudy, match=rf"budget.max_epochs must be 1, because {name} reports no epochs") as error:
        one.train_epoch()
    assert error.value.location == ("budget", "max_epochs")
    assert made("optuna:training_code.objectives:Objective", {"x": 0.5}, epochs=1).train_epoch() == {"value": 1.5}


def test_an_objective_of_a_notebook_or_an_object_with_a_state_keeps_the_contract():
    width = 3

    def objective(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        for step in range(4):
            x += random.random() / width
            trial.report(x, step)
        return x

    class Shifted:
        def __init__(self, by):
            self.by = by

        def __call__(self, trial):
            return objective(trial) + self.by

    for each in (objective, Shifted(2.0), Shifted(2.0).__call__, lambda trial: objective(trial)):
        verify({"optuna": each}, {"x": 0.5})
    assert name_of({"optuna": Shifted(2.0)}) == name_of({"optuna": Shifted(2.0)}) != name_of({"optuna": Shifted(3.0)})


def test_an_objective_that_prunes_itself_is_invalid_and_one_that_reports_nan_has_diverged():
    with pytest.raises(InvalidConfig, match="must leave pruning to the study, but it pruned itself: negative"):
        made("optuna:training_code.objectives:pruned", {"x": -0.5}).train_epoch()
    with pytest.raises(Diverged, match="value must stay finite, but it became nan in epoch 1"):
        made("optuna:training_code.objectives:pruned", {"x": 0.5}).train_epoch()
    late = made("optuna:training_code.objectives:objective", GIVEN, epochs=7)
    for _ in range(6):
        late.train_epoch()
    with pytest.raises(InvalidConfig, match="ended after 6 epochs; lower"):
        late.train_epoch()


# -- Lightning -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "kind", "sentence"),
    [
        ({"rate": -1.0}, InvalidConfig, "the configuration must be possible, but: Invalid learning rate: -1.0"),
        ({"ratte": 1.0}, UnknownHyperparameter, "hyperparameters must be arguments of Net, but: .*'ratte'"),
        ({"poison": True}, Diverged, "_loss must stay finite, but it became nan in epoch 2"),
    ],
)
def test_what_lightning_refuses_is_invalid_and_a_loss_that_is_nan_has_diverged(config, kind, sentence):
    trainable = made("lightning:training_code.lightning_modules:Net", config)
    if kind is Diverged:
        trainable.train_epoch()
    with pytest.raises(kind, match=sentence):
        trainable.train_epoch()


def test_a_module_without_a_test_cannot_be_tested():
    trainable = made("lightning:training_code.lightning_modules:Net", {})
    trainable.train_epoch()
    with pytest.raises(BadStudy, match=r"must have a test for the final test, but: No `test_step\(\)`"):
        trainable.test()


def test_several_validation_loaders_have_a_metric_each_which_a_study_can_name(tmp_path):
    name = "lightning:training_code.lightning_modules:Several"
    plain = made("lightning:training_code.lightning_modules:Tested", {}).train_epoch()
    trainable = made(name, {})
    metrics = trainable.train_epoch()
    first, second = (f"val_loss/dataloader_idx_{i}" for i in range(2))
    assert metrics.keys() == {"train_loss", "draw", first, second, "near_size", "far_size"}
    assert metrics[first] == plain["val_loss"] != metrics[second]
    assert trainable.test() == {
        f"test_loss/dataloader_idx_{i}": metrics[each] for i, each in enumerate((first, second))
    }
    study = hpo.Study(
        name="several", trainable=name, space={"rate": hpo.Float(0.01, 0.1)}, budget={"epochs": 2, "max_epochs": 2},
        methods=["random"], metric=second, final={"seeds": 1}, store=tmp_path / "store",
    )  # fmt: skip
    assert study.mode == "min"
    play_to_the_end(dispatching(study))
    found = hpo.open(tmp_path / "store")["several"]
    assert found.compare(constraints=f"{first}<=9").runs[0].incumbent.test.keys() >= {"test_loss/dataloader_idx_1"}


def test_modules_of_the_package_pytorch_lightning_are_trained_by_its_trainer(tmp_path):
    code = (ROOT / "tests" / "training_code" / "lightning_modules.py").read_text()
    (tmp_path / "plain_modules.py").write_text(
        code.replace("import lightning\n", "import pytorch_lightning as lightning\n")
    )
    trainable = made("lightning:plain_modules:Tested", {}, epochs=2)
    trainable.train_epoch()
    trainable.save(tmp_path)
    resumed = made("lightning:plain_modules:Tested", {}, epochs=2)
    resumed.load(tmp_path)
    assert resumed.train_epoch() == trainable.train_epoch()
    assert resumed.test() == trainable.test()
    sys.modules.pop("plain_modules")


# -- Hugging Face --------------------------------------------------------------------------------------------------


def test_a_trainer_gets_the_studys_epochs_and_seed_and_says_nothing(capfd, tmp_path):
    name = "huggingface:training_code.bert:build"
    trainable = made(name, {"learning_rate": 0.003}, epochs=2, seed=5)
    epochs = [trainable.train_epoch() for _ in range(2)]
    assert epochs[1]["learning_rate"] < 0.2 * epochs[0]["learning_rate"]  # the cosine ends with the study's epochs
    expected = {"loss", "grad_norm", "learning_rate", "eval_near_loss", "eval_far_loss"}
    assert all(metrics.keys() == expected for metrics in epochs)
    other = made(name, {"learning_rate": 0.003}, epochs=2, seed=6)
    assert other.train_epoch() != epochs[0]
    trainable.save(tmp_path)
    assert (tmp_path / "checkpoint" / "config.json").is_file()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("config", "kind", "sentence"),
    [
        ({"learning_rate": 0.01, "width": 15}, InvalidConfig, "the configuration must be possible, but: .*hidden size"),
        ({"learning_rate": 1e30}, Diverged, "must stay finite, but it became nan in epoch 1"),
    ],
)
def test_what_transformers_refuses_is_invalid_and_a_loss_that_is_nan_has_diverged(config, kind, sentence):
    with pytest.raises(kind, match=sentence):
        made("huggingface:training_code.bert:build", config).train_epoch()


def test_a_trainer_without_test_data_cannot_be_tested():
    trainable = made("huggingface:training_code.bert:build", {"learning_rate": 0.01}, data={"test": False})
    trainable.train_epoch()
    with pytest.raises(BadStudy, match=r"must return \(trainer, test_dataset\) for the final test"):
        trainable.test()
