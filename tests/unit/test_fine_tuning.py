"""Fine-tuning: exact in every way it can be paused, cached or shared; and what ends a trial is told by name."""

from __future__ import annotations

import gc
import logging
import math
import os
import resource
import statistics
import weakref
from pathlib import Path

import pytest
import torch
from reuse import NETWORKS, SMALL_VIT, TINY, curves, farthest
from torch.nn.functional import cross_entropy

from trainables import fine_tuning, network
from trainables.batches import split_batches
from trainables.contract import verify
from trainables.draws import Draws
from trainables.errors import BadData, Diverged, InvalidConfig, OutOfMemory
from trainables.image_classifier import ImageClassifier
from trainables.machine import Machine
from trainables.probe import PROBE_STEPS, probing
from trainables.steps import Steps

DIGITS = {"name": "digits", "train": 80, "validation": 40, "test": 40}


pytestmark = pytest.mark.usefixtures("one_thread")


def task_of(name="digits_net", about=DIGITS, **more):
    return {"data": about, "model": {"name": name, "weights": "none"}, **more}


def classifier(config=None, task=None, seed=0, max_epochs=4):
    return ImageClassifier(
        {"image_size": 16, "batch_size": 16, **(config or {})}, task=task or task_of(), seed=seed, max_epochs=max_epochs
    )


def plain(metrics):
    return {name: value for name, value in metrics.items() if "second" not in name}


CONTRACTS = {
    "head only": ("mobilenet_v2", {"data": TINY}, {"image_size": 32, "finetuned_layers": 0}),
    "mobilenet, augmented, class weights, early stopping": (
        "mobilenet_v2",
        {
            "data": {**TINY, "augment": "flips_crops", "class_weights": "log"},
            "early_stopping": {"patience": 2, "metric": "val_loss", "mode": "min"},
        },
        {"image_size": 32, "finetuned_layers": "20", "optimizer": "rmsprop", "dropout": 0.3},
    ),
    "shufflenet, augmented copies, two stages and thawing": (
        "shufflenet_v2_x0_5",
        {"data": {**TINY, "augment": "paper001"}},
        {
            "image_size": 32,
            "finetuned_layers": 9,
            "head_epochs": 1,
            "unfreeze_every": 1,
            "unfreeze_rate_factor": 0.5,
            "optimizer": "sgd",
            "momentum": 0.9,
            "nesterov": True,
            "clip_norm": 1.0,
            "schedule": "one_cycle",
        },
    ),
    "efficientnet, augmented": (
        "efficientnet_b0",
        {"data": {**TINY, "augment": "randaugment"}},
        {"image_size": 32, "finetuned_layers": 30, "optimizer": "adamw", "weight_decay": 1e-3, "schedule": "cosine"},
    ),
    "folds": (
        "digits_net",
        {"data": {"name": "digits", "folds": 2, "train": 40, "test": 10}},
        {"finetuned_layers": "all", "optimizer": "adadelta"},
    ),
    "vision transformer": (
        "vit_b_16",
        {"data": TINY},
        {"image_size": 32, "finetuned_layers": "all", "label_smoothing": 0.1, **SMALL_VIT},
    ),
}


@pytest.mark.parametrize("case", CONTRACTS)
def test_paused_resumed_repeated_and_tested_it_trains_the_same_bits(case):
    name, task, config = CONTRACTS[case]
    config = {"learning_rate": 1e-3, "batch_size": 16, "image_size": 16, **config}
    verify("image_classifier", config, task={**task_of(name), **task})


