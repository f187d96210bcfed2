"""torch's optimizers by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trainables import uncompiled  # noqa: F401  # optimizers without a second's import
from trainables.errors import InvalidConfig
from trainables.settings import Settings


def make_optimizer(parameters: list[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """Makes the optimizer that the settings name; whatever they do not set has torch's default.

    On a GPU its rate and its count of steps lie there, so that a step can be recorded as a CUDA graph.
    """
    decay, momentum = settings.weight_decay, settings.momentum
    rate: Any = settings.learning_rate
    there: dict[str, Any] = {}
    if parameters[0].is_cuda:
        rate, there = torch.tensor(rate, device=parameters[0].device), {"capturable": True}
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True, **there)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True, **there)
        case "adadelta":
            return torch.optim.Adadelta(parameters, rate, weight_decay=decay, **there)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, weight_decay=decay, momentum=momentum, **there)
        case "sgd":
            return torch.optim.SGD(
                parameters, rate, weight_decay=decay, momentum=momentum, nesterov=settings.nesterov, fused=True
            )
    raise InvalidConfig(f"optimizer must be known, but got {settings.optimizer!r}")
