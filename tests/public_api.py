"""The public Python API: the names and signatures that the documentation tells users to import.

    python tests/public_api.py --write      (make api)

renews tests/public_api.txt. A line that leaves the file, or changes, breaks users: docs/reference/compatibility.md.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

RECORD = Path(__file__).with_suffix(".txt")

STUDY = ("Budget", "Data", "Final", "Model", "Resources", "Stopping", "Study", "Track", "find", "presets")
PUBLIC: dict[
    str, tuple[str, ...]
] = {  # modules, and names of those that do not list them by `__all__` or by defining them
    "hpo": (),
    "hpo.api.best": ("Best",),
    "hpo.api.plan": ("Plan", "SuitePlan"),
    "hpo.api.plots": ("Plots",),
    "hpo.api.replaying": ("ReplayResults", "replay"),  # what hpo.replay and the results of the names of hpo are
    "hpo.api.stores": ("Store",),
    "hpo.api.suite": ("Suite", "SuiteResults"),
    "hpo.api.summaries": ("Comparison", "Importance"),
    "hpo.api.tables": ("Table",),
    "hpo.client": (),
    "hpo.errors": ("HpoError", "StudyError", "StudyFailed", "InterruptedStudy", "MissingExtra"),
    "hpo.game.contract": ("verify",),
    "hpo.methods": (),
    "hpo.methods.protocol": (),
    "hpo.methods.searchers.searching": ("Searching",),
    "hpo.store": ("StoreError", "StudyData", "Unreachable", "export", "read", "studies", "verify"),
    "hpo.study": STUDY,
    "hpo.study.space": (),
    "hpo.study.values": ("Decision", "Method", "Observation", "Segment"),
    "trainables.contract": ("verify",),
    "trainables.errors": (),
    "trainables.given": ("name_of",),
    "trainables.image_classifier": ("ImageClassifier",),
    "trainables.memory": ("memory",),
    "trainables.parameter_groups": ("Group",),
    "trainables.task": ("Task",),
}


class _Bare(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def lines() -> list[str]:
    """Returns the API, one name a line, sorted within each module."""
    return [line for module in sorted(PUBLIC) for line in sorted(_module(module))]


def _module(name: str) -> Iterator[str]:
    module = import_module(name)
    defined = [n for n, value in vars(module).items() if getattr(value, "__module__", None) == name and n[0] != "_"]
    for public in PUBLIC[name] or getattr(module, "__all__", defined):
        yield from _value(f"{name}.{public}", getattr(module, public))


def _value(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield from _class(name, value)
    elif inspect.isfunction(value):
        yield f"{name}{_signature(value)}"
    else:
        yield name


def _class(name: str, kind: type) -> Iterator[str]:
    """Yields a class with what its own project defines of it: its construction, methods, properties and fields."""
    ours = [base for base in kind.__mro__ if base.__module__.partition(".")[0] in ("hpo", "trainables")]
    if issubclass(kind, BaseModel):
        yield f"{name}{_signature(kind) if '__init__' in vars(kind) else '(*)'}"
        yield from (f"{name}.{key}{'' if field.is_required() else ' ='}" for key, field in kind.model_fields.items())
    else:
        made = any("__init__" in vars(base) for base in ours)
        made = made and not (issubclass(kind, Enum) or getattr(kind, "_is_protocol", False))
        yield f"{name}{_signature(kind) if made else ''}"
    if issubclass(kind, Enum):
        yield from (f"{name}.{member}" for member in kind.__members__)
    if is_dataclass(kind):
        yield from (f"{name}.{field.name}: {field.type}" for field in fields(kind) if field.name[0] != "_")
    members = {member: value for base in reversed(ours) for member, value in vars(base).items() if member[:1] != "_"}
    members.pop("model_post_init", None)  # pydantic's
    for member, value in members.items():
        plain = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if isinstance(plain, property):
            yield f"{name}.{member}"
        elif inspect.isfunction(plain):
            yield f"{name}.{member}{_signature(plain)}"


def _signature(value: Any) -> str:
    """Returns a signature as its source writes it, with defaults that are no plain values as three dots."""
    found = inspect.signature(value)
    parameters = [
        p.replace(annotation=_bare(p.annotation), default=p.default if _plain(p.default) else _Bare("..."))
        for p in found.parameters.values()
    ]
    return str(found.replace(parameters=parameters, return_annotation=_bare(found.return_annotation)))


def _bare(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation


def _plain(default: Any) -> bool:
    simple = isinstance(default, str | int | float | None) or (isinstance(default, tuple) and all(map(_plain, default)))
    return default is inspect.Parameter.empty or simple


def documented(text: str) -> set[str]:
    """Returns the modules of ours that a page's Python code imports from."""
    return set(re.findall(r"^\s*(?:from|import) ((?:hpo|trainables|cluster)\b[\w.]*)", text, re.M))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        RECORD.write_text("\n".join(lines()) + "\n")
    else:
        print(*lines(), sep="\n")
