"""Trainables: they train one epoch of one configuration, by PyTorch fine-tuning or otherwise.

Imports no Ray, but in `adapters/tune.py` for code that was written for Ray Tune, and of hpo only errors, text, files and
storage. Writes only into the cache directory (HPO_CACHE), shared memory, temporary folders, and the directory that `save` is
given.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hpo.errors import MissingExtra
from hpo.text import one_line, shown
from trainables import given
from trainables.adapters import KINDS, adapted, kind_of
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
    """Returns the class of that name, of "package.module:Class", or the one that trains as others' code does.

    That code is "package.module:function", a function that yields metrics, or, of another kind of `adapters.KINDS`,
    "kind:package.module:name". What was given as an object has the name that `given.name_of` returned. Raises
    BadTrainable where there is none.
    """
    kind, place = kind_and_place(TRAINABLES.get(name, name))
    found = given.object_of(place) if place.startswith(given.KIND) else _found(place, name)
    if kind := kind or (kind_of(found) if isinstance(found, type) else ""):
        return adapted(kind, found, name)
    if isinstance(found, type):
        return found
    if callable(found):
        return adapted("generator", found, name)
    raise BadTrainable(
        f"trainable {shown(name)} must name a class, or a function that yields metrics, but it is {type(found).__name__}"
    )


def _found(place: str, name: str) -> Any:
    """Returns what stands at "module:name" for the trainable of that name."""
    module_name, colon, attribute = place.partition(":")
    if not colon:
        raise BadTrainable(
            f"trainable must be one of {', '.join(TRAINABLES)} or package.module:Class, but got {shown(name)}"
        )
    found = getattr(_module(module_name, name), attribute, None)
    if found is None:
        raise BadTrainable(
            f"trainable {shown(name)} must name a class or a function, but {module_name} has no {shown(attribute)}"
        )
    return found


def kind_and_place(name: str) -> tuple[str, str]:
    """Returns the kind of code, "" where the name has none, and its place: "module:name", or "given:NAME@DIGEST"."""
    kind, _, place = name.partition(":")
    return (kind, place) if kind in KINDS and ":" in place else ("", name)


def _module(module_name: str, name: str) -> Any:
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if extra := MissingExtra.behind(error):
            raise BadTrainable(f"trainable {shown(name)} must be importable, but: {extra}") from error
        raise BadTrainable(
            f"trainable {shown(name)} must be importable, but: {error}; is its folder on PYTHONPATH?"
        ) from error
    except Exception as error:  # whatever a user's module raises while it is imported
        raise BadTrainable(f"trainable {shown(name)} must be importable, but: {one_line(error)}") from error
