"""Low-rank adapters (Hu et al. 2021, LoRA): a layer's weight W becomes W + alpha/r * B A, and only A and B are trained.

`attach` gives layers the parameters `lora_a` [r, inputs] and `lora_b` [outputs, r], W as a matrix [outputs, inputs]: of a
convolution, inputs are the channels of a group times the kernel's area. B begins at 0, so that the model begins as it was.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from trainables.backbones import Head
from trainables.settings import Settings

A, B = "lora_a", "lora_b"
WEIGHTS = ("weight", "in_proj_weight")  # the second is that of attention: query, key and value


@dataclass(frozen=True)
class Adapter:
    """The adapter of one weight, `name` in the model."""

    name: str
    weight: nn.Parameter
    a: nn.Parameter
    b: nn.Parameter
    scale: float

    def merged(self) -> Tensor:
        """Returns the weight that the layer computes with."""
        return self.weight.detach() + (self.b @ self.a).view_as(self.weight) * self.scale


def attach(model: nn.Module, settings: Settings, seed: int) -> None:
    """Gives each layer of the wanted kinds, but the head, its two parameters. Draws from `seed` and the layer's name."""
    for name, weight in list(adaptable(model, settings.lora_targets)):
        module = model.get_submodule(name)
        rows, columns = weight.shape[0], weight[0].numel()
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
        bound = 1 / math.sqrt(columns)  # of kaiming_uniform with a = sqrt(5), torch's start for a linear layer
        drawn = torch.rand(settings.lora_rank, columns, generator=generator) * (2 * bound) - bound
        module.register_parameter(A, nn.Parameter(drawn))
        module.register_parameter(B, nn.Parameter(torch.zeros(rows, settings.lora_rank)))


def adaptable(model: nn.Module, targets: str) -> Iterator[tuple[str, Tensor]]:
    """Yields the name and the weight of each layer of the wanted kinds, but the head."""
    for name, module in model.named_modules():
        weight = _weight(module, targets)
        if weight is not None and not isinstance(_parent(model, name), Head):
            yield name, weight


def adapters(model: nn.Module, names: Iterable[str], settings: Settings) -> list[Adapter]:
    """Returns the adapters among the parameters `names`."""
    scale = (settings.lora_alpha or settings.lora_rank) / max(1, settings.lora_rank)
    found = []
    for owner in (name.rpartition(".")[0] for name in names if name.rpartition(".")[2] == A):
        module = model.get_submodule(owner)
        leaf = next(leaf for leaf in WEIGHTS if isinstance(getattr(module, leaf, None), nn.Parameter))
        found.append(Adapter(f"{owner}.{leaf}", getattr(module, leaf), getattr(module, A), getattr(module, B), scale))
    return found


def is_adapter(name: str) -> bool:
    return name.rpartition(".")[2] in (A, B)


@contextmanager
def merged(found: Iterable[Adapter]) -> Iterator[None]:
    """Lends the layers their merged weights, as an evaluation computes with; afterwards, their own, bit for bit."""
    before = [(adapter.weight, adapter.weight.detach().clone()) for adapter in found]
    with torch.no_grad():
        for adapter in found:
            adapter.weight.copy_(adapter.merged())
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in before:
                weight.copy_(value)


def _weight(module: nn.Module, targets: str) -> Tensor | None:
    """The weight of a layer of the wanted kinds; None for any other module."""
    if isinstance(module, nn.MultiheadAttention) and targets != "convolution":
        return module.in_proj_weight  # None where query, key and value have weights of their own
    kinds: dict[str, tuple[type[nn.Module], ...]] = {"linear": (nn.Linear,), "convolution": (_ConvNd,)}
    if isinstance(module, kinds.get(targets, (nn.Linear, _ConvNd))):
        weight = module.weight
        assert isinstance(weight, Tensor)
        return weight
    return None


def _parent(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])