@pytest.mark.parametrize("name", NETWORKS)
def test_kept_activations_give_the_metrics_of_a_whole_pass(name):
    layers = NETWORKS[name][2]  # every value of finetuned_layers: tests/bench/bench_exactness.py
    for count, kept, anew in curves(name, [0, 9, layers // 2, layers - 1]):
        assert farthest(kept, anew) <= 1e-5, f"finetuned_layers={count}"


def test_a_later_cut_starts_from_what_an_earlier_one_kept(caplog):
    caplog.set_level(logging.INFO, "trainables.features")
    classifier({"finetuned_layers": 9}).train_epoch()
    classifier({"finetuned_layers": 3}).train_epoch()
    assert "at features_15, from images" in caplog.text
    assert "at features_21, from features_15" in caplog.text
    caplog.clear()
    classifier({"finetuned_layers": 3}, seed=0).train_epoch()
    assert "computing" not in caplog.text, "what is kept must not be computed again"
    classifier({"finetuned_layers": 3}, seed=1).train_epoch()
    assert "computing" in caplog.text, "other random weights have other activations"


def test_without_room_activations_are_computed_in_every_epoch_and_the_log_says_so(monkeypatch, caplog):
    expected = [plain(m.train_epoch()) for m in [classifier({"finetuned_layers": 9})] for _ in range(2)]
    monkeypatch.setenv("HPO_ACTIVATIONS_DISK", "1K")
    monkeypatch.setenv("HPO_CACHE", os.environ["HPO_CACHE"] + "-other")
    model = classifier({"finetuned_layers": 9})
    found = [plain(model.train_epoch()) for _ in range(2)]
    assert "exceed the limits" in caplog.text
    assert found == [pytest.approx(row, abs=1e-5) for row in expected]


@pytest.mark.parametrize(
    ("config", "augment", "reason"),
    [
        ({"finetuned_layers": 9}, "flips_crops", "augmentation flips_crops alters them"),
        ({"finetuned_layers": "all"}, "none", "what is trained begins before the first place where they could be kept"),
        ({"finetuned_layers": 9, "reuse_activations": False}, "none", "reuse_activations is off"),
    ],
)
def test_reuse_is_off_where_it_would_be_inexact_and_the_log_has_the_reason(caplog, config, augment, reason):
    caplog.set_level(logging.INFO)
    model = classifier(config, task_of(about={**TINY, "augment": augment}))
    model.train_epoch()
    assert f"activations of the training images are not reused: {reason}" in caplog.text
    (single,) = model.models
    assert single.training.kept is None
    assert (single.validation.kept is not None) == (augment != "none"), "validation images are not altered"


def test_copies_make_an_epoch_longer_and_only_what_is_trained_is_saved(tmp_path):
    model = classifier({"finetuned_layers": 3}, task_of(about={**DIGITS, "augment": "paper001"}))
    model.train_epoch()
    assert model.models[0].feed.samples == 4 * 80
    model.save(tmp_path)
    file = tmp_path / "trial.safetensors"
    trained = sum(p.numel() for p in model.models[0].part.parameters)
    assert 12 * trained < file.stat().st_size < 12 * trained + 8192, "what is trained, with Adam's two moments"


def test_it_learns_real_digits():
    about = {"name": "digits", "validation": 0.2}
    model = classifier(
        {"finetuned_layers": "all", "batch_size": 32, "schedule": "one_cycle", "learning_rate": 0.01},
        task_of(about=about),
        max_epochs=3,
    )
    for _ in range(3):
        metrics = model.train_epoch()
    results = model.test()
    assert metrics["val_accuracy"] > 0.95
    assert results["test_accuracy"] > 0.93
    matrix = torch.tensor(results["confusion"])
    assert matrix.shape == (10, 10)
    assert float(matrix.diagonal().sum() / matrix.sum()) == pytest.approx(results["test_accuracy"])


def test_early_stopping_tests_the_best_epochs_weights(tmp_path):
    stopping = {"patience": 3, "metric": "val_accuracy", "mode": "max"}
    model = classifier({"finetuned_layers": 5}, task_of(early_stopping=stopping))
    model.train_epoch()
    best = model.test()
    (single,) = model.models
    single._best = (9.0, single.part.copy())
    model.train_epoch()
    assert model.test() == best
    model.save(tmp_path)
    other = classifier({"finetuned_layers": 5}, task_of(early_stopping=stopping))
    other.load(tmp_path)
    assert other.test() == best
    assert plain(other.train_epoch()) == plain(model.train_epoch()), "training goes on from the last epoch's weights"


def test_the_loss_is_torchs_with_class_weights_and_smoothing():
    task = task_of(about={**DIGITS, "train": 30, "class_weights": "balanced"})
    (model,) = classifier({"label_smoothing": 0.1, "dropout": 0.0, "learning_rate": 1e-12}, task).models
    model.class_weights = torch.linspace(0.5, 2.0, 10)
    model.choose(model.stage(1))
    source = model.feed.training(model.part.cut)
    batch = torch.tensor([0, 3, 11, 29])
    steps = model.steps(source)
    steps.take([batch], [batch], Draws(0, 0), 0)
    logits = source.section(model.feed.inputs(source, batch)).detach()
    expected = cross_entropy(logits, source.labels[batch], model.class_weights, label_smoothing=0.1)
    assert float(steps.loss) / len(batch) == pytest.approx(float(expected), rel=1e-6)
    assert torch.equal(steps.predicted[batch], logits.argmax(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_the_loss_of_an_evaluation_has_no_part_of_the_configuration(smoothing, weights):
    about = {**DIGITS, "train": 30, "class_weights": weights}
    config = {"learning_rate": 1e-30, "optimizer": "sgd", "dropout": 0.0}  # the weights stay as the seed drew them
    model = classifier({**config, "label_smoothing": smoothing}, task_of(about=about))
    reported = model.train_epoch()["val_loss"], model.test()["test_loss"]
    (single,) = model.models
    for split, found in zip((single.dataset.validation, single.dataset.test), reported, strict=True):
        with torch.no_grad():
            logits = single.model.eval()(single.machine.prepare(split.images))
        given = single.dataset.class_weights(weights)
        assert found == pytest.approx(float(cross_entropy(logits, split.labels, given)), rel=1e-5)
    plain_ones = classifier({**config, "label_smoothing": 0.0}, task_of(about=about))
    assert reported == (plain_ones.train_epoch()["val_loss"], plain_ones.test()["test_loss"])


@pytest.mark.parametrize("count", [15, 16, 17, 18, 33])
def test_no_batch_of_one_is_left_over(count):
    batches = split_batches(torch.arange(count), 16)
    assert torch.equal(torch.cat(batches), torch.arange(count))
    assert all(len(batch) > 1 for batch in batches)
    assert split_batches(torch.arange(1), 16)[0].tolist() == [0]


def test_a_loss_that_is_no_number_ends_the_trial_with_its_epoch():
    model = classifier({"finetuned_layers": "all", "optimizer": "sgd", "learning_rate": 1e30})
    with pytest.raises(Diverged, match="must stay finite, but") as raised:
        model.train_epoch()
    assert raised.value.epoch == 1
    assert "in epoch 1" in str(raised.value)


def test_too_little_memory_is_told_apart(monkeypatch):
    model = classifier()
    monkeypatch.setattr(model.models[0], "_train", lambda: torch.empty(2**60, dtype=torch.uint8))
    with pytest.raises(OutOfMemory, match="must fit into memory"):
        model.train_epoch()


def test_batches_of_one_on_single_pixels_are_an_invalid_configuration():
    model = classifier({"image_size": 8, "batch_size": 1, "finetuned_layers": 3})
    with pytest.raises(InvalidConfig, match="batch_size must be at least 2"):
        model.train_epoch()


def test_input_of_the_study_that_cannot_be_used_is_the_users_to_put_right():
    with pytest.raises(BadData, match="augment must be one of"):
        classifier(task=task_of(about={**DIGITS, "augment": "blur"}))
    with pytest.raises(BadData, match="must be a known model"):
        classifier(task=task_of("mobile_net"))


@pytest.mark.parametrize("more", [{"bf16": True}, {"channels_last": False}, {"bf16": True, "channels_last": False}])
def test_precision_and_layout_train_and_keep_activations(more):
    model = classifier({"finetuned_layers": 9, **more})
    first = model.train_epoch()
    assert model.models[0].training.kept is not None
    again = classifier({"finetuned_layers": 9, **more})
    assert plain(again.train_epoch()) == plain(first)
    reference = classifier({"finetuned_layers": 9}).train_epoch()
    assert first["loss"] == pytest.approx(reference["loss"], abs=0.05)


PROBED = {
    "kept": ({"finetuned_layers": 9, "optimizer": "rmsprop"}, DIGITS, 1),
    "augmented copies in two stages": (
        {"finetuned_layers": "all", "head_epochs": 1, "head_batch_size": 32, "dropout": 0.3},
        {**DIGITS, "augment": "paper001"},
        2,
    ),
    "folds": ({"finetuned_layers": 3}, {"name": "digits", "folds": 2, "train": 40, "test": 10}, 2),
}


@pytest.mark.parametrize("case", PROBED)
def test_a_probe_leaves_everything_as_it_was(case, monkeypatch):
    config, about, steps = PROBED[case]
    model = classifier({"learning_rate": 0.1, **config}, task_of(about=about))
    taken = []
    take = Steps.take
    monkeypatch.setattr(Steps, "take", lambda self, *given: taken.append(given[0]) or take(self, *given))

    def state():
        found = [{name: value.clone() for name, value in m.model.state_dict().items()} for m in model.models]
        return found, torch.random.get_rng_state()

    before, numbers = state()
    model.probe()
    after, others = state()
    assert len(taken) == steps * PROBE_STEPS, "in each stage, of each fold"
    assert all(torch.equal(a[name], b[name]) for a, b in zip(before, after, strict=True) for name in a)
    assert torch.equal(numbers, others)
    assert all(p.grad is None for m in model.models for p in m.model.parameters())
    assert not list(Path(os.environ["HPO_CACHE"]).glob("activations/*")), "what the epoch keeps is the epoch's to make"
    expected = classifier({"learning_rate": 0.1, **config}, task_of(about=about))
    for _ in range(2):
        assert plain(model.train_epoch()) == plain(expected.train_epoch())


def test_a_probe_takes_the_largest_batch_of_both_stages_and_what_a_pass_of_validation_takes(monkeypatch):
    config = {"finetuned_layers": "all", "batch_size": 13, "head_epochs": 1, "head_batch_size": 32}
    (model,) = classifier(config, task_of(about={**DIGITS, "train": 79})).models  # six batches of 13 and one left over
    passes = []
    forward = model.machine.prepare
    monkeypatch.setattr(Machine, "prepare", lambda self, images: passes.append(len(images)) or forward(images))
    with probing(model):
        assert model.part.optimizer.state, "what the optimizer keeps is there while it is open"
    assert passes == [16, 16, 14, 14, 14, 40]
    assert not hasattr(model, "part")


def test_a_probe_that_finds_no_room_says_so(monkeypatch):
    model = classifier()
    monkeypatch.setattr(Steps, "take", lambda self, *given: torch.empty(2**60, dtype=torch.uint8))
    with pytest.raises(OutOfMemory, match="must fit into memory"):
        model.probe()


@pytest.mark.bench  # compiling takes half a minute
def test_compiled_it_trains_the_same():
    plain_one, compiled = (classifier({"finetuned_layers": 4, "compile": on, "dropout": 0.0}) for on in (False, True))
    for _ in range(2):
        assert plain(compiled.train_epoch()) == pytest.approx(plain(plain_one.train_epoch()), abs=1e-5)


def test_a_second_trial_of_an_architecture_is_not_traced_again_and_the_first_is_not_kept(monkeypatch):
    first = classifier({"finetuned_layers": 9, "dropout": 0.1}).models[0]
    expected = first.train_epoch()
    gone = weakref.ref(first.model)
    del first
    gc.collect()
    assert gone() is None
    monkeypatch.setattr(network, "trace", lambda model: pytest.fail("traced again"))
    again = classifier({"finetuned_layers": 9, "dropout": 0.1}).models[0]
    assert plain(again.train_epoch()) == plain(expected)
    assert again.network.model is again.model
    with pytest.raises(pytest.fail.Exception, match="traced again"):
        classifier({"image_size": 40})


def test_epochs_take_again_the_memory_that_those_before_them_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system clears each page that it hands out: thousands in every epoch took a third of its time."""
    monkeypatch.setattr(fine_tuning, "GIVE_BACK_SECONDS", math.inf)  # epochs last that long on a busy machine
    trial = classifier({"finetuned_layers": "all", "image_size": 32}, task_of(about={**DIGITS, "validation": 500}))
    trial.train_epoch()
    faults = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        trial.train_epoch()
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    assert statistics.median(faults) < 1000
