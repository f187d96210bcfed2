"""Models as graphs: layers in order, exact cuts, what is trained, for every supported backbone."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from trainables import backbones, tracing
from trainables.errors import BadData, InvalidConfig
from trainables.network import Network, describe

SIZES = {
    "vgg16": 32,
    "inception_v3": 80,
    "resnet18": 32,
    "resnet50": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "squeezenet1_1": 32,
    "shufflenet_v2_x0_5": 32,
    "vit_b_16": 32,
    "convnext_tiny": 32,
    "digits_net": 16,
    "densenet121": 32,
    "swin_t": 32,
    "regnet_x_400mf": 32,
    "googlenet": 32,
    "legacy_xception": 71,
    "timm:resnet10t": 32,
}
SMALL_VIT = {"patch_size": 16, "projection_dim": 48, "heads": 3, "layers": 3, "mlp_units": 64}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network_of(name):
    if "timm:" in name or "xception" in name:
        pytest.importorskip("timm")
    architecture = SMALL_VIT if name == "vit_b_16" else {}
    model = backbones.build(name, 5, image_size=SIZES[name], architecture=architecture)
    return Network(model, SIZES[name])


@pytest.fixture(scope="module", params=SIZES)
def network(request):
    return network_of(request.param)


def test_layers_are_the_leaf_modules_in_the_order_of_execution(network):
    ran = []

    def watch(name, module):
        whole = not list(module.children()) or isinstance(module, nn.MultiheadAttention)
        if whole and not isinstance(module, nn.Identity | nn.Flatten | nn.Dropout):
            module.register_forward_hook(lambda *_: ran.append(name))

    handles = [watch(name, module) for name, module in network.model.named_modules()]
    with torch.no_grad():
        network.model.eval()(torch.zeros(1, 3, network.boundaries[0].shape[1], network.boundaries[0].shape[1]))
    for module in network.model.modules():
        module._forward_hooks.clear()
    assert len(handles) > 1
    reshaping = ("Permute", "StochasticDepth")
    expected = [name for name in ran if type(network.model.get_submodule(name)).__name__ not in reshaping]
    assert [layer.name for layer in network.layers] == expected[:-1], "all but the head's linear layer"


def test_parts_between_boundaries_make_up_the_model(network):
    size = network.boundaries[0].shape[1]
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    first, middle, last = (network.boundaries[i] for i in (0, len(network.boundaries) // 2, -1))
    with torch.no_grad():
        expected = network.model.eval()(images.clone())
        for boundary in (middle, last):
            activations = network.section(first, boundary)(images.clone())
            assert tuple(activations.shape[1:]) == boundary.shape
            assert torch.equal(network.section(boundary)(activations), expected)
    assert expected.shape == (2, 5)
    assert len(last.shape) == 1, "head-only training must need one vector an image"


def test_the_last_layers_are_trained_and_no_others(network):
    sizes = {name: parameter.numel() for name, parameter in network.model.named_parameters()}
    assert len(network.trained(network.cut(0))) == 2
    assert [layer.number for layer in network.layers] == list(range(len(network.layers), 0, -1))
    assert all(a.position < b.position for a, b in pairwise(network.layers))
    for count in (1, 2, 9, len(network.layers) - 1):
        trained = network.trained(network.cut(count))
        last = [f"{layer.name}." for layer in network.layers[-count:] if layer.parameters]
        frozen = [f"{layer.name}." for layer in network.layers[:-count] if layer.parameters]
        own = [name for name in trained if name.startswith(tuple(last))]
        assert sum(sizes[name] for name in own) == sum(layer.parameters for layer in network.layers[-count:])
        assert not [name for name in trained if frozen and name.startswith(tuple(frozen))]
    assert network.trained(network.cut(None)) == list(sizes)
    assert network.cut(len(network.layers)) == network.cut(10_000) == 0
    assert network.cut(len(network.layers) - 1) > 0


def test_a_cut_inside_a_residual_block_starts_from_the_boundary_before_the_block():
    network = network_of("resnet18")
    inside = network.cut(4)  # the second convolution's normalization, between which and the sum the shortcut runs
    assert network.boundary(inside).position < inside
    assert network.boundary(inside).value == "layer4_0_relu_1"
    assert network.boundary(network.cut(0)).position == network.cut(0)


def test_frozen_normalization_is_not_among_what_trains():
    network = network_of("mobilenet_v2")
    training = {id(module) for module in network.trained_modules(network.cut(3))}
    names = [n for n, m in network.model.named_modules() if isinstance(m, nn.BatchNorm2d) and id(m) in training]
    assert names == ["features.18.1"]


def test_describe_numbers_the_layers_back_from_the_head():
    layers = describe("mobilenet_v2")
    assert [(layer.number, layer.kind) for layer in layers[-3:]] == [
        (3, "convolution"),
        (2, "normalization"),
        (1, "activation"),
    ]
    assert layers[0].name == "features.0.0"
    assert sum(layer.parameters for layer in layers) == 2_223_872
    assert {layer.kind for layer in describe("vit_b_16")} == {
        "convolution",
        "normalization",
        "attention",
        "linear",
        "activation",
    }


@pytest.mark.parametrize(("name", "size"), [("inception_v3", 64), ("vgg16", 16), ("alexnet", 32)])
def test_images_too_small_for_the_model_are_an_invalid_configuration(name, size):
    with pytest.raises(InvalidConfig, match=f"image_size must suit the model, but {size} px do not"):
        Network(backbones.outline(name, size), size)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(BadData, match="must end in a Head"):
        Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), 2)


def test_the_command_line_prints_the_numbered_layers(capsys):
    from hpo.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["models", "mobilenet_v2"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ended.value.code == 0
    assert [int(line[0]) for line in lines] == list(range(139, 0, -1))
    assert lines[-3] == ["3", "convolution", "409,600", "features.18.0"]
    with pytest.raises(SystemExit) as ended:
        main(["models", "mobilenet_v22"])
    assert ended.value.code == 2
    assert "did you mean 'mobilenet_v2'?" in capsys.readouterr().err


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("name", "size"), [("digits_net", 32), ("digits_net", 17), ("squeezenet1_1", 64)])
def test_a_small_model_that_computes_has_the_boundaries_that_the_meta_device_finds(name, size, layout, monkeypatch):
    found = []
    for small in (10**12, 0):
        monkeypatch.setattr(tracing, "SMALL", small)
        model = backbones.build(name, 10, image_size=size).to(memory_format=layout)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        made = Network(model, size, layout)
        found.append((made.layers, made.boundaries))
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        assert model.training
    assert found[0] == found[1]
