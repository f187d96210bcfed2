"""timm's models: found, sized, traced and cut like torchvision's; what torch.fx cannot trace is trained nonetheless."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

pytest.importorskip("timm")

from trainables import backbones
from trainables.errors import BadData, InvalidConfig
from trainables.image_classifier import ImageClassifier
from trainables.network import Network, describe
from trainables.untraced import Untraced, network_of

QUICK = [
    "vit_tiny_patch16_224", "deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224",
    "levit_128s", "efficientformer_l1", "repvit_m0_9",
]  # fmt: skip
LARGE = [
    "vit_base_patch32_clip_224", "vit_base_patch16_siglip_224", "vit_small_patch14_dinov2", "vit_small_patch16_dinov3",
    "resnetv2_50x1_bit", "nest_tiny",
]  # fmt: skip
UNTRACED = "timm:crossvit_tiny_240"
DIGITS = {"name": "digits", "train": 40, "validation": 20, "test": 20}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", QUICK)
def test_at_its_native_size_a_model_is_cut_into_parts_that_make_it_up(name):
    size = backbones.native_size(f"timm:{name}")
    network = network_of(backbones.build(f"timm:{name}", 5, image_size=size), size)
    assert isinstance(network, Network)
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    first, middle = network.boundaries[0], network.boundaries[len(network.boundaries) // 2]
    with torch.no_grad():
        expected = network.model.eval()(images.clone())
        assert expected.shape == (1, 5)
        for boundary in {middle, network.boundary(network.cut(0))}:
            assert boundary.position > 0
            activations = network.section(first, boundary)(images.clone())
            assert torch.equal(network.section(boundary)(activations), expected)


@pytest.mark.parametrize("name", LARGE)
def test_a_large_model_is_traced_at_its_native_size(name):
    size = backbones.native_size(f"timm:{name}")
    network = network_of(backbones.outline(f"timm:{name}", size), size)
    assert isinstance(network, Network)
    last = network.boundary(network.cut(0))
    assert last.position > 0
    network.section(network.boundaries[0], last)
    assert {type(module) for module in network.trained_modules(network.cut(0))} & {nn.Linear, nn.Conv2d}


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("vit_small_patch14_dinov2", ["head"]),
        ("vit_base_patch16_siglip_224", ["head"]),
        ("levit_128s", ["head.linear", "head_dist.linear"]),
        ("efficientformer_l1", ["head", "head_dist"]),
        ("repvit_m0_9", ["head.head.l"]),
        ("resnetv2_50x1_bit", ["head.fc"]),
    ],
)
def test_heads_take_the_place_of_classifiers_and_of_nothing_else(name, heads):
    model = backbones.outline(f"timm:{name}", backbones.native_size(f"timm:{name}"), 7)
    assert [key for key, module in model.named_modules() if isinstance(module, backbones.Head)] == heads


def test_the_image_size_reaches_a_model_that_takes_it():
    model = backbones.build("timm:vit_tiny_patch16_224", 3, image_size=64)
    assert model.pos_embed.shape == (1, 17, 192)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    assert backbones.build("timm:resnet10t", 3, image_size=64)(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_a_size_that_a_model_cannot_have_is_an_invalid_configuration():
    with pytest.raises(InvalidConfig, match=r"image_size must suit .*30 px do not"):
        network_of(backbones.build("timm:levit_128s", 3, image_size=30), 30)


def test_weights_none_are_the_same_as_before_heads_were_found_by_their_outputs():
    one, two = (backbones.build("timm:resnet10t", classes, image_size=64, seed=3).state_dict() for classes in (3, 4))
    assert all(torch.equal(one[key], two[key]) for key in one if not key.startswith("fc."))


def test_names_that_timm_does_not_have_are_answered_with_the_nearest():
    with pytest.raises(BadData, match="did you mean 'vit_tiny_patch16_224'"):
        backbones.native_size("timm:vit_tiny_patch16_225")
    with pytest.raises(BadData, match=r"did you mean .vit_tiny_patch16_224\.augreg_in21k"):
        backbones.native_size("timm:vit_tiny_patch16_224.augreg_in21")


def classifier(name, **config):
    task = {"data": DIGITS, "model": {"name": name, "weights": "none"}}
    return ImageClassifier({"image_size": 32, "batch_size": 20, **config}, task=task, seed=0, max_epochs=2)


def curve(name, **config):
    trainable = classifier(name, **config)
    rows = [trainable.train_epoch() for _ in range(2)]
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


@pytest.mark.parametrize("layers", [0, 5])
def test_a_vision_transformer_trains_the_same_with_and_without_reuse(layers):
    name = "timm:deit_tiny_distilled_patch16_224"
    kept = curve(name, finetuned_layers=layers)
    assert kept == curve(name, finetuned_layers=layers, reuse_activations=False)
    assert kept[0]["loss"] != kept[1]["loss"]


# -- models and parts without a graph -----------------------------------------------------------------------------


class Deciding(nn.Module):
    """A part whose own code decides by values."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.normalization = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        if x.mean() > 100:
            return x
        return self.normalization(self.convolution(x))


