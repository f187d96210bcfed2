"""torch's optimizers by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from trainables import uncompiled  # noqa: F401  # optimizers without a second's import
from trainables.errors import InvalidConfig
from trainables.parameter_groups import Group
from trainables.settings import Settings


def make_optimizer(
    parameters: Sequence[nn.Parameter], settings: Settings, groups: Sequence[Group] = ()
) -> torch.optim.Optimizer:
    """Makes the optimizer that the settings name; whatever they do not set has torch's default.

    `parameters` are those of the `groups`, one after the other; without groups they are one. On a GPU its rates and its
    count of steps lie there, so that a step can be recorded as a CUDA graph.
    """
    decay, momentum = settings.weight_decay, settings.momentum
    rate: Any = settings.learning_rate
    there: dict[str, Any] = {}
    if parameters[0].is_cuda:
        rate, there = torch.tensor(rate, device=parameters[0].device), {"capturable": True}
    left = iter(parameters)
    given: Any = [
        {
            "params": [next(left) for _ in group.names],
            "weight_decay": group.weight_decay,
            "lr": rate.clone() if parameters[0].is_cuda else rate,
            "rate": group.rate,
        }
        for group in groups
    ] or list(parameters)
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(given, rate, weight_decay=decay, fused=True, **there)
        case "adamw":
            return torch.optim.AdamW(given, rate, weight_decay=decay, fused=True, **there)
        case "adadelta":
            return torch.optim.Adadelta(given, rate, weight_decay=decay, **there)
        case "rmsprop":
            return torch.optim.RMSprop(given, rate, weight_decay=decay, momentum=momentum, **there)
        case "sgd":
            return torch.optim.SGD(
                given, rate, weight_decay=decay, momentum=momentum, nesterov=settings.nesterov, fused=True
            )
        case "ridge":
            return torch.optim.SGD(given, rate)  # takes no step, and so has no state: trainables.ridge sets the head
    raise InvalidConfig(f"optimizer must be known, but got {settings.optimizer!r}")
