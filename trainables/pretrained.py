"""Weights of backbones: found, downloaded, read, and fitted to a model; how their images were normalized.

Downloads what a study names (trainables.weight_files reads it); writes only into the cache directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model_weights

from hpo.files import expanded, names_weights
from trainables import weight_files
from trainables.cache import cache_directory, locked
from trainables.errors import BadWeights
from trainables.model_names import known, timm_config, timm_model
from trainables.remote import fetch_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
State = dict[str, Tensor]


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation of images in [0, 1], as the weights were trained with."""

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def normalization(name: str, weights: str) -> Normalization:
    """Returns the normalization that `weights` of model `name` need: ImageNet's for files and for no weights."""
    name = known(name)
    if name.startswith("timm:"):
        config = timm_config(name)
        return Normalization(tuple(config["mean"]), tuple(config["std"]))
    if name == "digits_net" or names_weights(weights):
        return Normalization()
    preset = _enum(name, weights).transforms()
    return Normalization(tuple(preset.mean), tuple(preset.std))


def weights_digest(name: str, weights: str, *, seed: int, image_size: int, architecture: Mapping[str, int]) -> str:
    """Returns 16 hexadecimal digits that are equal only for equal values of the backbone: its activations' key."""
    name = known(name)
    path = _path(name, weights)
    parts: list[Any] = [name, torch.__version__, torchvision.__version__]
    if path is not None:
        parts.append(_file_digest(path, path.stat().st_mtime_ns, path.stat().st_size))
    elif weights == "none":
        parts += ["none", seed, sorted(architecture.items())]
    elif name.startswith("timm:"):
        parts.append(weights)
    else:
        parts.append(_enum(name, weights).url)
    if "vit_" in name or name.startswith("timm:"):
        parts.append(image_size)  # position embeddings depend on it
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


# -- finding and reading ------------------------------------------------------------------------------------------


def load_weights(name: str, weights: str, image_size: int) -> State | None:
    """Returns the weights of the full model name, mapped where the format allows it; None for "none".

    timm's have position embeddings for `image_size` px.
    """
    path = _path(name, weights)
    if path is not None:
        return weight_files.read(path)
    if weights == "none":
        return None
    if name.startswith("timm:"):
        return _download(name, weights, lambda: timm_model(name, image_size, pretrained=True).state_dict())
    enum = _enum(name, weights)
    return _download(name, weights, lambda: enum.get_state_dict(progress=False, check_hash=True))


def _path(name: str, weights: str) -> Path | None:
    """Returns the file of the weights; None for downloads of a library and for no weights."""
    if weights.startswith("s3://"):
        return fetch_weights(weights, cache_directory())
    if names_weights(weights):
        path = expanded(weights)
        if not path.is_file():
            raise BadWeights(f"model.weights must name a file that exists, but got {weights!r}")
        return path
    if name == "digits_net" and weights != "none":
        if weights != "DEFAULT":
            raise BadWeights(f"model.weights for digits_net must be DEFAULT, none or a file, but got {weights!r}")
        return Path(__file__).parent / "weights" / "digits_net.safetensors"
    return None


def _enum(name: str, weights: str) -> Any:
    """torchvision's member for the weights; DEFAULT's for "none"."""
    members = get_model_weights(name)
    if weights == "none":
        weights = "DEFAULT"
    if weights not in members.__members__:
        valid = ", ".join([*members.__members__, "none"])
        raise BadWeights(f"model.weights for {name} must be a file or one of {valid}, but got {weights!r}")
    return members[weights]


def _download(name: str, weights: str, get: Callable[[], Mapping[str, Tensor]]) -> State:
    try:
        with locked(cache_directory() / "locks" / f"weights-{name.replace(':', '-')}"):
            return dict(get())
    except OSError as error:
        raise BadWeights(
            f"weights {weights} of {name} must be downloaded, and that failed ({error}); "
            "give a local file as model.weights, or none"
        ) from error


@lru_cache(maxsize=16)
def _file_digest(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- fitting to a model -------------------------------------------------------------------------------------------


def fitted(name: str, state: State, image_size: int) -> State:
    """Returns the weights as the model `name` takes them: no auxiliary classifiers, position embeddings interpolated."""
    auxiliary = ("AuxLogits.", "aux1.", "aux2.") if name in ("inception_v3", "googlenet") else ()
    state = {key: value for key, value in state.items() if not key.startswith(auxiliary)} if auxiliary else dict(state)
    if name.startswith("vit_") and "encoder.pos_embedding" in state:
        state = _interpolated(state, image_size, int(name.rsplit("_", 1)[1]))
    return state


def _interpolated(state: State, image_size: int, patch_size: int) -> State:
    from torchvision.models.vision_transformer import interpolate_embeddings

    return dict(interpolate_embeddings(image_size, patch_size, state))


def assign(model: nn.Module, heads: Sequence[str], state: State, what: str) -> None:
    """Loads the weights of everything but the submodules `heads`; the values stay mapped until they are trained.

    Raises BadWeights, with `what` and the keys that differ, where the weights are not the model's.
    """
    replaced = tuple(f"{head}." for head in heads)
    wanted = {key: value for key, value in model.state_dict().items() if not key.startswith(replaced)}
    given = {key: value for key, value in state.items() if not key.startswith(replaced)}
    if any(key.startswith("classifier.1.") for key in given) and list(heads) == ["classifier.3"]:
        given = {key: value for key, value in given.items() if not key.startswith("classifier.1.")}  # squeezenet's
    missing, unknown = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    shapes = [
        f"{key} {tuple(given[key].shape)} for {tuple(wanted[key].shape)}"
        for key in sorted(wanted.keys() & given.keys())
        if wanted[key].shape != given[key].shape
    ]
    faults = [
        f"{kind} {_some(keys)}"
        for kind, keys in (("missing", missing), ("unknown", unknown), ("shape of", shapes))
        if keys
    ]
    if faults:
        raise BadWeights(f"the weights must fit the model ({what}), but got {'; '.join(faults)}")
    floats = {key: value.float() if value.is_floating_point() else value for key, value in given.items()}
    model.load_state_dict(floats, strict=False, assign=True)


def _some(keys: list[str], limit: int = 4) -> str:
    return ", ".join(keys[:limit]) + (f" and {len(keys) - limit} more" if len(keys) > limit else "")
