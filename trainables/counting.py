"""Counts the work of a model's steps from its traced graph, by the shapes of their values. Trains and changes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.modules import activation, conv

from trainables import backbones, lora
from trainables.costs import CLASSES, MOVED, Counts
from trainables.errors import InvalidConfig
from trainables.network import Network
from trainables.tracing import CannotTrace


def counted(name: str, shape: Mapping[str, int], sizes: Sequence[int], targets: str = "") -> dict[int, Counts]:
    """Returns the counts of a model at each image size that it takes. Raises BadData for a model that does not exist.

    `targets`: the layers that have adapters, "" for none.
    """
    found = {}
    for size in sizes:
        with suppress(InvalidConfig):
            found[size] = _at(name, shape, size, targets)
    return found


def _at(name: str, shape: Mapping[str, int], size: int, targets: str) -> Counts:
    model = (
        backbones.build(name, CLASSES, image_size=size, architecture=shape)
        if shape
        else backbones.outline(name, size, CLASSES)
    )
    adapted = dict(lora.adaptable(model, targets)) if targets else None
    try:
        return _of(Network(model, size), adapted)
    except CannotTrace:
        return _untraced(model, size, adapted)


def _of(network: Network, adapted: Mapping[str, Tensor] | None) -> Counts:
    model, values = network.model, network.outline.values
    costs = [step_work(model, node, values) for node in network.steps]
    before = [0.0, *accumulate(costs)]
    cuts = [network.cut(layers) for layers in range(len(network.layers))] + [network.cut(None)]
    keeps = [network.boundary(cut).position for cut in cuts]
    counted_steps = [0, *accumulate(int(cost > 0) for cost in costs)]
    names = [_adapted_in(node, adapted or {}) for node in network.steps]
    head = network.cut(0)
    backward = [0.0, *accumulate(2 * cost if adapted is None or k >= head or names[k] else cost
                                 for k, cost in enumerate(costs))]  # fmt: skip
    numbers, sides = (
        [0.0, *accumulate(sum(of(adapted[name]) for name in inside) if adapted else 0.0 for inside in names)]
        for of in (_numbers, _sides)
    )
    starts = [_first(cut, head, names) if adapted is not None else cut for cut in cuts]
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    return Counts(
        trained=tuple(before[-1] - before[cut] for cut in cuts),
        frozen=tuple(before[cut] - before[keep] for cut, keep in zip(cuts, keeps, strict=True)),
        below=tuple(before[keep] for keep in keeps),
        backward=tuple(backward[-1] - backward[start] for start in starts),
        parameters=tuple(
            float(sum(sizes[name] for name in network.trained(cut if adapted is None else head))) for cut in cuts
        ),
        adapted=tuple(numbers[-1] - numbers[cut] for cut in cuts),
        sides=tuple(sides[-1] - sides[cut] for cut in cuts),
        steps=tuple(float(counted_steps[-1] - counted_steps[cut]) for cut in cuts),
        steps_before=tuple(float(counted_steps[cut]) for cut in cuts),
    )


def _untraced(model: nn.Module, size: int, adapted: Mapping[str, Tensor] | None) -> Counts:
    """Returns the counts of a model without a graph: one step, as long as its parameters at every pixel."""
    head = float(sum(p.numel() for m in model.modules() if isinstance(m, backbones.Head) for p in m.parameters()))
    whole = float(sum(p.numel() for p in model.parameters()))
    work = whole * size**2 / 256  # patches of 16 x 16
    weights = list((adapted or {}).values())
    return Counts(
        trained=(head, work), frozen=(work, 0.0), below=(0.0, 0.0), backward=(2 * head, 2 * work),
        parameters=(head, whole if adapted is None else head), adapted=(0.0, sum(map(_numbers, weights))),
        sides=(0.0, sum(map(_sides, weights))), steps=(1.0, 1.0), steps_before=(1.0, 0.0),
    )  # fmt: skip


def _adapted_in(node: fx.Node, adapted: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of the adapted layers in a step, which may be a part of several layers."""
    target = str(node.target)
    if node.op != "call_module":
        return []
    return [name for name in adapted if name == target or name.startswith(f"{target}.")]


def _first(cut: int, head: int, names: Sequence[Sequence[str]]) -> int:
    """Returns the first step at or after a cut that needs gradients: with adapters, an adapted one or the head."""
    return next((k for k in range(cut, head) if names[k]), head)


def _numbers(weight: Tensor) -> float:
    return float(weight.numel())


def _sides(weight: Tensor) -> float:
    return float(weight.shape[0] + weight[0].numel())


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
