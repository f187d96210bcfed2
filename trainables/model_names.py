"""The models by name: torchvision's classification models, `digits_net`, and `timm:NAME` where timm is installed."""

from __future__ import annotations

from types import ModuleType

import torchvision
from torch import nn
from torchvision.models import list_models

from hpo.text import nearest
from trainables.errors import BadData

SHORT = {"legacy_xception": "timm:legacy_xception", "xception": "timm:legacy_xception"}


def names() -> list[str]:
    """Returns torchvision's classification models, digits_net and the shorthand for timm's Xception, sorted."""
    return sorted([*list_models(module=torchvision.models), "digits_net", "legacy_xception"])


def known(name: str) -> str:
    """Returns the full name of a model that exists. Raises BadData for any other."""
    full = SHORT.get(name, name)
    if full.startswith("timm:") or full == "digits_net" or full in list_models(module=torchvision.models):
        return full
    raise BadData(f"model.name must be a known model, but got {name!r}; {nearest(name, names())}")


def native_size(name: str) -> int:
    """Returns the image size in px that the model's published weights were trained with; 224 where it is unknown."""
    name = known(name)
    if name.startswith("timm:"):
        return int(timm().create_model(name.removeprefix("timm:"), pretrained=False).pretrained_cfg["input_size"][-1])
    return {"inception_v3": 299, "digits_net": 32}.get(name, 224)


def timm() -> ModuleType:
    """Returns the timm package. Raises BadData where it is not installed."""
    try:
        import timm
    except ImportError:
        raise BadData("timm models need the extra: pip install 'hpo-arena[timm]'") from None
    return timm


def timm_model(name: str, *, pretrained: bool) -> nn.Module:
    """Makes timm's model of the full name `timm:NAME`. Raises BadData where timm has none."""
    try:
        model: nn.Module = timm().create_model(name.removeprefix("timm:"), pretrained=pretrained)
    except (RuntimeError, ValueError) as error:
        raise BadData(f"timm must know the model {name!r}, but: {error}") from None
    return model
