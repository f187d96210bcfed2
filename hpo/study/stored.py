"""A study's definition, as stores keep it, back as a study file: its values and its text. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

EMPTY: tuple[Any, ...] = (None, {}, [])


def file_values(definition: Mapping[str, Any], methods: Iterable[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Returns the values of a study file that means the same as the definition.

    `methods`: entries with name, label, options and parallelism, instead of the definition's.
    """
    found = {key: value for key, value in definition.items() if value not in EMPTY}
    shared = definition.get("parallelism")
    entries = definition.get("methods", ()) if methods is None else methods
    return {**found, "methods": [_entry(method, shared) for method in entries]}


def _entry(method: Mapping[str, Any], shared: Any) -> str | dict[str, Any]:
    options = dict(method.get("options") or {})
    if method["label"] != method["name"]:
        options["label"] = method["label"]
    if method.get("parallelism") not in (None, shared):
        options["parallelism"] = method["parallelism"]
    return {method["name"]: options} if options else str(method["name"])


def to_yaml(values: Mapping[str, Any]) -> str:
    """Returns the values of a study file as its text."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 100
    buffer = io.StringIO()
    yaml.dump(dict(values), buffer)
    return buffer.getvalue()
