"""Classes and functions that were given as objects, not by name: this process's own and those that another one sent.

A study carries the name of such an object, "given:NAME@DIGEST"; its code travels as cloudpickle's bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from typing import Any

import cloudpickle

from hpo.text import meant, one_line, shown
from trainables.adapters import KINDS
from trainables.code_digest import code_digest, importable, in_parts
from trainables.errors import BadTrainable

KIND = "given:"
MOST_BYTES = 64 * 2**20  # what each worker process is sent: data belong into files

_codes: dict[str, bytes] = {}
_objects: dict[str, Any] = {}


def name_of(found: Any, kind: str = "") -> str:
    """Returns the name by which a study carries a class or a function, which this process then knows by it.

    What other processes can import is "module:name"; anything else, such as a lambda or a notebook's function, is
    "given:NAME@DIGEST", with the digest of its code and of all that the code refers to. `kind`: one of `adapters.KINDS`,
    which {kind: object} gives too; a name stays as it is. Raises BadTrainable for an object of another type, and for code
    that cannot move to another process.
    """
    if isinstance(found, Mapping):
        kind, found = _kind_and_object(found)
    before = f"{kind}:" if kind else ""
    if not callable(found) and not isinstance(found, str):
        raise BadTrainable(f"a trainable must be a class, a function or a name, but got {shown(found)}")
    if name := found if isinstance(found, str) else importable(found):
        return before + name
    name = f"{KIND}{_called(found)}@{code_digest(found)}"
    if name not in _objects:
        _codes[name], _objects[name] = _pickled(found), found
    return before + name


def _kind_and_object(given: Mapping[Any, Any]) -> tuple[str, Any]:
    """Returns the kind of code and the object of a trainable that was given as {kind: object}."""
    if len(given) != 1:
        raise BadTrainable(
            f'a trainable with its kind must be one pair, such as {{"optuna": objective}}, but got {shown(given)}'
        )
    kind, found = next(iter(given.items()))
    if kind not in KINDS:
        raise BadTrainable(
            f"a trainable's kind must be one of {', '.join(KINDS)}, but got {shown(kind)}{meant(kind, KINDS)}"
        )
    return kind, found


def of(name: str) -> str:
    """Returns the part "given:NAME@DIGEST" of a trainable's name, which may name a kind before it; "" where it has none."""
    start = name.find(KIND)
    return name[start:] if start == 0 or (start > 0 and name[start - 1] == ":") else ""


def known(name: str) -> bool:
    """Tells whether this process has the code of the object."""
    return name in _codes


def codes(trainable: str) -> dict[str, bytes]:
    """Returns what another process has to `receive` before it can train the trainable: nothing where that has a name.

    Raises BadTrainable where this process does not know its code.
    """
    name = of(trainable)
    return {name: _code(name)} if name else {}


def receive(codes: Mapping[str, bytes]) -> None:
    """Takes code that another process sent; nothing of it runs before the object is asked for."""
    for name, content in codes.items():
        _codes.setdefault(name, content)


def object_of(name: str) -> Any:
    """Returns the object of that name. Raises BadTrainable where its code is unknown or cannot be read."""
    if name not in _objects:
        content = _code(name)
        try:
            found = cloudpickle.loads(content)
        except Exception as error:  # whatever the modules raise that it needs
            raise BadTrainable(
                f"the code of trainable {shown(name)} must be readable here, but: {one_line(error)}"
            ) from error
        _objects[name] = found
    return _objects[name]


def _code(name: str) -> bytes:
    if name not in _codes:
        raise BadTrainable(
            f"trainable {shown(name)} must be known to this process, but is not: it was given as an object; "
            "run the script or notebook that defines it"
        )
    return _codes[name]


def _called(found: Any) -> str:
    """Returns the name of a class or function, of a partial one too, or that of an object's class."""
    found = found.func if isinstance(found, partial) else found
    return str(getattr(found, "__name__", type(found).__name__)).strip("<>")


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # it has no types
    def reducer_override(self, obj: Any) -> Any:  # the name is Python's
        return in_parts(obj) or super().reducer_override(obj)


def _pickled(found: Any) -> bytes:
    written = io.BytesIO()
    try:
        _Pickler(written).dump(found)
    except Exception as error:  # whatever a class makes of pickling
        raise BadTrainable(
            f"a trainable must be able to move to another process, but {_called(found)} is not: {one_line(error)}"
        ) from error
    content = written.getvalue()
    if len(content) > MOST_BYTES:
        raise BadTrainable(
            f"a trainable and what it refers to must take at most {MOST_BYTES >> 20} MiB, but {_called(found)} takes "
            f"{len(content) >> 20}; load large data inside of it"
        )
    return content
