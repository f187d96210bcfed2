"""Classification models by name, each with a head of dropout and a linear layer for the task's classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from trainables.digits_net import DigitsNet
from trainables.errors import BadData, InvalidConfig
from trainables.model_names import known, names, native_size, timm_model
from trainables.pretrained import assign, fitted, load_weights
from trainables.vision import torchvision

__all__ = ["Head", "build", "names", "native_size", "outline"]

# Paper 000's space for a vision transformer without pretrained weights -> torchvision's argument.
VIT_ARCHITECTURE = {
    "patch_size": "patch_size",
    "projection_dim": "hidden_dim",
    "heads": "num_heads",
    "layers": "num_layers",
    "mlp_units": "mlp_dim",
}
# layers, heads, projection, MLP units of ViT-Base, -Large, -Huge (Dosovitskiy et al. 2021, Table 1)
VIT_SHAPES = {"b": (12, 12, 768, 3072), "l": (24, 16, 1024, 4096), "h": (32, 16, 1280, 5120)}


CLASSIFIER_OUTPUTS = 997  # a prime, which no layer inside a model has: only classifiers are made with as many outputs


class Head(nn.Sequential):
    """The part that is always trained: dropout, then the linear layer to the task's classes, in place of `last`."""

    def __init__(self, last: nn.Linear | nn.Conv2d, classes: int, dropout: float) -> None:
        new = nn.Linear(last.in_features, classes) if isinstance(last, nn.Linear) else _pointwise(last, classes)
        super().__init__(nn.Dropout(dropout), new)


def _pointwise(last: nn.Conv2d, classes: int) -> nn.Conv2d:
    return nn.Conv2d(last.in_channels, classes, 1)


def build(
    name: str,
    num_classes: int,
    *,
    weights: str = "none",
    image_size: int = 224,
    dropout: float = 0.0,
    seed: int = 0,
    architecture: Mapping[str, int] | None = None,
) -> nn.Module:
    """Makes the model with `weights` and a new head. Random values come from `seed`; no other random state moves.

    `architecture` holds a vision transformer's patch_size, projection_dim, heads, layers and mlp_units; it needs
    `weights` "none". Raises BadWeights for weights that do not fit, InvalidConfig for an impossible architecture.
    """
    name = known(name)
    weights = str(weights)
    state = load_weights(name, weights, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if state is None:
            model = _construct(name, image_size, dict(architecture or {}))
        else:
            _refuse_architecture(architecture, weights)
            model = _empty(name, image_size)
        heads = _classifiers(model)
        if state is not None:
            assign(model, heads, fitted(name, state, image_size), f"{name}, {weights}")
        _set_heads(model, heads, num_classes, dropout)
    return model


def outline(name: str, image_size: int, num_classes: int = 10) -> nn.Module:
    """Makes the model with its head but without values, on the meta device where possible: to be inspected only."""
    model = _empty(known(name), image_size)
    with torch.device("meta"):
        _set_heads(model, _classifiers(model), num_classes, 0.0)
    return model


# -- construction -------------------------------------------------------------------------------------------------


def _construct(name: str, image_size: int, architecture: Mapping[str, int]) -> nn.Module:
    if name.startswith("timm:"):
        _refuse_architecture(architecture, "a timm model")
        return timm_model(name, image_size, pretrained=False)
    if name == "digits_net":
        _refuse_architecture(architecture, name)
        return DigitsNet()
    if name.startswith("vit_"):
        return _vit(name, image_size, architecture)
    _refuse_architecture(architecture, name)
    extra = {"aux_logits": False, "init_weights": True} if name in ("inception_v3", "googlenet") else {}
    model: Any = torchvision.models.get_model(name, weights=None, **extra)
    if name.startswith("squeezenet"):
        # The last convolution becomes the head: pooled first, so that head-only training needs 512 numbers an image.
        model.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(512, 1000))
        model.num_classes = 1000
    made: nn.Module = model
    return made


def _empty(name: str, image_size: int) -> nn.Module:
    """The model without values, for weights that are about to be assigned: drawing random ones would take longer."""
    try:
        with torch.device("meta"):
            return _construct(name, image_size, {})
    except (NotImplementedError, RuntimeError):  # a model that reads its own tensors while it is built (RegNet)
        return _construct(name, image_size, {})


def _vit(name: str, image_size: int, architecture: Mapping[str, int]) -> nn.Module:
    default = dict(zip(("num_layers", "num_heads", "hidden_dim", "mlp_dim"), VIT_SHAPES[name[4]], strict=True))
    default["patch_size"] = int(name.rsplit("_", 1)[1])
    shape = default | {VIT_ARCHITECTURE[key]: value for key, value in architecture.items()}
    if min(shape.values()) < 1:
        raise InvalidConfig(f"a vision transformer's sizes must be >= 1, but got {shape}")
    if image_size % shape["patch_size"]:
        raise InvalidConfig(f"patch_size must divide image_size, but got {shape['patch_size']} and {image_size}")
    if shape["hidden_dim"] % shape["num_heads"]:
        raise InvalidConfig(f"heads must divide projection_dim, but got {shape['num_heads']} and {shape['hidden_dim']}")
    model: nn.Module = torchvision.models.VisionTransformer(image_size=image_size, **shape)
    return model


def _refuse_architecture(architecture: Mapping[str, int] | None, what: str) -> None:
    if architecture:
        raise InvalidConfig(
            f"{', '.join(sorted(architecture))} can be set only for a vision transformer with weights: none, "
            f"but got {what}"
        )


# -- the head -----------------------------------------------------------------------------------------------------


def _classifiers(model: nn.Module) -> list[str]:
    """Returns the names of the final layers: one for most models, two for those with a head for distillation."""
    reset: Callable[[int], None] | None = getattr(model, "reset_classifier", None)  # timm's models have it
    if reset is not None:
        with torch.device("meta"):  # draws nothing
            reset(CLASSIFIER_OUTPUTS)
        found = [name for name, module in model.named_modules() if _outputs(module) == CLASSIFIER_OUTPUTS]
    else:
        found = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1:]
    if not found:
        raise BadData(f"a model must end in a linear layer to be fine-tuned, but {type(model).__name__} has none")
    return found


def _outputs(module: nn.Module) -> int:
    if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
        return module.out_channels
    return module.out_features if isinstance(module, nn.Linear) else 0


def _set_heads(model: nn.Module, names: Iterable[str], classes: int, dropout: float) -> None:
    """Puts a head in place of each final layer; the head's dropout replaces one directly before it."""
    for name in names:
        last = model.get_submodule(name)
        assert isinstance(last, nn.Linear | nn.Conv2d)
        parent_name, _, leaf = name.rpartition(".")
        parent = model.get_submodule(parent_name)
        if isinstance(parent, nn.Sequential):
            before = list(parent)[: list(parent._modules).index(leaf)]
            if before and isinstance(before[-1], nn.Dropout):
                parent[len(before) - 1] = nn.Identity()
        elif isinstance(getattr(parent, "dropout", None), nn.Dropout):
            parent.dropout = nn.Identity()
        setattr(parent, leaf, Head(last, classes, dropout))
