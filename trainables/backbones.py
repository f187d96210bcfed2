"""Classification models by name: construction, weights, and a head of dropout and a linear layer for the task's classes.

Names are torchvision's, `digits_net`, and `timm:NAME` (`legacy_xception` for short) where timm is installed. Reads
weight files and downloads what is asked for; writes only into the cache directory.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models

from trainables.cache import cache_directory, locked
from trainables.digits_net import DigitsNet
from trainables.errors import BadData, BadWeights, InvalidConfig
from trainables.remote import fetch_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SHORT = {"legacy_xception": "timm:legacy_xception", "xception": "timm:legacy_xception"}
# Paper 000's space for a vision transformer without pretrained weights -> torchvision's argument.
VIT_ARCHITECTURE = {
    "patch_size": "patch_size",
    "projection_dim": "hidden_dim",
    "heads": "num_heads",
    "layers": "num_layers",
    "mlp_units": "mlp_dim",
}
State = dict[str, Tensor]


class Head(nn.Sequential):
    """What is always trained: dropout, then the linear layer to the task's classes."""

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__(nn.Dropout(dropout), nn.Linear(features, classes))


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation of images in [0, 1], as the weights were trained with."""

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def names() -> list[str]:
    """Every model of torchvision's classification module, digits_net and the timm shorthand, sorted."""
    return sorted([*list_models(module=torchvision.models), "digits_net", "legacy_xception"])


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
    """The model with `weights` and a fresh head; what is random is drawn from `seed`, and no other random state moves.

    `architecture` holds a vision transformer's patch_size, projection_dim, heads, layers and mlp_units; it needs
    `weights` "none". Raises BadWeights for weights that do not fit, InvalidConfig for an impossible architecture.
    """
    name = known(name)
    weights = str(weights)
    state = load_weights(name, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if state is None:
            model = _construct(name, image_size, dict(architecture or {}))
        else:
            _refuse_architecture(architecture, weights)
            model = _empty(name, image_size)
        head = _head_name(model)
        features = model.get_submodule(head).in_features
        if state is not None:
            _assign(model, head, _fitted(name, model, state, image_size), f"{name}, {weights}")
        _set_head(model, head, Head(int(features), num_classes, dropout))  # type: ignore[arg-type]
    return model


def outline(name: str, image_size: int, num_classes: int = 10) -> nn.Module:
    """The model with its head but without values, on the meta device where it can be: made to be looked at."""
    model = _empty(known(name), image_size)
    head = _head_name(model)
    with torch.device("meta"):
        _set_head(model, head, Head(int(model.get_submodule(head).in_features), num_classes, 0.0))  # type: ignore[arg-type]
    return model


def native_size(name: str) -> int:
    """The image size in px that the model's published weights were trained with, or 224."""
    name = known(name)
    if name.startswith("timm:"):
        return int(_timm().create_model(name.removeprefix("timm:"), pretrained=False).pretrained_cfg["input_size"][-1])
    return {"inception_v3": 299, "digits_net": 32}.get(name, 224)


def known(name: str) -> str:
    """The full name of a model that exists, or BadData with the nearest one."""
    full = SHORT.get(name, name)
    if full.startswith("timm:") or full == "digits_net" or full in list_models(module=torchvision.models):
        return full
    near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise BadData(f"model.name must be a known model, but got {name!r}; {hint}`hpo models` lists them")


def normalization(name: str, weights: str) -> Normalization:
    """The normalization that `weights` of model `name` want; ImageNet's for files and for no weights."""
    name = known(name)
    if name.startswith("timm:"):
        config = _timm().create_model(name.removeprefix("timm:"), pretrained=False).pretrained_cfg
        return Normalization(tuple(config["mean"]), tuple(config["std"]))
    if name == "digits_net" or _is_path(weights):
        return Normalization()
    preset = _enum(name, weights).transforms()
    return Normalization(tuple(preset.mean), tuple(preset.std))


def weights_digest(name: str, weights: str, *, seed: int, image_size: int, architecture: Mapping[str, int]) -> str:
    """16 hexadecimal digits that are equal only where the backbone's values are: the key of its activations."""
    name = known(name)
    path = _weights_path(name, weights)
    parts: list[Any] = [name, torch.__version__, torchvision.__version__]
    if path is not None:
        parts.append(_file_digest(path, path.stat().st_mtime_ns, path.stat().st_size))
    elif weights == "none":
        parts += ["none", seed, sorted(architecture.items())]
    elif name.startswith("timm:"):
        parts.append(weights)
    else:
        parts.append(_enum(name, weights).url)
    if "vit_" in name:
        parts.append(image_size)  # position embeddings depend on it
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


# Construction


def _construct(name: str, image_size: int, architecture: Mapping[str, int]) -> nn.Module:
    if name.startswith("timm:"):
        _refuse_architecture(architecture, "a timm model")
        return _timm_model(name, pretrained=False)
    if name == "digits_net":
        _refuse_architecture(architecture, name)
        return DigitsNet()
    if name.startswith("vit_"):
        return _vit(name, image_size, architecture)
    _refuse_architecture(architecture, name)
    extra = {"aux_logits": False, "init_weights": True} if name in ("inception_v3", "googlenet") else {}
    model: nn.Module = get_model(name, weights=None, **extra)
    if name.startswith("squeezenet"):
        # The last convolution becomes the head: pooled first, so that head-only training needs 512 numbers an image.
        model.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(512, 1000))
        model.num_classes = 1000
    return model


