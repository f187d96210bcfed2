"""The methods by name: METHODS, `build` and `describe`. No ray, no I/O; a method is imported when it is built."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from hpo.methods.composition import Composition, foreign, foreign_from
from hpo.methods.options import nearest
from hpo.methods.protocol import Factory, InvalidOption, Method, Schedule, Searcher, Setting

__all__ = ["METHODS", "InvalidOption", "Schedule", "Searcher", "Setting", "build", "describe"]

_FULL = "hpo.methods.full:Full"
_ASHA = "hpo.methods.asha:Asha"

_TABLE = (
    Composition("grid", "every combination of grid values, in an order whose prefixes cover the space", _FULL, "grid"),
    Composition("random", "independent uniform configurations, each trained to the end", _FULL, "random"),
    Composition("asha", "asynchronous successive halving with pausing and promotion (Li et al. 2020)", _ASHA),
)

METHODS: dict[str, Factory] = {composition.name: composition for composition in _TABLE}


@cache
def _installed() -> dict[str, Any]:
    """Third parties' methods: the entry points of the group hpo.methods by name."""
    return {entry.name: entry for entry in entry_points(group="hpo.methods")}


def build(method: Method, setting: Setting) -> Schedule:
    """The schedule of a method as a study names it: of the table, of an installed package, or "module:Class".

    Raises InvalidOption (one sentence, the nearest valid name) for unknown names and options that cannot hold.
    """
    if method.name in METHODS:
        return METHODS[method.name](setting, **method.options)
    if ":" in method.name:
        return foreign(method.name, setting, method.options)
    if method.name in _installed():
        return foreign_from(method.name, _installed()[method.name].load(), setting, method.options)
    raise InvalidOption(f"there is no method {method.name!r}{nearest(method.name, [*METHODS, *_installed()])}")


def describe() -> list[tuple[str, str]]:
    """All methods: (name, what it is in one line)."""
    installed = [(name, f"installed: {entry.value}") for name, entry in sorted(_installed().items())]
    return [(composition.name, composition.about) for composition in _TABLE] + installed
