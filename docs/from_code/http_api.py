"""The service's routes and what they answer: from its OpenAPI document. Pure but for its imports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from docs.from_code.tables import code, table, value

PREFIX = "/api/v1"
REF = "#/components/schemas/"
ANYWHERE = ("304", "401", "403", "421", "503")  # what every route may answer: the page says so once
LONGEST = 1_000  # letters of an example


@cache
def document() -> dict[str, Any]:
    """Returns the OpenAPI document of the service of a store that nobody opens."""
    from hpo.service import documented
    from hpo.service.app import application
    from hpo.service.context import Settings
    from hpo.service.server import opened

    return documented.document(application(opened(Settings("results", Path("cache")))))


def routes() -> str:
    """Returns a section for each kind of route, and in it one for each route."""
    found = document()
    parts: list[str] = []
    kinds = {tag["name"]: tag["description"] for tag in found["tags"]}
    every = [(path, method, one) for path, methods in found["paths"].items() for method, one in methods.items()]
    for kind in dict.fromkeys([*kinds, *(one["tags"][0] for _, _, one in every)]):
        mine = [(path, method, one) for path, method, one in every if one["tags"][0] == kind]
        if mine:
            parts += [f"## {kind.capitalize()}", kinds.get(kind, "")]
            parts += [part for each in mine for part in _route(*each)]
    return "\n\n".join(filter(None, parts))


def values() -> str:
    """Returns a section for each kind of JSON value that routes take and answer with."""
    schemas = document()["components"]["schemas"]
    parts = []
    for name in sorted(schemas):
        if members := schemas[name].get("properties"):
            needed = schemas[name].get("required", ())
            rows = [
                (code(key), _kind(each) + ("" if key in needed else ", optional"), _line(each.get("description", "")))
                for key, each in members.items()
            ]
            about = _line(schemas[name].get("description", ""))
            parts += [f"### {name}", about, table(("member", "kind", "meaning"), rows), *_examples(schemas[name])]
    return "\n\n".join(filter(None, parts))


def _examples(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yields the first example of a value, each member on a line; a long one is in the OpenAPI document alone."""
    for example in schema.get("examples", ())[:1]:
        members = ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(given, ensure_ascii=False)}" for key, given in example.items()
        )
        if len(members) <= LONGEST:
            yield f"```json\n{{\n{members}\n}}\n```"


def _route(path: str, method: str, one: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path.removeprefix(PREFIX)}"
    yield f"{_line(one.get('description') or one['summary'] + '.')} Role: {_role(path, method, one)}."
    given = [each for each in one.get("parameters", ()) if each["in"] != "path" or "enum" in each["schema"]]
    if given:
        yield table(("parameter", "in", "kind", "meaning"), map(_parameter, given))
    if taken := one.get("requestBody"):
        kinds = [f"{code(media)} {_kind(each.get('schema', {}))}" for media, each in taken["content"].items()]
        yield f"Takes {' or '.join(kinds)}."
    told = {status: each for status, each in one["responses"].items() if status not in ANYWHERE}
    good = [_answer(status, each) for status, each in told.items() if status < "400"]
    bad = [f"**{status}**" for status in told if status >= "400"]
    yield f"Answers {'; '.join(good)}{'; problems ' if bad else ''}{', '.join(bad)}."


def _role(path: str, method: str, one: Mapping[str, Any]) -> str:
    if one.get("security") == []:
        return "none, no token is needed"
    if one["tags"][0] == "access":
        return "admin"
    return "run" if method != "get" and not path.startswith(f"{PREFIX}/drafts") else "view"


def _parameter(given: Mapping[str, Any]) -> tuple[str, str, str, str]:
    schema = given.get("schema", {})
    default = schema.get("default")
    shown = f" (default: {value(default)})" if default not in (None, "", []) else ""
    needed = "" if given["in"] == "path" or not given.get("required") else ", required"
    about = _line(given.get("description") or schema.get("description", ""))
    return code(given["name"]), given["in"], _kind(schema) + needed, about + shown


def _answer(status: str, each: Mapping[str, Any]) -> str:
    kinds = [
        f"{code(media)} {_kind(found.get('schema', {}), short=True)}".strip()
        for media, found in each.get("content", {}).items()
        if media != "application/problem+json"
    ]
    told = "" if each["description"] in ("Successful Response",) else f" ({_line(each['description']).rstrip('.')})"
    return f"**{status}**{' ' + ' or '.join(kinds) if kinds else ''}{told}"


def _kind(schema: Mapping[str, Any], *, short: bool = False) -> str:
    """Returns what a value may be, in words."""
    if ref := schema.get("$ref"):
        name = ref.removeprefix(REF)
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_kind(each) for each in schema[word]))
    if "enum" in schema or "const" in schema:
        return " or ".join(code(str(each)) for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "")
    if members := schema.get("properties"):
        return f"with the fields {', '.join(map(code, members))}"
    if kind == "array":
        return f"list of {_kind(schema.get('items', {})) or 'values'}"
    if kind == "object" and isinstance(more := schema.get("additionalProperties"), dict) and more:
        return f"mapping to {_kind(more)}"
    if kind == "string" and (short or schema.get("format") == "binary"):
        return "" if short else "a file"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
            "null": "null", "object": "mapping"}.get(kind, "" if short else "any value")  # fmt: skip


def _line(text: str) -> str:
    return " ".join(text.split())
