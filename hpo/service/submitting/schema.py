"""The JSON schema of a study file, for an editor: keys with their meanings, and the names that a study may give. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hpo.errors import HpoError
from hpo.methods import describe
from hpo.methods.registry import METHODS
from hpo.study.accelerators import NAMES
from hpo.study.meanings import SECTIONS, SPACE, STUDY, TASKS, without_links
from hpo.study.sections import Data, Model, Section
from hpo.study.study import Study
from trainables import TRAINABLES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def study_schema(trainables: Sequence[str], *, datasets: Sequence[tuple[str, str]], models: Sequence[str]) -> Schema:
    """Returns the schema. `trainables`: those besides this project's; `datasets`: names with what they are; `models`: names."""
    found = Study.model_json_schema(by_alias=True)
    keys, parts = found["properties"], found.get("$defs", {})
    keys.pop("folder", None)
    keys |= {
        "trainable": {"anyOf": [_named([(name, "") for name in (*TRAINABLES, *trainables)]), {"type": "string"}]},
        "data": _section(Data, {"name": _open(datasets)}, further=True),
        "model": _section(Model, {"name": _open([(name, "") for name in models])}, further=True),
        "space": _space(),
        "methods": _methods(),
        "tasks": {"type": ["object", "array"], "description": TASKS},
    }
    for name, text in STUDY.items():
        keys[name] = {**keys[name], "description": without_links(text)}
    for section, (name, meanings) in SECTIONS.items():
        for part in (parts.get(section.__name__, {}), keys.get(name, {})):
            _told(part, meanings)
    if "Resources" in parts:
        parts["Resources"]["properties"]["accelerator"]["examples"] = sorted(NAMES)
    return {
        "$schema": DIALECT,
        "title": "A study file of HPO Arena",
        "type": "object",
        "properties": keys,
        "required": ["study", "space", "budget", "methods"],
        "additionalProperties": False,
        "$defs": parts,
    }


def encoded(trainables: Sequence[str]) -> bytes:
    """Returns the schema as JSON, with the data sets and the models that this machine knows."""
    try:
        from trainables import backbones, data

        datasets, models = data.names(), backbones.names()
    except (ImportError, HpoError):  # no PyTorch here: names are texts
        datasets, models = [], []
    return json.dumps(study_schema(trainables, datasets=datasets, models=models), ensure_ascii=False).encode()


def _told(schema: Schema, meanings: dict[str, str]) -> None:
    for key, text in meanings.items():
        if key in schema.get("properties", {}):
            schema["properties"][key]["description"] = without_links(text)


def _named(names: Sequence[tuple[str, str]]) -> Schema:
    """Returns the schema of one of some names, each with what it is."""
    return {"oneOf": [{"const": name, "description": about} if about else {"const": name} for name, about in names]}


def _open(names: Sequence[tuple[str, str]]) -> Schema:
    """Returns the schema of a text which is often one of some names."""
    return {"anyOf": [_named(names), {"type": "string"}]} if names else {"type": "string"}


def _section(section: type[Section], replaced: Schema, *, further: bool) -> Schema:
    found = section.model_json_schema()
    found.pop("title", None)
    found["properties"] |= replaced
    return {**found, "additionalProperties": further}


def _methods() -> Schema:
    options: Schema = {"type": ["object", "string", "null"]}
    known = [(name, about) for name, about in describe() if ":" not in name]
    entry = {
        "anyOf": [
            _named(known),
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "properties": {name: {**options, "description": about, **_options(name)} for name, about in known},
            },
            {"type": "string"},
        ]
    }
    return {"type": "array", "minItems": 1, "items": entry}


def _options(name: str) -> Schema:
    """Returns the names of a method's options; nothing where it takes any."""
    own = getattr(METHODS.get(name), "options", None)
    known = own() if own else ()
    return {"properties": {option: {} for option in (*known, "label", "parallelism")}} if known else {}


def _space() -> Schema:
    scalar: Schema = {"type": ["number", "string", "boolean"]}
    kinds: Schema = {
        "type": {"enum": ["float", "int", "choice"]},
        "low": {"type": "number"},
        "high": {"type": "number"},
        "log": {"type": "boolean"},
        "step": {"type": "number"},
        "values": {"type": "array", "items": scalar},
        "grid": {"type": "array", "items": scalar},
        "prior": {"type": ["number", "string", "boolean", "object"]},
        "if": {"type": "object"},
    }
    entry = {
        "type": "object",
        "properties": {key: {**kind, "description": without_links(SPACE[key])} for key, kind in kinds.items()},
        "required": ["type"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {"candidates": {"type": ["array", "string", "object"]}},
        "additionalProperties": entry,
    }