class Mixed(nn.Module):
    def __init__(self, head_inside: bool = False) -> None:
        super().__init__()
        self.stem, self.part = nn.Conv2d(3, 4, 1), Deciding()
        self.pool, self.flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.head = backbones.Head(nn.Linear(4, 2), 2, 0.0)
        if head_inside:
            self.part.inside = backbones.Head(nn.Linear(4, 2), 2, 0.0)

    def forward(self, x, mask=None, *, scale=1.0):
        if mask is not None:
            x = x * mask
        if scale != 1.0:
            x = x * scale
        return self.head(self.flat(self.pool(self.part(self.stem(x)))))


def test_a_part_without_a_graph_is_one_layer_and_optional_arguments_have_their_defaults():
    network = Network(Mixed(), 8)
    assert [(layer.name, layer.number) for layer in network.layers] == [("stem", 3), ("part", 2), ("pool", 1)]
    assert [n for n in network.trained(network.cut(2)) if n.startswith("part.")] == [
        "part.convolution.weight", "part.convolution.bias", "part.normalization.weight", "part.normalization.bias",
    ]  # fmt: skip
    assert network.model.part.normalization in list(network.trained_modules(network.cut(2)))
    images = torch.randn(2, 3, 8, 8)
    network.model.eval()
    for boundary in network.boundaries:
        kept = network.section(network.boundaries[0], boundary)(images) if boundary.position else images
        assert torch.equal(network.section(boundary)(kept), network.model(images))


def test_a_part_that_holds_the_head_is_not_one_layer(caplog):
    with caplog.at_level(logging.WARNING):
        network = network_of(Mixed(head_inside=True), 8)
    assert isinstance(network, Untraced)
    assert "torch.fx must be able to trace Mixed" in caplog.text


def test_a_model_without_a_graph_trains_whole_or_its_head_alone():
    head, whole = (
        curve(UNTRACED, finetuned_layers=0, image_size=120),
        curve(UNTRACED, finetuned_layers="all", image_size=120),
    )
    assert head != whole
    trainable = classifier(UNTRACED, finetuned_layers=0, image_size=120)
    (model,) = trainable.models
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    trainable.train_epoch()
    moved = {name for name, value in model.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name, _ in model.model.named_parameters() if name.startswith(("head.0.1", "head.1.1"))}
    assert set(trainable.test()) >= {"test_loss", "test_accuracy"}


@pytest.mark.parametrize("layers", [0, "all"])
def test_a_model_without_a_graph_can_be_paused(tmp_path, layers):
    given = {"finetuned_layers": layers, "image_size": 120, "optimizer": "adam"}
    first = classifier(UNTRACED, **given)
    first.train_epoch()
    first.save(tmp_path)
    second = classifier(UNTRACED, **given)
    second.load(tmp_path)
    assert second.train_epoch()["val_loss"] == curve(UNTRACED, **given)[1]["val_loss"]


def test_its_layers_cannot_be_told_apart():
    with pytest.raises(InvalidConfig, match="finetuned_layers must be 0 or all for this model, but got 3"):
        classifier(UNTRACED, finetuned_layers=3, image_size=120).train_epoch()
    with pytest.raises(InvalidConfig, match=f"unfreeze_every must be 0 for {UNTRACED}"):
        classifier(UNTRACED, finetuned_layers="all", unfreeze_every=1, image_size=120)
    with pytest.raises(BadData, match=r"torch\.fx must be able to trace CrossVit"):
        describe(UNTRACED)
