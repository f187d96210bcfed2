"""The models by name: torchvision's classification models, `digits_net`, and `timm:NAME` where timm is installed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import nn

from hpo.errors import how_to_install
from hpo.text import nearest, one_line
from trainables.errors import BadData, InvalidConfig
from trainables.vision import torchvision

SHORT = {"legacy_xception": "timm:legacy_xception", "xception": "timm:legacy_xception"}


def names() -> list[str]:
    """Returns torchvision's classification models, digits_net and the shorthand for timm's Xception, sorted."""
    return sorted([*torchvision.models.list_models(module=torchvision.models), "digits_net", "legacy_xception"])


def known(name: str) -> str:
    """Returns the full name of a model that exists. Raises BadData for any other."""
    full = SHORT.get(name, name)
    if (
        full.startswith("timm:")
        or full == "digits_net"
        or full in torchvision.models.list_models(module=torchvision.models)
    ):
        return full
    raise BadData(f"model.name must be a known model, but got {name!r}; {nearest(name, names())}")


def native_size(name: str) -> int:
    """Returns the image size in px that the model's published weights were trained with; 224 where it is unknown."""
    name = known(name)
    if name.startswith("timm:"):
        return int(timm_config(name)["input_size"][-1])
    return {"inception_v3": 299, "digits_net": 32}.get(name, 224)


def timm() -> ModuleType:
    """Returns the timm package. Raises BadData where it is not installed."""
    try:
        import timm
    except ImportError:
        raise BadData(f"timm models need the extra: {how_to_install('timm')}") from None
    return timm


def timm_config(name: str) -> dict[str, Any]:
    """Returns what timm knows of the weights of `timm:NAME`: input_size, mean, std, ... Raises BadData for no model."""
    found = timm().get_pretrained_cfg(_known_to_timm(name))
    if found is not None:
        return dict(found.to_dict())
    return dict(timm().create_model(_known_to_timm(name), pretrained=False).pretrained_cfg)


def timm_model(name: str, image_size: int, *, pretrained: bool) -> nn.Module:
    """Makes timm's model of the full name `timm:NAME` for images of that size.

    At its native size the model is as published. At another it is told the size, if it takes one: that decides its
    position embeddings and windows, and timm fits pretrained ones to it. Raises BadData where timm has no such model,
    or no weights of it, InvalidConfig for a size that it cannot have.
    """
    bare = _known_to_timm(name)
    sized = {} if image_size == native_size(name) else {"img_size": image_size}
    try:
        model: nn.Module = timm().create_model(bare, pretrained=pretrained, **sized)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        model = timm().create_model(bare, pretrained=pretrained)
    except (AssertionError, ValueError, ZeroDivisionError) as error:
        if sized:
            raise InvalidConfig(
                f"image_size must suit {name}, but {image_size} px do not ({one_line(error)})"
            ) from error
        raise
    except RuntimeError as error:
        if pretrained:
            raise BadData(f"timm must have weights of {name}, but: {one_line(error)}") from error
        raise
    return model


def _known_to_timm(name: str) -> str:
    """Returns timm's own name of a model that it has, or that lies on a hub. Raises BadData for any other."""
    bare = name.removeprefix("timm:")
    arch, _, tag = bare.partition(".")
    if ":" not in bare and not (timm().is_model(bare) and (not tag or timm().is_model_pretrained(bare))):
        valid = timm().list_models() if not timm().is_model(arch) else timm().list_pretrained(arch)
        raise BadData(f"timm must know the model {name!r}, but does not; {nearest(bare, valid)}")
    return bare
