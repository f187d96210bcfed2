"""What the image classifier declares before it is built: its metrics, and a check of the study.

Reads folder listings, and files of weights without their values. Only a process of its own imports torch, to look into a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from hpo.files import expanded
from hpo.text import meant, nearest, shown
from trainables import apart, costs, sources, splits, torchvision_files
from trainables.arrays import layout
from trainables.cache import cache_directory
from trainables.catalog import Catalog
from trainables.checking import check_values, in_section, values
from trainables.errors import BadStudy, InvalidConfig, NotHere
from trainables.sections import ARCHITECTURE, AUGMENTATIONS, Data, Model
from trainables.settings import RULES, Settings, valid
from trainables.sources import Part, Source
from trainables.task import Task

FEWEST_LAYERS = 18  # alexnet's: every model has as many
METRICS = ("loss", "accuracy", "precision", "recall", "f1")


class Declared:
    """The image classifier's declarations, apart from it, so that `hpo check` need not import torch for them."""

    hooks: type[Any] | None = None  # of a subclass, see trainables.hooks

    @classmethod
    @costs.price_alone
    def epoch_cost(cls, config: Mapping[str, Any], *, task: Mapping[str, Any], space: Mapping[str, Any]) -> float:
        """Returns what an epoch costs, where 1 is an epoch of the whole network at the study's largest image size.

        That of the network without hooks: what a hook `model` adds to it, nobody has counted.
        """
        given = Task.from_json(task)

        def altered() -> bool:
            hooks: Any = chosen_hooks(cls.hooks, Model.of(given))
            return _altered(hooks)

        return costs.relative(config, given, space, altered)

    @classmethod
    def metrics(cls, task: Task) -> tuple[str, ...]:
        """Returns the names of an epoch's metrics. Raises BadStudy for hooks that cannot be used."""
        own: tuple[str, ...] = ()
        with in_section("model"):
            named = Model.of(task).hooks if task.model else None
        if (source := cls.hooks or named) is not None:
            own = apart.called("trainables.hooks:metric_names", source)
        return (*METRICS, *(f"val_{name}" for name in (*METRICS, *own)), "images_per_second")

    @classmethod
    def check(cls, task: Task, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        """Raises BadStudy for a study that cannot work: its hyperparameters, model, weights, data or splits.

        Raises NotHere, last, for files and packages that this machine lacks.
        """
        check_values(space, fixed, valid)
        _check_rules(space, fixed)
        data, model = _data(task), _model(task, space, fixed)
        _check_sizes(data)
        missing: NotHere | None = None
        try:
            if (hooks := chosen_hooks(cls.hooks, model)) is not None:
                smoothed = any(value > 0 for _, value in values("label_smoothing", space, fixed))
                apart.called("trainables.hooks:check", hooks, data.augment, smoothed)
            if not _plain(model, space, fixed):
                apart.called("trainables.model_check:check_model", model, space, fixed)
        except NotHere as error:
            missing = error
        _check_images(data)
        if missing is not None:
            raise missing


def chosen_hooks(own: type[Any] | None, model: Model) -> str | type[Any] | None:
    """Returns the hooks of a subclass of the image classifier or of the study. Raises BadStudy where both have some."""
    if own is not None and model.hooks is not None:
        raise BadStudy(
            ("model", "hooks"),
            f"model.hooks must be left out, because the trainable has hooks, but got {shown(model.hooks)}",
        )
    return own or model.hooks


@lru_cache(maxsize=16)
def _altered(hooks: str | type[Any] | None) -> bool:
    """Whether hooks alter the training images in every epoch."""
    return hooks is not None and bool(apart.called("trainables.hooks:has", hooks, "augment"))


def _plain(model: Model, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> bool:
    """Whether the model is the one that comes with this package, used within the bounds of every model."""
    numbers = [valid("finetuned_layers", value) for _, value in values("finetuned_layers", space, fixed)]
    sizes = [value for _, value in values("image_size", space, fixed)]
    sizes += [size for _, size in values("test_image_size", space, fixed) if size]
    usual = all(n is None or n <= FEWEST_LAYERS for n in numbers) and all(size >= 32 for size in sizes)
    return usual and model.name == "digits_net" and model.weights == "DEFAULT"


def _check_rules(space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Raises BadStudy for a hyperparameter whose every value contradicts all values of others that it can meet."""
    for rule in RULES:
        names = [name for name in rule.names if name in space or name in fixed]
        if rule.names[0] not in names:
            continue
        first: InvalidConfig | None = None
        for chosen in product(*(values(name, space, fixed) for name in names)):
            try:
                Settings.of({name: value for name, (_, value) in zip(names, chosen, strict=True)})
                break
            except InvalidConfig as refused:
                first = first or refused
        else:
            raise BadStudy(("space" if rule.names[0] in space else "fixed", rule.names[0]), str(first))


# -- the sections -------------------------------------------------------------------------------------------------


def _data(task: Task) -> Data:
    """Returns the data section. Raises BadStudy for names that do not exist."""
    with in_section("data"):
        data = Data.read(task.data)
    known = [name for name, _ in sources.names()]
    if data.name not in known:
        raise BadStudy(
            ("data", "name"),
            f"data.name must be a known data set, but got {shown(data.name)}; {nearest(data.name, known)}",
        )
    if data.augment not in AUGMENTATIONS:
        names = ", ".join(AUGMENTATIONS)
        near = meant(data.augment, AUGMENTATIONS)
        raise BadStudy(("data", "augment"), f"data.augment must be one of {names}, but got {shown(data.augment)}{near}")
    return data


def _model(task: Task, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> Model:
    """Returns the model section. Raises BadStudy for sizes that the model does not take."""
    with in_section("model"):
        model = Model.of(task)
        for name, value in model.architecture.items():
            valid(name, value)
    sized = [(section, name) for section, names in (("model", model.architecture), ("fixed", fixed), ("space", space))
             for name in names if name in ARCHITECTURE]  # fmt: skip
    if sized and not (model.weights == "none" and model.name.startswith("vit_")):
        raise BadStudy(
            sized[0],
            f"{sized[0][1]} can be set only for a vision transformer with weights: none, but got "
            f"{model.name} with weights: {model.weights}",
        )
    return model


# -- the data -----------------------------------------------------------------------------------------------------


def _check_sizes(data: Data) -> None:
    """Raises BadStudy for a size that no part can have."""
    for key in ("train", "validation", "test"):
        share: Any = getattr(data, key)
        if share is None or (isinstance(share, str) and (key != "train" or splits.is_share(share))):
            continue
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not (0 < share <= 1 if isinstance(share, float) else share >= 1):
            wanted = "a fraction in (0, 1], a count >= 1 or 'N per class'"
            raise BadStudy(("data", key), f"data.{key} must be {wanted}, but got {shown(share)}")


def _check_images(data: Data) -> None:
    """Raises BadStudy for splits that the listed images cannot give, NotHere for images that are not there."""
    if data.root is not None and data.root.startswith("s3://"):
        return
    root = expanded(data.root or "")
    if data.name in ("image_folder", "npz") and not root.exists():
        raise NotHere(("data", "root"), f"data.root must exist, but there is none at {root}")
    if data.name in sources.TORCHVISION:
        _check_ready(data, list(sources.TORCHVISION[data.name][1]))
        _check_copied(data)
    elif data.name == "npz":
        with in_section("data"):
            parts = layout(root).parts
        _check_ready(data, list(parts))
    else:
        with in_section("data"):
            try:
                Catalog(_digits() if data.name == "digits" else sources.image_folder(root)).plan(data)
            except OSError as error:
                raise NotHere(("data", "root"), f"data.root must be readable, but it is not: {error}") from None


def _check_copied(data: Data) -> None:
    """Raises NotHere where a set of torchvision is neither at its place nor may be downloaded to it."""
    if data.download and data.name in torchvision_files.NO_DOWNLOAD:
        message = (
            f"data.download must be false for {data.name}, which torchvision cannot download any more; copy the set"
        )
        raise BadStudy(("data", "download"), message)
    root = cache_directory() / "downloads" if data.root is None else expanded(data.root)
    lacking = None if data.download else torchvision_files.missing(data.name, root)
    if lacking is not None:
        raise NotHere(
            ("data", "root"),
            f"data.root must hold {data.name}, but {root} has no {lacking}; copy the set there, or set download: true "
            "where the machine may download it",
        )


def _check_ready(data: Data, parts: list[str]) -> None:
    """Raises BadStudy for a split that is named, but not ready in the data."""
    ready = [name for name in parts if name not in ("all", "train")]
    for key in ("validation", "test"):
        share = getattr(data, key)
        if isinstance(share, str) and not splits.is_share(share) and sources.READY.get(share, share) not in ready:
            wanted = f"a fraction, a count, 'N per class' or a ready split ({', '.join(ready) or 'none here'})"
            raise BadStudy(("data", key), f"data.{key} must be {wanted}, but got {shown(share)}{meant(share, ready)}")


def _digits() -> Source:
    """The digits without their images, which need scikit-learn: 1,797 labels."""
    labels = np.repeat(np.arange(10, dtype=np.int64), (178, 182, 177, 183, 181, 182, 181, 179, 174, 180))
    return Source(tuple("0123456789"), {"all": Part(labels, lambda i: np.zeros((8, 8), np.uint8))})
