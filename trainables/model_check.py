"""Whether a study's model exists, its weights fit, and its layers suffice. Makes models without values; downloads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hpo.files import expanded, names_weights
from hpo.text import meant, shown
from trainables import backbones, pretrained
from trainables.checking import Location, in_section, values
from trainables.errors import BadData, BadStudy, BadWeights, InvalidConfig, NotHere
from trainables.model_names import known, timm
from trainables.network import Network
from trainables.sections import ARCHITECTURE, Model
from trainables.settings import Settings, valid


def check_model(model: Model, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Raises BadStudy for a model, weights, an image size or a number of layers that cannot be; NotHere for what may."""
    with in_section("model"):
        name = known(model.name)
    if name.startswith("timm:"):
        _check_timm(name, model.weights)
    _check_layers(name, model, space, fixed)
    _check_test_sizes(name, space, fixed)
    if model.weights == "none" or model.weights.startswith("s3://"):
        return
    if names_weights(model.weights):
        _check_file(name, model.weights, space, fixed)
    elif name == "digits_net" and model.weights != "DEFAULT":
        message = f"model.weights for digits_net must be DEFAULT, none or a file, but got {shown(model.weights)}"
        raise BadStudy(("model", "weights"), message + meant(model.weights, ("DEFAULT", "none")))
    elif name != "digits_net" and not name.startswith("timm:"):
        try:
            pretrained.normalization(name, model.weights)
        except BadWeights as error:
            raise BadStudy(("model", "weights"), f"{error}{meant(model.weights, ('DEFAULT', 'none'))}") from None


def _check_timm(name: str, weights: str) -> None:
    try:
        package = timm()
    except BadData as error:
        raise NotHere(("model", "name"), str(error)) from None
    short = name.removeprefix("timm:")
    if not package.is_model(short):
        near = meant(short, package.list_models())
        raise BadStudy(("model", "name"), f"timm must know the model {shown(name)}, but it does not{near}")
    if weights not in ("DEFAULT", "none") and "/" not in weights and "." not in weights:
        message = f"model.weights for a timm model must be DEFAULT, none or a file, but got {shown(weights)}"
        raise BadStudy(("model", "weights"), message + meant(weights, ("DEFAULT", "none")))


def _check_file(name: str, weights: str, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Reads the file's keys and shapes; its values stay mapped."""
    path = expanded(weights)
    if not path.is_file():
        raise NotHere(("model", "weights"), f"model.weights must name a file that exists, but there is none at {path}")
    sizes = values("image_size", space, fixed)
    size = sizes[0][1] if sizes else Settings.image_size
    try:
        backbones.build(name, 2, weights=weights, image_size=int(size))
    except BadData as error:
        raise BadStudy(("model", "weights"), str(error)) from None
    except InvalidConfig:
        return  # of the image size, not of the weights


def _check_layers(name: str, model: Model, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Traces the model, without values, for each image size; then compares `finetuned_layers` with its layers."""
    if any(key in space or key in fixed or key in model.architecture for key in ARCHITECTURE):
        return  # its layers depend on the configuration
    layers = 0
    for place, size in _sizes(space, fixed):
        try:
            layers = max(layers, _count(name, valid("image_size", size), size))
        except InvalidConfig as error:
            if name.startswith("timm:"):
                return  # timm's models take other sizes once they are told to
            raise BadStudy(place, str(error)) from None
        except BadData:
            return  # torch.fx cannot trace it
    for place, value in values("finetuned_layers", space, fixed):
        if (number := valid("finetuned_layers", value)) is not None and number > layers:
            raise BadStudy(
                place,
                f"finetuned_layers must be at most {layers}, the layers of {model.name}, or all, but got {shown(value)}; "
                f"`hpo models {model.name}` lists them",
            )


def _check_test_sizes(name: str, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Raises BadStudy for a size of test images that the model takes with none of the sizes that it is trained with."""
    for place, size in values("test_image_size", space, fixed):
        refused: InvalidConfig | None = None
        for _, trained in _sizes(space, fixed):
            try:
                _count(name, valid("image_size", trained), valid("test_image_size", size) or trained)
                break
            except InvalidConfig as error:
                refused = error
            except BadData:
                return  # torch.fx cannot trace it
        else:
            raise BadStudy(place, f"test_image_size must suit the model, but got {shown(size)}: {refused}")


def _sizes(space: Mapping[str, Any], fixed: Mapping[str, Any]) -> list[tuple[Location, Any]]:
    return values("image_size", space, fixed) or [(("model", "name"), Settings.image_size)]


@lru_cache(maxsize=64)
def _count(name: str, made_for: int, image_size: int) -> int:
    """The number of layers of a model that is made for one size. Raises InvalidConfig for images of a size that it refuses."""
    return len(Network(backbones.outline(name, made_for), image_size).layers)
