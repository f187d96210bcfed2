"""In what a study differs from the stored one of its name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo.text import shown
from trainables.given import of

FIXED = (  # the parts that results depend on: a stored study keeps them
    *("trainable", "data", "model", "fixed", "early_stopping", "space", "parallelism", "clock", "metric", "mode"),
    *("budget", "start", "prior"),
)
MOST = 3  # differences that a sentence names


def differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Returns which keys differ, with the stored and the given value; empty if no part differs that results depend on."""
    found = [pair for name in FIXED for pair in _differing(name, stored.get(name), given.get(name))]
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return ", ".join(found[:MOST]) + more


def _differing(name: str, stored: Any, given: Any) -> Iterator[str]:
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        for key in [*given, *(key for key in stored if key not in given)]:
            yield from _differing(f"{name}.{key}", stored.get(key), given.get(key))
    elif stored != given or type(stored) is not type(given):
        if of(str(stored)) and of(str(given)):
            name = "the code of its trainable, or in a value that this code refers to"
        yield f"{name} ({shown(stored, 60)} there, {shown(given, 60)} here)"
