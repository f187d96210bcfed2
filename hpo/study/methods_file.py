"""The methods section of a study file: parsed, checked, or narrowed to the methods that a user asks for. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hpo.study.messages import Located
from hpo.study.values import Method
from hpo.text import shown

MOST_WORKERS = 100_000  # virtual ones, of a run
Entry = str | Mapping[str, Mapping[str, Any] | str | None]


def parse_methods(entries: Sequence[Entry]) -> tuple[Method, ...]:
    """Returns the methods of a study file's `methods`. Raises Located for an entry that cannot hold."""
    methods: list[Method] = []
    for i, entry in enumerate(entries):
        method = _method(i, entry)
        if any(other.label == method.label for other in methods):
            raise Located(
                ("methods", i), f"methods must differ, but got {shown(method.label)} twice; give one of them a `label`"
            )
        methods.append(method)
    return tuple(methods)


def _method(place: int, entry: Entry) -> Method:
    """One entry; `label` and `parallelism` are ours, all other options the method's."""
    if isinstance(entry, Mapping) and len(entry) != 1:
        raise Located(("methods", place), f"a method must be a name or one name with options, but got {shown(entry)}")
    name, given = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
    options = _options(given)
    label = str(options.pop("label", _label(name, given)))
    parallelism = options.pop("parallelism", None)
    whole = isinstance(parallelism, int) and not isinstance(parallelism, bool)
    if parallelism is not None and not (whole and 1 <= parallelism <= MOST_WORKERS):
        raise Located(
            ("methods", place, name, "parallelism"),
            f"parallelism >= 1 must hold, and <= {MOST_WORKERS}, but got {shown(parallelism)}",
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+:-]*", label):
        raise Located(
            ("methods", place), f"a method's label must be letters, digits and . _ + : -, but got {shown(label)}"
        )
    return Method(name, label, options, parallelism)


def _options(given: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Returns an entry's options; `syne-tune: ASHA` is short for `syne-tune: {name: ASHA}`."""
    return {"name": given} if isinstance(given, str) else dict(given or {})


def _label(name: str, given: object) -> str:
    """Returns the label of an entry that gives none: of `syne-tune: ASHA` it is syne-tune:ASHA."""
    return f"{name}:{given.rpartition('/')[2]}" if isinstance(given, str) else name


def chosen(entries: Sequence[Any], names: Iterable[str]) -> list[Any]:
    """Returns the file's entries for the named methods; a name that the file lacks stands for the method by default."""
    by_label: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, dict) and len(entry) == 1:
            name, options = next(iter(entry.items()))
            label = options.get("label", name) if isinstance(options, dict) else _label(name, options)
            by_label[str(label)] = entry
        else:
            by_label[str(entry)] = entry
    return [by_label.get(name, name) for name in names]
