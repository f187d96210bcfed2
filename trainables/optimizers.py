"""torch's optimizers by name."""

from __future__ import annotations

import torch
from torch import nn

from trainables.errors import InvalidConfig
from trainables.settings import Settings


def make_optimizer(parameters: list[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """Makes the optimizer that the settings name; whatever they do not set has torch's default."""
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
