"""Checks of methods' options; each error says in one sentence what must hold and what was given. Pure."""

from __future__ import annotations

from typing import Any

from hpo.methods.protocol import InvalidOption, Setting
from hpo.text import shown


def whole(name: str, value: Any, low: int, high: int | None = None, because: str = "") -> int:
    """Returns `value` if it is a whole number in [low, high]; raises InvalidOption otherwise."""
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high)
    if not fits:
        bound = f"{name} >= {low}" if high is None else f"{low} <= {name} <= {high}"
        raise InvalidOption(f"{name} must be a whole number with {bound}{because}, but got {shown(value)}")
    return int(value)


def real(name: str, value: Any, low: float, high: float) -> float:
    """Returns `value` as a float if it is a number in [low, high]; raises InvalidOption otherwise."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidOption(f"{name} must be a number with {low:g} <= {name} <= {high:g}, but got {shown(value)}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Returns `value` if it is true or false; raises InvalidOption otherwise."""
    if not isinstance(value, bool):
        raise InvalidOption(f"{name} must be true or false, but got {shown(value)}")
    return value


def aware(value: Any) -> bool | None:
    """Returns the option cost_aware, true, false or none; raises InvalidOption for anything else."""
    return None if value is None else flag("cost_aware", value)


def epochs(setting: Setting, max_epochs: Any) -> int:
    """Returns a method's own R: by default the study's, and never more than that."""
    if max_epochs is None:
        return setting.max_epochs
    return whole("max_epochs", max_epochs, 1, setting.max_epochs, " (the study's budget.max_epochs)")
