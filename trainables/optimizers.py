"""The optimizers by name, as torch has them."""

from __future__ import annotations

import torch
from torch import nn

from trainables.errors import InvalidConfig
from trainables.settings import Settings


def make_optimizer(parameters: list[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """The optimizer of the settings; torch's defaults beyond them."""
    rate, decay, momentum = settings.learning_rate, settings.weight_decay, settings.momentum
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True)
        case "adadelta":
            return torch.optim.Adadelta(parameters, rate, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, weight_decay=decay, momentum=momentum)
        case "sgd":
            return torch.optim.SGD(
                parameters, rate, weight_decay=decay, momentum=momentum, nesterov=settings.nesterov, fused=True
            )
    raise InvalidConfig(f"optimizer must be known, but got {settings.optimizer!r}")
