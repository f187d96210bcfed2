"""The hyperparameters of fine-tuning: a configuration as one frozen, validated value. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from hpo.text import meant, nearest, shown
from trainables.errors import InvalidConfig, UnknownHyperparameter
from trainables.sections import ARCHITECTURE

OPTIMIZERS = ("adam", "adamw", "adadelta", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle")
NAMES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}  # the hyperparameters that are names


@dataclass(frozen=True)
class Stage:
    """How one epoch is trained: the number of last layers beside the head (None: all), batch size, base learning rate."""

    layers: int | None
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Settings:
    """Every hyperparameter of the image classifier, with its default. 0 switches an optional one off.

    Two-stage training (paper 003): `head_epochs` epochs of the head alone, with `head_batch_size` and
    `head_learning_rate` (0: those of the second stage). Gradual unfreezing (paper 000): after that, one more layer every
    `unfreeze_every` epochs up to `finetuned_layers`, each time at `unfreeze_rate_factor` times the rate.
    """

    learning_rate: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    batch_size: int = 32
    dropout: float = 0.2
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    finetuned_layers: int | None = 0
    image_size: int = 224
    head_epochs: int = 0
    head_batch_size: int = 0
    head_learning_rate: float = 0.0
    unfreeze_every: int = 0
    unfreeze_rate_factor: float = 1.0
    bf16: bool = False
    channels_last: bool = True
    compile: bool = False
    graphs: bool = True
    deterministic: bool = False
    reuse_activations: bool = True
    patch_size: int = 0
    projection_dim: int = 0
    heads: int = 0
    layers: int = 0
    mlp_units: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """Reads a configuration. Raises InvalidConfig for an unknown name or an impossible value."""
        return cls(**{name: valid(name, value) for name, value in config.items()})

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum > 0):
            raise InvalidConfig(
                f"nesterov needs optimizer sgd with momentum > 0, but got {self.optimizer} with momentum {self.momentum}"
            )

    @property
    def architecture(self) -> dict[str, int]:
        """The vision transformer's sizes that the configuration sets."""
        return {name: getattr(self, name) for name in ARCHITECTURE if getattr(self, name)}

    def stage(self, epoch: int, thaws: tuple[int, ...] = ()) -> Stage:
        """Returns how epoch `epoch` (1-based) is trained.

        `thaws` are the numbers of last layers, rising, at which one more layer with parameters is trained.
        """
        if epoch <= self.head_epochs:
            rate = self.head_learning_rate or self.learning_rate
            return Stage(0, self.head_batch_size or self.batch_size, rate)
        if not self.unfreeze_every:
            return Stage(self.finetuned_layers, self.batch_size, self.learning_rate)
        # Without head_epochs, the first step trains the head alone.
        step = (epoch - 1 - self.head_epochs) // self.unfreeze_every + (1 if self.head_epochs else 0)
        most = math.inf if self.finetuned_layers is None else self.finetuned_layers
        numbers = [0, *(number for number in thaws if number <= most)]
        step = min(step, len(numbers) - 1)
        return Stage(numbers[step], self.batch_size, self.learning_rate * self.unfreeze_rate_factor**step)


def valid(name: str, value: Any) -> Any:
    """Returns a hyperparameter's value as its type. Raises InvalidConfig: the name is unknown, or the value impossible."""
    kinds = get_type_hints(Settings)
    if name not in kinds:
        raise UnknownHyperparameter(f"a hyperparameter must be known, but got {shown(name)}; {nearest(name, kinds)}")
    typed = _typed(name, value, kinds[name])
    _check(name, typed)
    return typed


def _check(name: str, value: Any) -> None:
    """Raises InvalidConfig for a value that no configuration may have, whatever its other values are."""
    if name in NAMES:
        _require(name, value, value in NAMES[name], f"one of {', '.join(NAMES[name])}")
    elif name in ("learning_rate", "unfreeze_rate_factor"):
        _require(name, value, value > 0 and math.isfinite(value), "> 0")
    elif name in ("momentum", "dropout", "label_smoothing"):
        _require(name, value, 0 <= value < 1, "in [0, 1)")
    elif name in ("batch_size", "image_size"):
        _require(name, value, value >= 1, ">= 1")
    elif isinstance(value, int | float):
        _require(name, value, value >= 0 and math.isfinite(value), "finite and >= 0")


def _require(name: str, value: Any, holds: bool, what: str) -> None:
    if not holds:
        near = meant(value, NAMES.get(name, ()))
        raise InvalidConfig(f"{name} must be {what}, but got {shown(value)}{near}")


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Returns the value as its field's type; choices of mixed types may arrive as text."""
    if name == "finetuned_layers" and value in ("all", None):
        return None
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise InvalidConfig(f"{name} must be true or false, but got {shown(value)}")
    if kind is str:
        return str(value)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if kind is float:
            return number
        if number != int(number):
            raise ValueError
        return int(number)
    except (TypeError, ValueError, OverflowError):
        wanted = (
            "a number" if kind is float else "a whole number or all" if name == "finetuned_layers" else "a whole number"
        )
        raise InvalidConfig(f"{name} must be {wanted}, but got {shown(value)}") from None


def rate_factor(schedule: str, progress: float) -> float:
    """Returns the factor of the base learning rate when `progress` in [0, 1] of the trial's max_epochs is trained.

    one_cycle (Smith and Topin 2018): from 1/25 up to 1 over the first 30 percent, down to 1/250,000, both as cosines.
    """
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "one_cycle":
        low, high, part = (0.04, 1.0, progress / 0.3) if progress < 0.3 else (4e-6, 1.0, 1 - (progress - 0.3) / 0.7)
        return low + (high - low) * 0.5 * (1 - math.cos(math.pi * part))
    return 1.0
