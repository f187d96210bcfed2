"""The sections of a task that our trainables read, as frozen values. Imports neither torch nor NumPy.

`hpo check` validates the same sections of a study file, with the place of each mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hpo.text import nearest, shown
from trainables.early_stopping import EarlyStopping
from trainables.errors import BadData
from trainables.task import Section, Task

Share = float | int | str  # a fraction, a count, or "N per class"
AUGMENTATIONS = (
    "none",
    "paper001",
    "flips_crops",
    "random_resized_crop",
    "randaugment",
    "trivialaugment",
)  # trainables.augment has them
ARCHITECTURE = ("patch_size", "projection_dim", "heads", "layers", "mlp_units")  # of a vision transformer


@dataclass(frozen=True)
class Data:
    """The `data` section of an image or table task. Raises BadData for values that contradict each other."""

    name: str
    root: str | None = None
    train: Share = 1.0
    validation: Share | None = None
    test: Share | None = None
    balanced: bool = False
    seed: int = 0
    download: bool = False
    augment: str = "none"
    class_weights: str = "none"
    folds: int | None = None
    corrupt: str = "refuse"
    fit: str = "squeeze"

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> Data:
        """Returns the section's values; a key that is missing or null has its default."""
        if section.get("name") is None:
            raise BadData("data.name must be given, but it is missing; `hpo datasets` lists the names")
        return cls(**{key.name: section[key.name] for key in fields(cls) if section.get(key.name) is not None})

    @classmethod
    def of(cls, task: Task) -> Data:
        """Returns the data that an image task trains on.

        With `train_on: full` that is the whole training part, or a number of its images, for the final training of a
        winner that was found on a subset (paper 001, Study III). Validation and test images stay the same, unless
        `balanced` chose the validation images.
        """
        data = cls.read(task.data)
        if task.train_on is None:
            return data
        return replace(data, train=1.0 if task.train_on == "full" else task.train_on, balanced=False)

    def train_size(self, image_size: int) -> int:
        """Returns the side in px at which training images are decoded: crops are cut from 256/224 of the size."""
        return round(image_size * 256 / 224) if self.augment == "random_resized_crop" else image_size

    def __post_init__(self) -> None:
        if self.corrupt not in ("refuse", "skip"):
            raise BadData(f"data.corrupt must be refuse or skip, but got {shown(self.corrupt)}")
        if self.fit not in ("squeeze", "crop"):
            raise BadData(f"data.fit must be squeeze or crop, but got {shown(self.fit)}")
        if self.root is None and self.name in ("image_folder", "npz"):
            raise BadData(f"data.root must be given for {self.name}, but it is missing")
        if self.folds is not None and self.folds < 2:
            raise BadData(f"data.folds >= 2 must hold, but got {self.folds}")
        if self.folds is not None and self.validation is not None:
            raise BadData("data.validation must not be given with data.folds: each fold is the validation split once")


@dataclass(frozen=True)
class Model:
    """The `model` section: the backbone's name, its weights, sizes of a vision transformer without weights, and hooks."""

    name: str
    weights: str = "DEFAULT"
    architecture: Section = field(default_factory=Section)
    hooks: str | None = None

    @classmethod
    def of(cls, task: Task) -> Model:
        """Raises BadData for a missing name or an unknown key."""
        section = dict(task.model)
        name, weights, hooks = (section.pop(key, None) for key in ("name", "weights", "hooks"))
        if name is None:
            raise BadData("model.name must be given, but it is missing; `hpo models` lists the names")
        for key in section:
            if key not in ARCHITECTURE:
                raise BadData(
                    f"unknown key {shown(key)} in model; {nearest(key, ('name', 'weights', 'hooks', *ARCHITECTURE))}"
                )
        return cls(str(name), str(weights or "DEFAULT"), Section(section), hooks and str(hooks))


@dataclass(frozen=True)
class ImageTask:
    """The parts of its task that the image classifier reads."""

    data: Data
    model: Model
    stopping: EarlyStopping | None = None

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> ImageTask:
        """Reads a `Task`, or the mapping of which one is made. Raises BadData for sections that cannot be used."""
        task = Task.from_json(task)
        return cls(Data.of(task), Model.of(task), EarlyStopping.of(task))
