"""Kept activations have no history: the same bits from whatever earlier boundary they were computed."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from reuse import NETWORKS, TINY, calibrate
from torch import fx

from trainables import data
from trainables.boundary import Boundary, order_of
from trainables.features import Activations
from trainables.fine_tuning import FineTuning
from trainables.sections import ImageTask
from trainables.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")


def made(name, **more):
    size, architecture, _ = NETWORKS.get(name, (32, {}, 0))
    task = ImageTask.of({"data": TINY, "model": {"name": name, "weights": "none"}})
    settings = Settings.of({"image_size": size, **architecture, **more})
    model = FineTuning(settings, task, data.load(task.data, image_size=size), 0, 1)
    calibrate(model.model, model.machine.prepare(model.dataset.train.images))
    model.model.eval()
    return model


class Settled(fx.Interpreter):
    """Runs a section and keeps what crosses each boundary on its way, with strides."""

    def __init__(self, section):
        super().__init__(section)
        self.crossed = []

    def run_node(self, node):
        value = super().run_node(node)
        if node.op == "call_function" and getattr(node.target, "__name__", "") == "settled":
            self.crossed.append(value.clone(memory_format=torch.preserve_format))
        return value


@torch.no_grad()
def crossings(model, start, value):
    """The values that cross every boundary from `start` to before the last, and the last's."""
    runner = Settled(model.network.section(start, model.network.boundaries[-1]))
    with model.machine.autocast():
        last = runner.run(value)
    return [*runner.crossed, model.network.boundaries[-1].settled(last)]


CASES = [
    *((name, {}) for name in (*NETWORKS, "digits_net", "shufflenet_v2_x0_5")),
    ("vit_b_16", {"bf16": True}),
    ("resnet18", {"bf16": True, "channels_last": False}),
    ("convnext_tiny", {"channels_last": False}),  # channels last inside its blocks, whatever the study asks for
]


@pytest.mark.parametrize(("name", "more"), CASES)
def test_what_crosses_a_boundary_is_the_same_bits_from_every_earlier_one(name, more):
    model = made(name, **more)
    boundaries = model.network.boundaries
    images = model.machine.prepare(model.dataset.train.images[:6])
    expected = crossings(model, boundaries[0], images)
    assert len(expected) == len(boundaries) > 10
    for i, start in enumerate(boundaries[1:-1], 1):
        kept = start.unpack(start.pack(expected[i]).clone())
        assert kept.stride() == expected[i].stride()
        found = crossings(model, start, kept)
        differing = [
            stop.value
            for stop, one, other in zip(boundaries[i:], found, expected[i:], strict=True)
            if not torch.equal(one, other)
        ]
        assert not differing, f"from {start.value}: {differing}"


@pytest.mark.parametrize("name", ["vit_b_16", "mobilenet_v2"])
def test_kept_arrays_are_the_same_whatever_was_kept_before(name, tmp_path, monkeypatch):
    model = made(name)
    boundaries = model.network.boundaries
    images = model.dataset.train.images  # more than one pass, and the last is filled up

    def kept(place, *stops):
        monkeypatch.setenv("HPO_CACHE", str(tmp_path / place))
        activations = Activations(model.network, model.machine, images, "key")
        return [activations.before(stop)[1].values for stop in stops]

    some = boundaries[1 :: max(1, len(boundaries) // 6)]
    straight = [kept(stop.value, stop)[0] for stop in some]
    assert len(images) % model.machine.chunk
    for one, other in zip(kept("chain", *some), straight, strict=True):
        assert torch.equal(one, other)
    for (i, start), (_, stop) in pairwise(enumerate(some)):
        assert torch.equal(kept(f"pair {i}", start, stop)[1], straight[i + 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2)])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (3, 4, 1, 1), (1, 4, 1, 6), (3, 1, 1, 1)])
def test_a_value_comes_back_in_strides_that_depend_on_its_shape_alone(shape, order, dtype):
    boundary = Boundary(1, "x", shape[1:], order)
    plain = torch.randn(shape).to(dtype)
    found = set()
    for layout in (
        plain,
        plain.to(memory_format=torch.channels_last),
        plain.transpose(0, 1).contiguous().transpose(0, 1),
    ):
        settled = boundary.settled(layout)
        assert torch.equal(settled, plain)
        assert torch.equal(boundary.unpack(boundary.pack(settled).clone()), plain)
        found.add(settled.stride())
    assert len(found) == 1
    assert boundary.pack(plain).is_contiguous()


def test_no_value_is_copied_that_lies_as_the_model_computes_it():
    model = made("resnet18")
    images = model.machine.prepare(model.dataset.train.images[:16])
    section = model.network.section(model.network.boundaries[0], model.network.boundaries[-1])
    copied = []

    class Copies(fx.Interpreter):
        def call_function(self, target, args, kwargs):
            value = super().call_function(target, args, kwargs)
            if getattr(target, "__name__", "") == "settled" and value.data_ptr() != args[0].data_ptr():
                copied.append(value.shape)
            return value

    with torch.no_grad():
        Copies(section).run(images)
    assert copied == []
    assert order_of(images) == (0, 2, 3, 1)
