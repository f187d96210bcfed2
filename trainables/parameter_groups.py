"""The groups of an optimizer's parameters: each has a weight decay and a factor of the learning rate. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.modules import batchnorm, instancenorm, normalization

from trainables.settings import Settings

NORMS = (
    batchnorm._NormBase,
    instancenorm._InstanceNorm,
    normalization.LayerNorm,
    normalization.GroupNorm,
    normalization.LocalResponseNorm,
)


@dataclass(frozen=True)
class Group:
    """Parameters, by their names in the model, that are trained at `rate` times the learning rate with `weight_decay`."""

    names: tuple[str, ...]
    weight_decay: float
    rate: float = 1.0


def groups(model: nn.Module, names: Iterable[str], settings: Settings) -> list[Group]:
    """Returns the groups of the parameters `names`, each once, as the settings divide them; undivided, one group.

    norm_weight_decay and bias_weight_decay are those of torchvision's references: a normalization's weight and bias count
    as norm, any other module's as bias. A parameter `d` blocks before the head has `layer_decay` ** d of the rate.
    """
    depths = depth_of(model) if settings.layer_decay < 1 else {}
    norms = {name for name, module in model.named_modules() if normalizes(module)}
    found: dict[tuple[float, float], list[str]] = {}
    for name in names:
        owner, _, leaf = name.rpartition(".")
        decay = settings.norm_weight_decay if owner in norms else settings.bias_weight_decay if leaf == "bias" else None
        key = settings.layer_decay ** depths.get(name, 0), settings.weight_decay if decay is None else decay
        found.setdefault(key, []).append(name)
    return [Group(tuple(those), decay, rate) for (rate, decay), those in found.items()]


def depth_of(model: nn.Module) -> dict[str, int]:
    """Returns how many blocks each parameter lies before the head, which has 0; the blocks in the model's order.

    A normalization between blocks has the depth of the one before it.
    """
    numbers: dict[str, int] = {}
    last = -1
    blocks = list(_blocks(model))
    for name, _ in model.named_parameters():
        block = next(block for block in blocks if _inside(name, block))
        if block not in numbers:
            alone = name == block  # a parameter outside any part
            last += 0 if last >= 0 and not alone and normalizes(model.get_submodule(block)) else 1
            numbers[block] = last
    return {name: last - numbers[next(b for b in blocks if _inside(name, b))] for name, _ in model.named_parameters()}


def normalizes(module: nn.Module) -> bool:
    return isinstance(module, NORMS) or ("Norm" in type(module).__name__ and next(module.children(), None) is None)


def _inside(name: str, block: str) -> bool:
    return name == block or name.startswith(f"{block}.")


def _blocks(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yields the names of the parts that share a depth: what repeats in a list of like modules is a part of its own."""
    for name, _ in module.named_parameters(recurse=False):
        yield f"{prefix}{name}"
    for name, child in module.named_children():
        if type(child) in (nn.Sequential, nn.ModuleList) or any(map(_repeats, child.modules())):
            yield from _blocks(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _repeats(module: nn.Module) -> bool:
    """Whether the module is a plain list of modules of one kind that have parts: blocks, not layers."""
    parts = [child for child in module.children() if next(child.children(), None) is not None]
    units = any(isinstance(part, nn.Sequential) for part in parts)  # a convolution with its normalization
    return (
        type(module) in (nn.Sequential, nn.ModuleList)
        and len(parts) > 1
        and len(set(map(type, parts))) == 1
        and not units
    )
