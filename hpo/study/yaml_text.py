"""Plain values as the text of a YAML file, which `yaml_file` reads as the same values. Pure."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

LISTED = ("space", "methods")


def yaml_text(values: Mapping[str, Any]) -> str:
    """Returns the values as YAML 1.2: a line for each key, and one for each hyperparameter and each method."""
    writer, buffer = YAML(typ="rt"), io.StringIO()
    writer.width = 10_000  # a reader compares them line by line
    writer.dump({key: _node(value, flow=key not in LISTED) for key, value in values.items()}, buffer)
    return buffer.getvalue()


def _node(value: Any, flow: bool) -> Any:
    made: CommentedMap | CommentedSeq
    if isinstance(value, Mapping):
        made = CommentedMap({_scalar(key): _node(item, flow=True) for key, item in value.items()})
    elif isinstance(value, list | tuple):
        made = CommentedSeq([_node(item, flow=True) for item in value])
    else:
        return _scalar(value)
    made.fa.set_flow_style() if flow else made.fa.set_block_style()
    return made


def _scalar(value: Any) -> Any:
    """Returns a single value; text with line breaks and other marks of its own is written with escapes."""
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not value.isprintable() else value
