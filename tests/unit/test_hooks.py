"""Hooks of a user's class: named in a study or in a subclass, exact with kept activations, refused in one sentence."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest
import torch
from own_hooks import Augment, Broken, Groups, Headless, Loss, Metrics, Mine, Model, Nameless, Nothing, Own, Squared
from reuse import TINY

from hpo.live.validation import validate
from hpo.study.study import Study, StudyError
from trainables.contract import verify
from trainables.errors import BadData, BadStudy, NotHere
from trainables.hooks import Hooks
from trainables.image_classifier import ImageClassifier
from trainables.parameter_groups import Group
from trainables.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")


def task_of(hooks=None, about=TINY):
    named = {"hooks": hooks if isinstance(hooks, str) else f"own_hooks:{hooks.__name__}"} if hooks else {}
    return {"data": about, "model": {"name": "digits_net", **named}}


def classifier(hooks=None, kind=ImageClassifier, about=TINY, **config):
    config = {"image_size": 16, "batch_size": 8, "dropout": 0.0, "finetuned_layers": 7, **config}
    return kind(config, task=task_of(hooks, about), seed=0, max_epochs=4)


def curve(*given, epochs=2, **more):
    model = classifier(*given, **more)
    return [{k: v for k, v in model.train_epoch().items() if "second" not in k} for _ in range(epochs)]


@pytest.mark.parametrize("kind", ["image_classifier", "own_hooks:Mine"])
def test_the_contract_holds_with_all_hooks(kind):
    config = {"image_size": 16, "batch_size": 8, "finetuned_layers": 7, "ema_decay": 0.5}
    verify(kind, config, task=task_of(Own if kind == "image_classifier" else None))


def test_a_subclass_trains_as_the_named_hooks_do():
    assert curve(kind=Mine) == curve(Own)


@pytest.mark.parametrize("more", [{}, {"mixup_alpha": 0.3, "accumulation_steps": 2}])
def test_a_loss_of_cross_entropy_changes_nothing_and_another_one_does(more):
    weighted = {**TINY, "class_weights": "balanced"}
    usual = curve(about=weighted, **more)
    for one, other in zip(curve(Loss, about=weighted, **more), usual, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert curve(Squared, **more)[-1]["val_loss"] != pytest.approx(usual[-1]["val_loss"], abs=1e-3)


@pytest.mark.parametrize("hooks", [Loss, Groups, Model, Metrics])
def test_activations_are_still_kept_and_give_the_same_metrics(hooks):
    kept = classifier(hooks)
    kept.train_epoch()
    assert kept.models[0].training.kept is not None
    for one, other in zip(curve(hooks), curve(hooks, reuse_activations=False), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_a_changed_model_has_activations_of_its_own(caplog):
    caplog.set_level(logging.INFO, "trainables.features")
    usual = curve()
    caplog.clear()
    changed = curve(Model)
    assert "computing activations" in caplog.text
    caplog.clear()
    assert curve(Model) == changed
    assert "computing" not in caplog.text, "what is kept must not be computed again"
    assert changed != usual
    assert curve() == usual


def test_images_that_a_hook_alters_are_not_reused_and_the_log_says_so(caplog):
    caplog.set_level(logging.INFO)
    model = classifier(Augment)
    model.train_epoch()
    assert "activations of the training images are not reused: augmentation hook alters them" in caplog.text
    assert model.models[0].training.kept is None


def test_the_groups_are_those_of_the_optimizer():
    (model,) = classifier(Groups, learning_rate=0.01).models
    model._enter(model.stage(1))
    model.part.set_rate(0.01)
    head, rest = model.part.optimizer.param_groups
    assert (head["lr"], head["weight_decay"], len(head["params"])) == (0.1, 0.01, 2)
    assert (rest["lr"], rest["weight_decay"]) == (0.01, 0.0)


def test_own_metrics_are_reported_of_validation_and_test():
    model = classifier(Metrics)
    metrics, tested = model.train_epoch(), model.test()
    assert metrics["val_accuracy"] <= metrics["val_top3"] <= 1
    assert tested["test_accuracy"] <= tested["test_top3"] <= 1
    assert "top3" not in metrics


@pytest.mark.parametrize(
    ("hooks", "error", "reason"),
    [
        ("own_hooks", BadStudy, "model.hooks must be package.module:Class, but got 'own_hooks'"),
        ("own_hooks:None_such", BadStudy, "must exist, but own_hooks has no 'None_such'"),
        ("own_hooks:cross_entropy", BadStudy, "must name a class, but 'own_hooks:cross_entropy' is a function"),
        ("no_module_of_this_name:Own", NotHere, "must be importable, but: No module named 'no_module_of_this_name'"),
        (
            Nothing,
            BadStudy,
            "must have at least one of loss, optimizer_groups, augment, model, metrics, but Nothing has none",
        ),
        (Nameless, BadStudy, "must have both metrics and metric_names or neither, but Nameless has one"),
        (Headless, BadData, "the hook model must return a model with a Head, but returned Linear"),
    ],
)
def test_hooks_that_cannot_be_used(hooks, error, reason):
    with pytest.raises(error, match=reason):
        classifier(hooks)


def test_what_hooks_return_is_checked():
    hooks = Hooks.of(Broken)
    with pytest.raises(BadData, match="must return each parameter once, but 'a' is missing, unknown or twice"):
        hooks.grouped([Group(("a", "b"), 0.0)], None)
    with pytest.raises(BadData, match=r"must return finite numbers for top5, but returned .*top3"):
        hooks.measured(torch.eye(4), torch.arange(4))


STUDY = """study: own
trainable: image_classifier
data: {name: digits, train: 40}
model: {name: digits_net, hooks: HOOKS}
space:
  learning_rate: {type: float, low: 0.001, high: 0.01}
