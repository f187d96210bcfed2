"""Markdown tables of the reference. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table; a bar in a cell is escaped, as it would end the cell."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """Returns the text as code, or nothing for an empty one."""
    return f"`{text}`" if text else ""


def value(given: Any) -> str:
    """Returns a value as a study file or a command has it; nothing for None."""
    if given is None:
        return ""
    if isinstance(given, bool | int | list | tuple | dict):
        return code(json.dumps(given))
    return code(f"{given:g}" if isinstance(given, float) else str(given))


def same_names(kind: str, meanings: Iterable[str], known: Iterable[str]) -> None:
    """Raises ValueError unless every name of the code has a meaning here, and no other name has one."""
    told, there = set(meanings), set(known)
    if told != there:
        raise ValueError(f"{kind}: without a meaning: {sorted(there - told)}; no longer there: {sorted(told - there)}")
