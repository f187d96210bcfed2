"""Hooks: what a user's class puts in place of the image classifier's loss, optimizer groups, augmentation, model or metrics.

    class Hooks:
        metric_names = ("top3",)

        def loss(self, logits, labels): ...                  # [N, K] float32, [N] -> [N], each sample's loss
        def optimizer_groups(self, groups, settings): ...    # Groups by default -> Groups
        def augment(self, images, generator): ...            # uint8 [N, 3, S, S] -> the same, altered; draws from `generator`
        def model(self, model): ...                          # the model with its Head -> a model with a Head
        def metrics(self, logits, labels): ...               # of a whole split -> {"top3": a number}

Any of them may be missing. A study names the class in `model: {hooks: package.module:Hooks}`; a subclass of the image
classifier has it as its attribute `hooks`. Like a trainable, hooks must depend on their arguments alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Generator, Tensor, nn

from hpo.text import one_line, shown
from trainables.backbones import Head
from trainables.errors import BadData, BadStudy, NotHere
from trainables.lora import is_adapter
from trainables.machine import Machine
from trainables.parameter_groups import Group
from trainables.settings import Settings

PLACE = ("model", "hooks")


@dataclass(frozen=True)
class Hooks:
    """The hooks of a class, None for those that it lacks."""

    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    optimizer_groups: Callable[[Sequence[Group], Settings], Sequence[Group]] | None = None
    augment: Callable[[Tensor, Generator], Tensor] | None = None
    model: Callable[[nn.Module], nn.Module] | None = None
    metrics: Callable[[Tensor, Tensor], Mapping[str, float]] | None = None
    metric_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: str | type[Any] | None) -> Hooks:
        """Returns the hooks of a class, or of the one that "package.module:Class" names.

        Raises NotHere for a module that cannot be found, BadStudy for a class that has no hooks or contradicts itself.
        """
        if source is None:
            return cls()
        found = _imported(source) if isinstance(source, str) else source
        if not isinstance(found, type):
            raise BadStudy(PLACE, f"model.hooks must name a class, but {shown(source)} is a {type(found).__name__}")
        made = found()
        named = {name: getattr(made, name) for name in NAMES if callable(getattr(made, name, None))}
        if not named:
            raise BadStudy(PLACE, f"hooks must have at least one of {', '.join(NAMES)}, but {found.__name__} has none")
        names = tuple(getattr(made, "metric_names", ()))
        if ("metrics" in named) != bool(names):
            raise BadStudy(
                PLACE, f"hooks must have both metrics and metric_names or neither, but {found.__name__} has one"
            )
        return cls(**named, metric_names=names)

    def measured(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """Returns the metrics of a split. Raises BadData where they are not finite numbers under `metric_names`."""
        if self.metrics is None:
            return {}
        found = {str(name): float(value) for name, value in self.metrics(logits, labels).items()}
        if sorted(found) != sorted(self.metric_names) or not all(map(math.isfinite, found.values())):
            wanted = ", ".join(self.metric_names)
            raise BadData(f"the hook metrics must return finite numbers for {wanted}, but returned {shown(found)}")
        return found

    def grouped(self, groups: Sequence[Group], settings: Settings) -> Sequence[Group]:
        """Returns the optimizer's groups. Raises BadData unless each parameter of `groups` is in one of them."""
        if self.optimizer_groups is None:
            return groups
        found = list(self.optimizer_groups(groups, settings))
        wanted, given = (sorted(name for group in some for name in group.names) for some in (groups, found))
        if given != wanted:
            wrong = sorted(set(wanted) ^ set(given)) or [name for name in given if given.count(name) > 1]
            raise BadData(
                f"the hook optimizer_groups must return each parameter once, but {shown(wrong[0])} is missing, unknown or twice"
            )
        return found

    def made(self, model: nn.Module) -> nn.Module:
        """Returns the model as the hook makes it. Raises BadData for one without a Head."""
        if self.model is None:
            return model
        found = self.model(model)
        if not isinstance(found, nn.Module) or not any(isinstance(module, Head) for module in found.modules()):
            raise BadData(f"the hook model must return a model with a Head, but returned {shown(found)}")
        return found


NAMES = ("loss", "optimizer_groups", "augment", "model", "metrics")


def check(source: str | type[Any], augment: str, smoothed: bool) -> None:
    """Raises BadStudy, or NotHere, for hooks that cannot be used, or not with data.augment or label_smoothing."""
    hooks = Hooks.of(source)
    if hooks.augment is not None and augment != "none":
        raise BadStudy(
            ("data", "augment"), f"data.augment must be none where a hook augments the images, but got {shown(augment)}"
        )
    if hooks.loss is not None and smoothed:
        raise BadStudy(PLACE, "label_smoothing must be left out where a hook has the loss, which would not know of it")


def metric_names(source: str | type[Any]) -> tuple[str, ...]:
    """Returns the names of a class's own metrics."""
    return Hooks.of(source).metric_names


def has(source: str | type[Any], name: str) -> bool:
    """Whether a class has the hook of that name."""
    return getattr(Hooks.of(source), name) is not None


@torch.no_grad()
def fingerprint(model: nn.Module, machine: Machine, image_size: int) -> str:
    """Returns 16 hexadecimal digits of all values below the head and of the features that they make of two images.

    It keeps apart the activations of models that a hook has changed, in values or in code.
    """
    drawn = torch.randint(0, 256, (2, 3, image_size, image_size), generator=Generator().manual_seed(0))
    images = machine.prepare(drawn.to(torch.uint8))
    found = hashlib.sha256()
    heads = [f"{name}." for name, module in model.named_modules() if isinstance(module, Head)]
    for name, value in model.state_dict().items():
        if not name.startswith(tuple(heads)) and not is_adapter(name):  # adapters begin without an effect
            found.update(name.encode() + value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    training, seen = model.training, []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for module in model.modules()
        if isinstance(module, Head)
    ]
    try:
        model.eval()(images)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    for value in seen:
        found.update(value.float().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _imported(name: str) -> Any:
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise BadStudy(PLACE, f"model.hooks must be package.module:Class, but got {shown(name)}")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise NotHere(
            PLACE, f"model.hooks {shown(name)} must be importable, but: {error}; is its folder on PYTHONPATH?"
        ) from None
    except Exception as error:  # whatever a user's module raises while it is imported
        raise BadStudy(PLACE, f"model.hooks {shown(name)} must be importable, but: {one_line(error)}") from error
    if not hasattr(module, attribute):
        raise BadStudy(PLACE, f"model.hooks {shown(name)} must exist, but {module_name} has no {shown(attribute)}")
    return getattr(module, attribute)
