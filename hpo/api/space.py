"""Hyperparameters in code: the domains of hpo.study, with the condition under which each exists. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, TypeAlias

from hpo.study import domains
from hpo.study.beliefs import Belief
from hpo.study.domains import InvalidSpace, Value
from hpo.study.space_file import entry_of
from hpo.text import shown

When: TypeAlias = Mapping[str, Value | Sequence[Value]]
"""A condition: each parent's value, or the values, for which the hyperparameter exists."""

Prior: TypeAlias = Value | Belief | Mapping[str, Any]
"""A belief: the value, {"value": ..., "confidence": ...}, or {"weights": [...]} of a choice."""


@dataclass(frozen=True)
class Float(domains.Float):
    """A real hyperparameter in [low, high].

    `log` spreads it evenly over magnitudes; `step` restricts it to low + k * step; `grid` names the values of grid search;
    `prior` is the value that you believe to be good, or `{"value": V, "confidence": "low"}` (or medium, or high);
    `when={"optimizer": "sgd"}` makes it exist for certain values of others only. Raises InvalidSpace, an HpoError.
    """

    grid: Sequence[float] | None = None  # type: ignore[assignment]  # a list is as good as a tuple
    when: When | None = None
    prior: Prior | None = field(default=None, kw_only=True)  # type: ignore[assignment]  # becomes a Belief

    def __post_init__(self) -> None:
        _check_numbers(self, Real, "a number")
        _freeze(self, "grid")
        super().__post_init__()


@dataclass(frozen=True)
class Int(domains.Int):
    """A whole-number hyperparameter in {low, low + step, ..., high}; its other arguments are those of Float."""

    grid: Sequence[int] | None = None  # type: ignore[assignment]
    when: When | None = None
    prior: Prior | None = field(default=None, kw_only=True)  # type: ignore[assignment]  # becomes a Belief

    def __post_init__(self) -> None:
        _check_numbers(self, Integral, "a whole number")
        _freeze(self, "grid")
        super().__post_init__()


@dataclass(frozen=True)
class Choice(domains.Choice):
    """A hyperparameter that takes one of the listed values, such as Choice(["adam", "sgd"]); their order means nothing.

    `prior` may also be `{"weights": [3, 1]}`, one for each value.
    """

    options: Sequence[Value]  # type: ignore[assignment]
    grid: Sequence[Value] | None = None  # type: ignore[assignment]
    when: When | None = None
    prior: Prior | None = field(default=None, kw_only=True)  # type: ignore[assignment]  # becomes a Belief

    def __post_init__(self) -> None:
        if not isinstance(self.options, Sequence) or isinstance(self.options, str):
            raise InvalidSpace(f"a choice must be given a list of its values, but got {shown(self.options)}")
        _freeze(self, "options")
        _freeze(self, "grid")
        super().__post_init__()


def _check_numbers(domain: domains.Float | domains.Int, kind: type, called: str) -> None:
    for name, value in (("low", domain.low), ("high", domain.high), ("step", domain.step)):
        if not isinstance(value, kind) and (name, value) != ("step", None):
            raise InvalidSpace(f"{name} must be {called}, but got {shown(value)}")


def _freeze(domain: object, name: str) -> None:
    values = getattr(domain, name)
    if isinstance(values, Sequence) and not isinstance(values, str | tuple):
        object.__setattr__(domain, name, tuple(values))


def entry(domain: domains.Domain) -> dict[str, Any]:
    """Returns the domain as an entry of a study file's `space`, without what is as by default."""
    when = getattr(domain, "when", None)
    return entry_of(domain) if when is None else {**entry_of(domain), "if": when}
