"""The hyperparameters of fine-tuning: a configuration as one frozen, validated value. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from hpo.text import meant, nearest, shown
from trainables.errors import InvalidConfig, UnknownHyperparameter
from trainables.sections import ARCHITECTURE

OPTIMIZERS = ("adam", "adamw", "adadelta", "rmsprop", "sgd")  # by gradients; "ridge" solves for the head
SCHEDULES = ("constant", "cosine", "one_cycle")
LORA_TARGETS = ("all", "linear", "convolution")
NAMES = {
    "optimizer": (*OPTIMIZERS, "ridge"),
    "schedule": SCHEDULES,
    "lora_targets": LORA_TARGETS,
}  # the hyperparameters that are names


NONE = {"finetuned_layers": "all", "norm_weight_decay": "none", "bias_weight_decay": "none"}  # how files write None


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

    What has been added since is off by default, so that a configuration of a stored study means what it meant: also
    `norm_weight_decay` and `bias_weight_decay`, which are None, `weight_decay` for all, in torchvision's references too.
    """

    learning_rate: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    norm_weight_decay: float | None = None
    bias_weight_decay: float | None = None
    layer_decay: float = 1.0
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    min_rate_factor: float = 0.0
    batch_size: int = 32
    accumulation_steps: int = 1
    dropout: float = 0.2
    label_smoothing: float = 0.0
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    finetuned_layers: int | None = 0
    lora_rank: int = 0
    lora_alpha: float = 0.0
    lora_targets: str = "all"
    image_size: int = 224
    test_image_size: int = 0
    crop_scale: float = 0.08
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
        for rule in RULES:
            if broken := rule.broken(self):
                raise InvalidConfig(broken)

    @property
    def held_out_size(self) -> int:
        """The side of validation and test images in px."""
        return self.test_image_size or self.image_size

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


@dataclass(frozen=True)
class Rule:
    """What must hold between hyperparameters: `broken` returns the sentence for settings that contradict themselves.

    `names` are those that it reads, first the one to which the mistake is put down.
    """

    names: tuple[str, ...]
    broken: Callable[[Settings], str]


def _nesterov(s: Settings) -> str:
    if not s.nesterov or (s.optimizer == "sgd" and s.momentum > 0):
        return ""
    return f"nesterov needs optimizer sgd with momentum > 0, but got {s.optimizer} with momentum {s.momentum}"


def _warmup(s: Settings) -> str:
    if not s.warmup_epochs or s.schedule != "one_cycle":
        return ""
    return f"warmup_epochs must be 0 with schedule one_cycle, which warms up itself, but got {s.warmup_epochs}"


def _floor(s: Settings) -> str:
    if not s.min_rate_factor or s.schedule == "cosine":
        return ""
    return f"min_rate_factor must be 0 without schedule cosine, but got {s.min_rate_factor} with {s.schedule}"


def _lora_layers(s: Settings) -> str:
    if not s.lora_rank or s.finetuned_layers != 0:
        return ""
    return f"lora_rank must be 0 where finetuned_layers is 0, for there is no layer to adapt, but got {s.lora_rank}"


def _lora_compile(s: Settings) -> str:
    return (
        f"compile must be false with lora_rank > 0, but got true with {s.lora_rank}"
        if s.lora_rank and s.compile
        else ""
    )


def _ridge(s: Settings) -> str:
    if s.optimizer != "ridge" or (s.finetuned_layers == 0 and s.weight_decay > 0):
        return ""
    layers = "all" if s.finetuned_layers is None else s.finetuned_layers
    return (
        "optimizer ridge, which solves for the head alone, needs finetuned_layers 0 and weight_decay > 0, "
        f"but got {layers} and {s.weight_decay}"
    )


RULES = (
    Rule(("nesterov", "optimizer", "momentum"), _nesterov),
    Rule(("warmup_epochs", "schedule"), _warmup),
    Rule(("min_rate_factor", "schedule"), _floor),
    Rule(("lora_rank", "finetuned_layers"), _lora_layers),
    Rule(("compile", "lora_rank", "finetuned_layers"), _lora_compile),
    Rule(("optimizer", "finetuned_layers", "weight_decay"), _ridge),
)


def valid(name: str, value: Any) -> Any:
    """Returns a hyperparameter's value as its type. Raises InvalidConfig: the name is unknown, or the value impossible."""
    kinds = _kinds()
    if name not in kinds:
        raise UnknownHyperparameter(f"a hyperparameter must be known, but got {shown(name)}; {nearest(name, kinds)}")
    typed = _typed(name, value, kinds[name])
    _check(name, typed)
    return typed


@cache
def _kinds() -> dict[str, Any]:
    """The type of each hyperparameter, by name: a study asks for those of every configuration."""
    return get_type_hints(Settings)


def _check(name: str, value: Any) -> None:
    """Raises InvalidConfig for a value that no configuration may have, whatever its other values are."""
    if name in NAMES:
        _require(name, value, value in NAMES[name], f"one of {', '.join(NAMES[name])}")
    elif name in ("learning_rate", "unfreeze_rate_factor"):
        _require(name, value, value > 0 and math.isfinite(value), "> 0")
    elif name in ("momentum", "dropout", "label_smoothing", "ema_decay", "min_rate_factor"):
        _require(name, value, 0 <= value < 1, "in [0, 1)")
    elif name in ("layer_decay", "crop_scale"):
        _require(name, value, 0 < value <= 1, "in (0, 1]")
    elif name in ("batch_size", "image_size", "accumulation_steps"):
        _require(name, value, value >= 1, ">= 1")
    elif isinstance(value, int | float):
        _require(name, value, value >= 0 and math.isfinite(value), "finite and >= 0")


def _require(name: str, value: Any, holds: bool, what: str) -> None:
    if not holds:
        near = meant(value, NAMES.get(name, ()))
        raise InvalidConfig(f"{name} must be {what}, but got {shown(value)}{near}")


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Returns the value as its field's type; choices of mixed types may arrive as text."""
    if name in NONE and value in (NONE[name], None):
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
        if kind in (float, float | None):
            return number
        if number != int(number):
            raise ValueError
        return int(number)
    except (TypeError, ValueError, OverflowError):
        wanted = "a number" if kind in (float, float | None) else "a whole number"
        wanted += f" or {NONE[name]}" if name in NONE else ""
        raise InvalidConfig(f"{name} must be {wanted}, but got {shown(value)}") from None
