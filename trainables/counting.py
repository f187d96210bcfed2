"""Counts the work of a model's steps from its traced graph, by the shapes of their values. Trains and changes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.modules import activation, conv

from trainables import backbones
from trainables.costs import Counts
from trainables.errors import InvalidConfig
from trainables.network import Network
from trainables.tracing import CannotTrace

MOVED = 12.0  # multiplications that take as long as one number of a step's value, which is read and written
CLASSES = 10  # of the head: what it costs hardly depends on them


def counted(name: str, shape: Mapping[str, int], sizes: Sequence[int]) -> dict[int, Counts]:
    """Returns the counts of a model at each image size that it takes. Raises BadData for a model that does not exist."""
    found = {}
    for size in sizes:
        with suppress(InvalidConfig):
            found[size] = _at(name, shape, size)
    return found


def _at(name: str, shape: Mapping[str, int], size: int) -> Counts:
    model = (
        backbones.build(name, CLASSES, image_size=size, architecture=shape)
        if shape
        else backbones.outline(name, size, CLASSES)
    )
    try:
        return _of(Network(model, size))
    except CannotTrace:
        return _untraced(model, size)


def _of(network: Network) -> Counts:
    costs = [step_work(network.model, node, network.outline.values) for node in network.steps]
    before = [0.0, *accumulate(costs)]
    cuts = [network.cut(layers) for layers in range(len(network.layers))] + [network.cut(None)]
    keeps = [network.boundary(cut).position for cut in cuts]
    counted_steps = [0, *accumulate(int(cost > 0) for cost in costs)]
    sizes = {name: p.numel() for name, p in network.model.named_parameters()}
    return Counts(
        trained=tuple(before[-1] - before[cut] for cut in cuts),
        frozen=tuple(before[cut] - before[keep] for cut, keep in zip(cuts, keeps, strict=True)),
        below=tuple(before[keep] for keep in keeps),
        parameters=tuple(float(sum(sizes[name] for name in network.trained(cut))) for cut in cuts),
        steps=tuple(float(counted_steps[-1] - counted_steps[cut]) for cut in cuts),
        steps_before=tuple(float(counted_steps[cut]) for cut in cuts),
    )


def _untraced(model: nn.Module, size: int) -> Counts:
    """Returns the counts of a model without a graph: one step, as long as its parameters at every pixel."""
    head = float(sum(p.numel() for m in model.modules() if isinstance(m, backbones.Head) for p in m.parameters()))
    whole = float(sum(p.numel() for p in model.parameters()))
    pixels = size**2 / 256  # patches of 16 x 16
    return Counts((head, whole * pixels), (whole * pixels, 0.0), (0.0, 0.0), (head, whole), (1.0, 1.0), (1.0, 0.0))


def step_work(model: nn.Module, node: fx.Node, values: Mapping[str, Tensor]) -> float:
    """Returns the work of one step for one image: its multiplications, and what its value's numbers cost to move."""
    value = values.get(node.name)
    if value is None or node.op == "get_attr":
        return 0.0
    given = [values[n.name] for n in node.all_input_nodes if n.name in values]
    numbers = value.numel() / max(1, len(value)) if value.dim() else 1.0
    return _multiplications(model, node, given, numbers) + MOVED * numbers


def _multiplications(model: nn.Module, node: fx.Node, given: Sequence[Tensor], numbers: float) -> float:
    if node.op == "call_module":
        return _of_module(model.get_submodule(str(node.target)), given, numbers)
    name = str(getattr(node.target, "__name__", node.target))
    if name in ("matmul", "bmm", "__matmul__", "linear", "scaled_dot_product_attention") and given:
        return numbers * given[0].shape[-1] * (2 if name.startswith("scaled") else 1)
    return 0.0


def _of_module(module: nn.Module, given: Sequence[Tensor], numbers: float) -> float:
    if isinstance(module, conv._ConvNd):
        return numbers * module.in_channels / module.groups * math.prod(module.kernel_size)
    if isinstance(module, nn.Linear):
        return numbers * module.in_features
    if isinstance(module, activation.MultiheadAttention) and given:
        length, width = given[0].shape[1], module.embed_dim
        return float(4 * length * width**2 + 2 * length**2 * width)
    parts: list[Any] = [m for m in module.modules() if m is not module and next(m.children(), None) is None]
    return float(sum(p.numel() for part in parts for p in part.parameters()))  # a part that could not be traced