def _empty(name: str, image_size: int) -> nn.Module:
    """The model without values, for weights that are about to be assigned: drawing random ones would take longer."""
    try:
        with torch.device("meta"):
            return _construct(name, image_size, {})
    except NotImplementedError:  # a model that reads its own tensors while it is built (RegNet)
        return _construct(name, image_size, {})


def _vit(name: str, image_size: int, architecture: Mapping[str, int]) -> nn.Module:
    default = dict(zip(("num_layers", "num_heads", "hidden_dim", "mlp_dim"), _VIT_SHAPES[name[4]], strict=True))
    default["patch_size"] = int(name.rsplit("_", 1)[1])
    shape = default | {VIT_ARCHITECTURE[key]: value for key, value in architecture.items()}
    if min(shape.values()) < 1:
        raise InvalidConfig(f"a vision transformer's sizes must be >= 1, but got {shape}")
    if image_size % shape["patch_size"]:
        raise InvalidConfig(f"patch_size must divide image_size, but got {shape['patch_size']} and {image_size}")
    if shape["hidden_dim"] % shape["num_heads"]:
        raise InvalidConfig(f"heads must divide projection_dim, but got {shape['num_heads']} and {shape['hidden_dim']}")
    return torchvision.models.VisionTransformer(image_size=image_size, **shape)


# layers, heads, projection, MLP units of ViT-Base, -Large, -Huge (Dosovitskiy et al. 2021, Table 1)
_VIT_SHAPES = {"b": (12, 12, 768, 3072), "l": (24, 16, 1024, 4096), "h": (32, 16, 1280, 5120)}


def _refuse_architecture(architecture: Mapping[str, int] | None, what: str) -> None:
    if architecture:
        raise InvalidConfig(
            f"{', '.join(sorted(architecture))} can be set only for a vision transformer with weights: none, but got {what}"
        )


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise BadData("timm models need the extra: pip install 'hpo-arena[timm]'") from None
    return timm


def _timm_model(name: str, *, pretrained: bool) -> nn.Module:
    try:
        model: nn.Module = _timm().create_model(name.removeprefix("timm:"), pretrained=pretrained)
    except (RuntimeError, ValueError) as error:
        raise BadData(f"timm must know the model {name!r}: {error}") from None
    return model


# The head


def _head_name(model: nn.Module) -> str:
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    classifier = model.get_classifier() if hasattr(model, "get_classifier") else None
    if isinstance(classifier, nn.Linear):
        return next(name for name, module in model.named_modules() if module is classifier)
    if not linear:
        raise BadData(f"a model must end in a linear layer to be fine-tuned, but {type(model).__name__} has none")
    return linear[-1]


