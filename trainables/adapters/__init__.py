"""Others' training code as trainables: one file a kind, each with `adapted`, which returns a trainable class for what was found.

A study names the kind before the place: "tune:package.module:train". Each module imports its library, which is an extra.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hpo.errors import MissingExtra
from hpo.text import shown
from trainables.errors import BadTrainable

KINDS = ("generator", "tune", "optuna", "lightning", "huggingface")
"""A function that yields metrics needs no prefix; it is a generator. Nor does a class of `CLASSES`."""

CLASSES = {
    "ray.tune.trainable.trainable:Trainable": "tune",
    "lightning.pytorch.core.module:LightningModule": "lightning",
    "pytorch_lightning.core.module:LightningModule": "lightning",
}
"""Classes of libraries whose subclasses are of a kind, by name: nothing is imported to know them."""


def kind_of(found: type[Any]) -> str:
    """Returns the kind of a class, "" for a trainable of our own contract."""
    return next(
        (CLASSES[name] for each in found.__mro__ if (name := f"{each.__module__}:{each.__name__}") in CLASSES), ""
    )


def adapted(kind: str, found: Any, name: str) -> type[Any]:
    """Returns the trainable class that trains as `found` does, which a study names `name`. Raises BadTrainable."""
    try:
        module = import_module(f"{__name__}.{kind}")
    except ModuleNotFoundError as error:
        if extra := MissingExtra.behind(error):
            raise BadTrainable(f"trainable {shown(name)} must be importable, but: {extra}") from error
        raise
    made: type[Any] = module.adapted(found, name)
    return made
