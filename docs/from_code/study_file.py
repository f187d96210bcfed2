"""The keys of a study file: from the pydantic models of hpo.study, with the meanings of hpo.study.meanings. Pure."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from docs.from_code.tables import code, same_names, table, value
from hpo.study.meanings import SECTIONS, STUDY
from hpo.study.modes import Mode
from hpo.study.sections import Section
from hpo.study.study import Study

INTERNAL = {"folder"}  # set by the loader, not by the file


def study() -> str:
    """Returns the table of a study's top level."""
    return _keys(Study, STUDY)


def sections() -> str:
    """Returns a heading and a table for each section of a study."""
    parts = []
    for section, (name, meanings) in SECTIONS.items():
        parts.append(f"### {name}\n\n{_keys(section, meanings)}")
    return "\n\n".join(parts)


def _keys(section: type[Section], meanings: dict[str, str]) -> str:
    fields = {f.alias or name: f for name, f in section.model_fields.items() if name not in INTERNAL}
    same_names(section.__name__, meanings, fields)
    rows = [(code(name), _default(field), _type(field.annotation), meanings[name]) for name, field in fields.items()]
    return table(("key", "default", "type", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        modes = get_args(field.annotation) == get_args(Mode)
        return "by the metric's name" if modes else "required"
    given = field.get_default(call_default_factory=True)
    return "" if given in (None, {}, []) or isinstance(given, Section) else value(given)


def _type(annotation: Any) -> str:
    """Returns a type in words: the values of a choice, otherwise the kinds of value that may stand there."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(map(code, inner))
    if origin is Annotated:
        return _type(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(each) for each in inner if each is not NoneType))
    if origin is list:
        return f"list of {_type(inner[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "mapping"
    return _KINDS[origin or annotation]


_KINDS = {dict: "mapping", bool: "true or false", int: "whole number", float: "number", str: "text"}