fixed: {image_size: 16}
budget: {epochs: 4, max_epochs: 2}
methods: [random]
metric: val_top3
mode: max
"""


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("", "", None),
        (
            "trainable: image_classifier",
            "trainable: own_hooks:Mine",
            "model.hooks must be left out, because the trainable",
        ),
        ("train: 40", "train: 40, augment: paper001", "data.augment must be none where a hook augments"),
        (
            "image_size: 16",
            "image_size: 16, label_smoothing: 0.1",
            "label_smoothing must be left out where a hook",
        ),
        ("own_hooks:Own", "own_hooks:Nothing", "hooks must have at least one of"),
        ("own_hooks:Own", "no_module_of_this_name:Own", "must be importable, but: No module named"),
        ("own_hooks:Own", "own_hooks:Loss", "10:1: metric must be one of the metrics"),
        ("image_size: 16", "image_size: 16, lora_rank: 4", "7:25: lora_rank must be 0 where finetuned_layers is 0"),
        ("image_size: 16", "image_size: 16, min_rate_factor: 0.5", "min_rate_factor must be 0 without schedule cosine"),
        ("image_size: 16", "image_size: 32, test_image_size: 8", None),
        (
            "image_size: 16",
            "image_size: 32, test_image_size: -8",
            "7:25: test_image_size must be finite and >= 0, but got -8",
        ),
        ("image_size: 16", "image_size: 16, optimizer: ridge", "7:25: optimizer ridge, which solves"),
    ],
)
def test_a_study_is_checked_before_it_runs(tmp_path, monkeypatch, was, now, says):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("HOOKS", "own_hooks:Own").replace(was, now, 1))
    study = Study.load(path)
    if says is None:
        validate(study)
        assert "hooks" in str(study.task)
        return
    with pytest.raises(StudyError) as refused:
        validate(study)
    assert says in str(refused.value)


def test_a_vision_transformer_is_tested_with_the_size_that_it_is_made_for(tmp_path):
    text = STUDY.replace("digits_net, hooks: HOOKS", "vit_b_16, weights: none").replace("val_top3", "val_accuracy")
    path = tmp_path / "study.yaml"
    path.write_text(text.replace("image_size: 16", "image_size: 32, test_image_size: 48"))
    with pytest.raises(StudyError, match="7:25: test_image_size must suit the model, but got 48"):
        validate(Study.load(path))
    path.write_text(text.replace("image_size: 16", "image_size: 32, test_image_size: 32"))
    validate(Study.load(path))


def test_hooks_are_a_part_of_what_a_trial_is_known_by(tmp_path):
    digests = []
    for name in ("own_hooks:Own", "own_hooks:Metrics"):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.replace("HOOKS", name))
        digests.append(Study.load(path).task_digest)
    assert digests[0] != digests[1]


def test_the_documented_example_trains_and_its_study_is_accepted(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "fine-tuning.md").read_text()
    hooks, subclass = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    recipe, focal = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "hooks.py").write_text(hooks + subclass)
    (tmp_path / "focal.yaml").write_text(focal)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    study = Study.load(tmp_path / "focal.yaml")
    validate(study)
    config = {**study.fixed, "learning_rate": 0.01}
    model = ImageClassifier(config, task=study.located(), seed=0, max_epochs=3)
    found = model.train_epoch()
    assert found["val_top3"] >= found["val_accuracy"] > 0.3
    (tmp_path / "recipe.yaml").write_text(recipe)
    Settings.of({**Study.load(tmp_path / "recipe.yaml").fixed, "learning_rate": 1e-3, "mixup_alpha": 0.2})
    sys.modules.pop("hooks", None)
