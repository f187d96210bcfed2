"""The settings of modern fine-tuning: each against a loop written by hand, exact when paused, cached or shared."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from reuse import SMALL_VIT, TINY
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize

from trainables import backbones, data
from trainables.contract import verify
from trainables.draws import Draws
from trainables.errors import InvalidConfig
from trainables.image_classifier import ImageClassifier
from trainables.mixing import Mixing
from trainables.parameter_groups import depth_of, groups
from trainables.pretrained import Normalization
from trainables.rates import rate_factor
from trainables.sections import Data
from trainables.settings import Settings

RECORDED = json.loads((Path(__file__).parents[1] / "recorded_curves" / "image_classifier_defaults.json").read_text())
EVERYTHING = {
    "finetuned_layers": "all",
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "norm_weight_decay": 0.0,
    "bias_weight_decay": 0.0,
    "layer_decay": 0.8,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "min_rate_factor": 0.1,
    "ema_decay": 0.9,
    "mixup_alpha": 0.4,
    "cutmix_alpha": 1.0,
    "label_smoothing": 0.1,
    "accumulation_steps": 2,
}

pytestmark = pytest.mark.usefixtures("one_thread")


def task_of(name="digits_net", about=TINY, weights="DEFAULT", **more):
    return {"data": about, "model": {"name": name, "weights": weights}, **more}


def classifier(config=None, task=None, seed=0, max_epochs=3):
    config = {"image_size": 16, "batch_size": 8, "dropout": 0.0, **(config or {})}
    return ImageClassifier(config, task=task or task_of(), seed=seed, max_epochs=max_epochs)


def timeless(metrics):
    return {name: value for name, value in metrics.items() if "second" not in name}


def curve(config, task=None, epochs=2, **more):
    model = classifier(config, task, **more)
    return [timeless(model.train_epoch()) for _ in range(epochs)]


@pytest.mark.parametrize("case", RECORDED)
def test_by_default_it_trains_as_it_did_before_there_were_these_settings(case):
    """The curves were recorded with the commit before them; other processors round otherwise."""
    about = RECORDED[case]
    task = {"data": about["data"], "model": about["model"]}
    model = ImageClassifier(about["config"], task=task, seed=3, max_epochs=3)
    for expected in about["epochs"]:
        found = model.train_epoch()
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert model.test()["test_loss"] == pytest.approx(about["test_loss"], abs=1e-4)


CONTRACTS = {
    "everything, crops, early stopping": (
        {"data": {**TINY, "augment": "random_resized_crop"},
         "early_stopping": {"patience": 2, "metric": "val_loss", "mode": "min"}},
        {**EVERYTHING, "test_image_size": 24, "crop_scale": 0.3},
    ),
    "adapters and averages above kept activations, thawing": (
        {"data": TINY},
        {"finetuned_layers": 9, "lora_rank": 2, "lora_alpha": 4, "ema_decay": 0.8, "layer_decay": 0.7, "head_epochs": 1,
         "unfreeze_every": 2, "optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.05, "dropout": 0.2},
    ),
    "ridge": ({"data": {**TINY, "class_weights": "balanced"}}, {"optimizer": "ridge", "weight_decay": 0.01}),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRACTS)
def test_the_contract_holds(case):
    task, config = CONTRACTS[case]
    verify("image_classifier", {"image_size": 16, "batch_size": 8, **config}, task={**task_of(), **task})


@pytest.mark.parametrize(
    "more",
    [
        {"layer_decay": 0.7, "ema_decay": 0.9, "accumulation_steps": 2, "norm_weight_decay": 0.0, "weight_decay": 0.01},
        {"lora_rank": 2, "ema_decay": 0.5},
        {"test_image_size": 24},
        {"finetuned_layers": 0, "optimizer": "ridge", "weight_decay": 0.1},
    ],
)
def test_kept_activations_give_the_same_metrics(more):
    config = {"finetuned_layers": 7, **more}
    kept = classifier(config)
    found = [timeless(kept.train_epoch()) for _ in range(2)]
    assert kept.models[0].training.kept is not None
    assert kept.models[0].validation.kept is not None
    anew = curve({**config, "reuse_activations": False})
    for one, other in zip(found, anew, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


# -- against a loop written by hand -------------------------------------------------------------------------------


class LowRank(nn.Module):
    def __init__(self, a, b, scale):
        super().__init__()
        self.a, self.b, self.scale = nn.Parameter(a.clone()), nn.Parameter(b.clone()), scale

    def forward(self, weight):
        return weight + (self.b @ self.a).view_as(weight) * self.scale


class Plain:
    """digits_net, fine-tuned as one would write it for one configuration; draws are those of the trainable."""

    def __init__(self, config):
        self.settings = Settings.of({"image_size": 16, "batch_size": 8, "dropout": 0.0, **config})
        self.data = data.load(Data.read(TINY), image_size=16)
        s = self.settings
        self.model = backbones.build("digits_net", 10, weights="DEFAULT", image_size=16, dropout=0.0, seed=0)
        if s.lora_rank:
            self.model.requires_grad_(False)
            self.model.classifier.requires_grad_()
            made = classifier(config).models[0].model
            for name, module in made.named_modules():
                if hasattr(module, "lora_a"):
                    low = LowRank(module.lora_a, module.lora_b, s.lora_alpha / s.lora_rank)
                    parametrize.register_parametrization(self.model.get_submodule(name), "weight", low)
        blocks = ["features.0.", "features.3.", "features.6.", "features.9.", "features.12.", "features.15.",
                  "features.18.", "features.21.", "classifier."]  # fmt: skip
        self.rates, given = [], []
        for name, parameter in self.model.named_parameters():
            if not parameter.requires_grad:
                continue
            place = int(name.split(".")[1]) // 3 * 3 if name.startswith("features") else 0
            block = blocks.index(f"features.{place}." if name.startswith("features") else "classifier.")
            self.rates.append(s.layer_decay ** (len(blocks) - 1 - block))
            norm = isinstance(self.model.get_submodule(name.rpartition(".")[0]), nn.BatchNorm2d)
            decay = s.norm_weight_decay if norm else s.bias_weight_decay if name.endswith("bias") else None
            given.append({"params": [parameter], "weight_decay": s.weight_decay if decay is None else decay})
        self.optimizer = (torch.optim.SGD if s.optimizer == "sgd" else torch.optim.AdamW)(given, s.learning_rate)
        self.average = copy.deepcopy(self.model)
        self.mixing = Mixing(s.mixup_alpha, s.cutmix_alpha)

    def epoch(self, epoch):
        s, draws, rows = self.settings, Draws(0, epoch), self.data.train
        batches = torch.randperm(len(rows), generator=draws.generator("order")).split(8)
        self.model.train(not s.lora_rank)
        for number in range(0, len(batches), s.accumulation_steps):
            factor = rate_factor(s, epoch + number / len(batches), 3)
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = s.learning_rate * factor * rate
            self.optimizer.zero_grad()
            together = batches[number : number + s.accumulation_steps]
            for offset, batch in enumerate(together):
                loss = self.loss(batch, draws.generator("mixing", number + offset))
                (loss * len(batch) / sum(map(len, together))).backward()
            self.optimizer.step()
            pairs = zip(self.average.state_dict().items(), self.model.state_dict().values(), strict=True)
            for (_, mean), value in pairs:
                if mean.is_floating_point():
                    mean.copy_(s.ema_decay * mean + (1 - s.ema_decay) * value)
        with torch.no_grad():
            held = self.data.validation
            return float(cross_entropy(self.average.eval()(prepared(held.images)), held.labels))

    def loss(self, batch, generator):
        s = self.settings
        images, labels = prepared(self.data.train.images[batch]), self.data.train.labels[batch]
        if not self.mixing.name:
            return cross_entropy(self.model(images), labels, label_smoothing=s.label_smoothing)
        kept, share = self.mixing.draw(16, generator)
        logits = self.model(kept * images + (1 - kept) * images[torch.arange(len(batch)) - 1])
        losses = (cross_entropy(logits, y, label_smoothing=s.label_smoothing) for y in (labels, labels.roll(1)))
        return share * next(losses) + (1 - share) * next(losses)


def prepared(images):
    about = Normalization()
    return (images / 255 - torch.tensor(about.mean).view(3, 1, 1)) / torch.tensor(about.std).view(3, 1, 1)


BY_HAND = {
    "layer decay": {"layer_decay": 0.7, "optimizer": "sgd", "learning_rate": 0.05},
    "averages": {"ema_decay": 0.8, "optimizer": "sgd", "learning_rate": 0.05},
    "mixup": {"mixup_alpha": 0.4, "optimizer": "sgd", "learning_rate": 0.05},
    "cutmix": {"cutmix_alpha": 1.0, "optimizer": "sgd", "learning_rate": 0.05},
    "accumulation": {"accumulation_steps": 2, "optimizer": "sgd", "learning_rate": 0.05},
    "no decay of norms and biases": {
        "optimizer": "adamw", "weight_decay": 5.0, "norm_weight_decay": 0.0, "bias_weight_decay": 1.0,
    },
    "adapters": {"lora_rank": 3, "lora_alpha": 6.0, "optimizer": "sgd", "learning_rate": 0.05},
    "everything": {**EVERYTHING, "optimizer": "sgd", "learning_rate": 0.05},
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_it_trains_as_a_loop_written_by_hand(case):
    config = {"finetuned_layers": "all", **BY_HAND[case]}
    plain, ours = Plain(config), classifier(config)
    losses = [(plain.epoch(epoch), ours.train_epoch()["val_loss"]) for epoch in range(2)]
    assert [mine for _, mine in losses] == pytest.approx([theirs for theirs, _ in losses], abs=2e-4)
    usual = {name: config[name] for name in ("optimizer", "learning_rate", "weight_decay") if name in config}
    others = curve({"finetuned_layers": "all", **usual})
    assert abs(others[-1]["val_loss"] - losses[-1][1]) > 1e-3, "the setting must matter"


def test_accumulated_batches_are_one_large_batch_where_nothing_normalizes_over_it():
    task = task_of("vit_b_16", weights="none")
    config = {**SMALL_VIT, "image_size": 32, "finetuned_layers": "all", "optimizer": "sgd", "clip_norm": 1.0}
    large = curve({**config, "batch_size": 12}, task)
    small = curve({**config, "batch_size": 4, "accumulation_steps": 3}, task)
    for one, other in zip(large, small, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


# -- the parts ----------------------------------------------------------------------------------------------------


def test_groups_divide_the_parameters_by_decay_and_depth():
    model = backbones.outline("mobilenet_v2", 32)
    names = [name for name, _ in model.named_parameters()]
    assert [(g.weight_decay, g.rate) for g in groups(model, names, Settings(weight_decay=0.1))] == [(0.1, 1.0)]
    settings = Settings(weight_decay=0.1, norm_weight_decay=0.0, bias_weight_decay=0.01, layer_decay=0.5)
    found = {name: group for group in groups(model, names, settings) for name in group.names}
    assert sorted(found) == sorted(names)
    assert (found["classifier.1.1.weight"].weight_decay, found["classifier.1.1.weight"].rate) == (0.1, 1.0)
    assert (found["classifier.1.1.bias"].weight_decay, found["classifier.1.1.bias"].rate) == (0.01, 1.0)
    assert found["features.18.1.bias"].weight_decay == 0.0, "a bias of a normalization counts as norm"
    assert found["features.18.0.weight"].rate == 0.5
    assert found["features.0.0.weight"].rate == 0.5**19


@pytest.mark.parametrize(
    ("name", "blocks", "together"),
    [
        ("vit_b_16", 16, ("encoder.layers.encoder_layer_3.ln_1.weight", "encoder.layers.encoder_layer_3.mlp.0.weight")),
        ("resnet18", 10, ("conv1.weight", "bn1.weight")),
        ("convnext_tiny", 23, ("features.1.2.layer_scale", "features.1.2.block.0.weight")),
        ("swin_t", 17, ("features.5.5.attn.qkv.weight", "features.5.5.mlp.0.weight")),
    ],
)
def test_depth_counts_the_blocks_of_every_family(name, blocks, together):
    depth = depth_of(backbones.outline(name, 224))
    assert max(depth.values()) == blocks - 1
    assert len({depth[parameter] for parameter in together}) == 1
    assert list(depth.values()) == sorted(depth.values(), reverse=True)


def test_mixing_keeps_what_it_says():
    shares = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        kept, share = Mixing(0.0, 1.0).draw(16, generator)
        assert set(kept.unique().tolist()) <= {0.0, 1.0}
        assert float(kept.mean()) == pytest.approx(float(share))
        shares.append(float(Mixing(0.2, 0.0).draw(4, generator)[1]))
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.03), "Beta(0.2, 0.2)"
    kinds = {len(Mixing(1.0, 1.0).draw(16, torch.Generator().manual_seed(seed))[0].unique()) for seed in range(20)}
    assert len(kinds) == 2, "each batch takes one of the two"


@pytest.mark.parametrize(("more", "reason"), [({"mixup_alpha": 0.1}, "mixup"), ({"cutmix_alpha": 0.1}, "cutmix")])
def test_mixed_images_are_not_reused_and_the_log_says_so(caplog, more, reason):
    caplog.set_level(logging.INFO)
    model = classifier({"finetuned_layers": 7, **more})
    model.train_epoch()
    assert f"activations of the training images are not reused: {reason} alters them" in caplog.text
    assert model.models[0].training.kept is None
    assert model.models[0].validation.kept is not None


def test_only_adapters_and_the_head_are_saved_and_the_model_begins_as_it_was(tmp_path):
    config = {"finetuned_layers": "all", "lora_rank": 2, "learning_rate": 1e-12, "optimizer": "sgd"}
    model = classifier(config)
    before = copy.deepcopy(model.models[0].model.state_dict())
    metrics = model.train_epoch()
    untouched = curve({"finetuned_layers": 0, "learning_rate": 1e-12, "optimizer": "sgd"}, epochs=1)[0]
    assert metrics["val_loss"] == pytest.approx(untouched["val_loss"], abs=1e-4)
    names = model.models[0].part.state()
    assert all("lora_" in name or name.startswith("classifier") for name in names)
    model.save(tmp_path)
    whole = sum(value.numel() for value in before.values())
    assert (tmp_path / "trial.safetensors").stat().st_size < 4 * whole / 2
    after = model.models[0].model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if name not in names)


@pytest.mark.parametrize(
    ("targets", "kinds"), [("linear", {nn.Linear, nn.MultiheadAttention}), ("convolution", {nn.Conv2d})]
)
def test_adapters_are_at_the_wanted_layers_of_a_vision_transformer(targets, kinds):
    task = task_of("vit_b_16", weights="none")
    config = {**SMALL_VIT, "image_size": 32, "finetuned_layers": "all", "lora_rank": 1, "lora_targets": targets}
    (model,) = classifier(config, task).models
    found = {type(module) for module in model.model.modules() if hasattr(module, "lora_a")}
    assert {kind for kind in kinds if any(issubclass(one, kind) for one in found)} == kinds
    assert all(any(issubclass(one, kind) for kind in kinds) for one in found)
    before = [p.detach().clone() for p in model.model.parameters()]
    model.train_epoch()
    model.part.train_mode()
    assert not any(module.training for module in model.model.modules() if isinstance(module, nn.LayerNorm))
    assert any(module.training for module in model.model.modules())
    moved = [not torch.equal(a, b) for a, b in zip(before, model.model.parameters(), strict=True)]
    named = [name for name, _ in model.model.named_parameters()]
    assert all(("lora_" in name or "head" in name) for name, one in zip(named, moved, strict=True) if one)


def test_layers_without_weights_cannot_be_adapted():
    with pytest.raises(InvalidConfig, match="lora_rank must be 0 where the last 1 layers have none to adapt"):
        classifier({"finetuned_layers": 1, "lora_rank": 2})
    with pytest.raises(InvalidConfig, match="warmup_epochs must be below the trial's 3 epochs, but got 3"):
        classifier({"warmup_epochs": 3})


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_ridge_is_the_solution_in_closed_form_in_every_epoch(weights):
    task = task_of(about={**TINY, "class_weights": weights, "train": 40})
    model = classifier({"optimizer": "ridge", "weight_decay": 0.3}, task)
    first, second = (timeless(model.train_epoch()) for _ in range(2))
    assert first == pytest.approx(second, abs=1e-5)
    (single,) = model.models
    with torch.no_grad():
        network = single.model.eval()
        x = network.pool(network.features(prepared(single.dataset.train.images))).flatten(1).double().numpy()
    y = np.eye(10)[single.dataset.train.labels]
    given = single.dataset.class_weights(weights)
    w = np.ones(len(x)) if given is None else given[single.dataset.train.labels].double().numpy()
    w = w / w.sum()
    centred, target = x - w @ x, y - w @ y
    expected = np.linalg.solve((centred.T * w) @ centred + 0.3 * np.eye(x.shape[1]), (centred.T * w) @ target)
    head = single.model.classifier[-1]
    assert head.weight.detach().numpy() == pytest.approx(expected.T, abs=1e-4)
    assert head.bias.detach().numpy() == pytest.approx(w @ y - (w @ x) @ expected, abs=1e-4)


def test_validation_and_test_images_have_the_size_that_is_asked_for():
    model = classifier({"finetuned_layers": 7, "test_image_size": 24, "learning_rate": 1e-12})
    (single,) = model.models
    found = model.train_epoch()["val_loss"], model.test()["test_loss"]
    assert single.dataset.train.images.shape[-1] == 16
    for split, loss in zip((single.dataset.validation, single.dataset.test), found, strict=True):
        assert split.images.shape[-1] == 24
        with torch.no_grad():
            expected = cross_entropy(single.model.eval()(prepared(split.images)), split.labels)
        assert loss == pytest.approx(float(expected), abs=1e-4)


def test_a_vision_transformer_takes_no_other_size_in_the_test():
    with pytest.raises(InvalidConfig, match="48"):
        classifier({**SMALL_VIT, "image_size": 32, "test_image_size": 48}, task_of("vit_b_16", weights="none"))


def test_crops_are_cut_from_larger_images():
    (model,) = classifier({}, task_of(about={**TINY, "augment": "random_resized_crop"})).models
    assert model.dataset.train.images.shape[-1] == round(16 * 256 / 224)
    assert model.dataset.validation.images.shape[-1] == 16
    batch = torch.arange(8)
    (images,) = model.feed.fetched(model.feed.training(0), batch, batch, Draws(0, 0), 0)
    assert images.shape == (8, 3, 16, 16)


def test_the_averages_go_on_where_more_layers_thaw():
    config = {"finetuned_layers": 9, "unfreeze_every": 1, "ema_decay": 0.9, "learning_rate": 0.1, "optimizer": "sgd"}
    (model,) = classifier(config).models
    model.train_epoch()
    before = {name: value.clone() for name, value in model.part.averages.values.items()}
    model._enter(model.stage(2))
    assert len(model.part.averages.values) > len(before)
    assert all(torch.equal(model.part.averages.values[name], value) for name, value in before.items())
    assert not torch.equal(model.part.averages.values["classifier.1.weight"], model.part.state()["classifier.1.weight"])


def test_a_probe_takes_what_everything_takes_and_leaves_no_trace():
    config = {**EVERYTHING, "lora_rank": 2, "test_image_size": 24}
    probed, other = (classifier(config, max_epochs=4) for _ in range(2))
    probed.probe()
    for _ in range(2):
        assert timeless(probed.train_epoch()) == timeless(other.train_epoch())
