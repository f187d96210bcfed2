"""Trainables: they train one epoch of one configuration, by PyTorch fine-tuning or otherwise.

Imports no Ray, and of hpo only errors, text, files and storage. Writes only into the cache directory (HPO_CACHE), shared
memory, and the directory that `save` is given.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hpo.errors import MissingExtra
from hpo.text import one_line, shown
from trainables.errors import BadTrainable

TRAINABLES = {
    "image_classifier": "trainables.image_classifier:ImageClassifier",
    "mlp": "trainables.mlp:Mlp",
    "curves": "trainables.curves:Curves",
}


DECLARED = {"image_classifier": "trainables.image_check:Declared"}  # apart from a class that imports torch


def declarations(name: str) -> Any:
    """Returns where a trainable's `check` and `metrics` are: its class, or what stands for one. Raises BadTrainable."""
    return load(DECLARED.get(name, name))


def load(name: str) -> type[Any]:
    """Returns the class of that name, or of "package.module:Class". Raises BadTrainable where there is none."""
    path = TRAINABLES.get(name, name)
    module_name, colon, class_name = path.partition(":")
    if not colon:
        raise BadTrainable(
            f"trainable must be one of {', '.join(TRAINABLES)} or package.module:Class, but got {shown(name)}"
        )
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if extra := MissingExtra.behind(error):
            raise BadTrainable(f"trainable {shown(name)} must be importable, but: {extra}") from error
        raise BadTrainable(
            f"trainable {shown(name)} must be importable, but: {error}; is its folder on PYTHONPATH?"
        ) from error
    except Exception as error:  # whatever a user's module raises while it is imported
        raise BadTrainable(f"trainable {shown(name)} must be importable, but: {one_line(error)}") from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise BadTrainable(
            f"trainable {shown(name)} must name a class, but {module_name} has no class {shown(class_name)}"
        )
    return found