def _set_head(model: nn.Module, name: str, head: Head) -> None:
    """Replaces the final linear layer; a dropout directly before it gives way to the head's own."""
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if isinstance(parent, nn.Sequential):
        before = list(parent)[: list(parent._modules).index(leaf)]
        if before and isinstance(before[-1], nn.Dropout):
            parent[len(before) - 1] = nn.Identity()
    elif isinstance(getattr(parent, "dropout", None), nn.Dropout):
        parent.dropout = nn.Identity()
    setattr(parent, leaf, head)


# Weights


def load_weights(name: str, weights: str) -> State | None:
    """The weights as a state dictionary, or None for "none"; read with weights_only and mapped where the format can."""
    path = _weights_path(name, weights)
    if path is not None:
        return _read(path)
    if weights == "none":
        return None
    if name.startswith("timm:"):
        return _download(name, weights, lambda: _timm_model(name, pretrained=True).state_dict())
    enum = _enum(name, weights)
    return _download(name, weights, lambda: enum.get_state_dict(progress=False, check_hash=True))


def _weights_path(name: str, weights: str) -> Path | None:
    if weights.startswith("s3://"):
        return fetch_weights(weights, cache_directory())
    if _is_path(weights):
        path = Path(weights).expanduser()
        if not path.is_file():
            raise BadWeights(f"model.weights must name a file that exists, but got {weights!r}")
        return path
    if name == "digits_net" and weights != "none":
        if weights != "DEFAULT":
            raise BadWeights(f"model.weights for digits_net must be DEFAULT, none or a file, but got {weights!r}")
        return Path(__file__).parent / "weights" / "digits_net.safetensors"
    return None


def _is_path(weights: str) -> bool:
    return "/" in weights or weights.endswith((".pth", ".pt", ".safetensors"))


def _enum(name: str, weights: str) -> Any:
    members = get_model_weights(name)
    if weights == "none":
        weights = "DEFAULT"
    if weights not in members.__members__:
        valid = ", ".join([*members.__members__, "none"])
        raise BadWeights(f"model.weights for {name} must be a file or one of {valid}, but got {weights!r}")
    return members[weights]


def _download(name: str, weights: str, get: Any) -> State:
    try:
        with locked(cache_directory() / "locks" / f"weights-{name.replace(':', '-')}"):
            return dict(get())
    except OSError as error:
        raise BadWeights(
            f"weights {weights} of {name} must be downloaded, and that failed ({error}); "
            "give a local file as model.weights, or none"
        ) from error


def _read(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return _unpickle(path)
    except Exception as error:
        raise BadWeights(f"{path} must hold weights that torch can read with weights_only: {error}") from error


def _unpickle(path: Path) -> State:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # the old format cannot be mapped
        content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError("it must be a dictionary of tensors")
    return content


@lru_cache(maxsize=16)
def _file_digest(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fitted(name: str, model: nn.Module, state: State, image_size: int) -> State:
    """The weights as this model wants them: auxiliary classifiers left out, position embeddings interpolated."""
    auxiliary = ("AuxLogits.", "aux1.", "aux2.") if name in ("inception_v3", "googlenet") else ()
    state = {key: value for key, value in state.items() if not key.startswith(auxiliary)} if auxiliary else dict(state)
    if name.startswith("vit_") and "encoder.pos_embedding" in state:
        state = _interpolated(state, image_size, int(name.rsplit("_", 1)[1]))
    return state


def _interpolated(state: State, image_size: int, patch_size: int) -> State:
    from torchvision.models.vision_transformer import interpolate_embeddings

    return dict(interpolate_embeddings(image_size, patch_size, state))


def _assign(model: nn.Module, head: str, state: State, what: str) -> None:
    """Loads everything but the head strictly; the values stay mapped from their file until they are trained."""
    wanted = {key: value for key, value in model.state_dict().items() if not key.startswith(f"{head}.")}
    given = {key: value for key, value in state.items() if not key.startswith(f"{head}.")}
    if any(key.startswith("classifier.1.") for key in given) and head == "classifier.3":
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
