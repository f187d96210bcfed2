"""What the checks of our trainables share: the values that a space can give, and the place of a mistake. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trainables.errors import BadData, BadStudy, InvalidConfig, UnknownHyperparameter

Location = tuple[str | int, ...]


def values_of(location: Location, domain: Any) -> list[tuple[Location, Any]]:
    """Returns the values of a domain that decide whether all are possible: a choice's, or both ends of a range.

    Each comes with its place in the study file; `location` is the domain's.
    """
    options = getattr(domain, "options", None)
    if options is not None:
        return [((*location, "values", i), value) for i, value in enumerate(options)]
    return [((*location, end), getattr(domain, end)) for end in ("low", "high")]


def values(name: str, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> list[tuple[Location, Any]]:
    """Returns the values that a hyperparameter can have, with their places; none where the study does not set it."""
    if name in space:
        return values_of(("space", name), space[name])
    return [(("fixed", name), fixed[name])] if name in fixed else []


def check_values(space: Mapping[str, Any], fixed: Mapping[str, Any], valid: Callable[[str, Any], Any]) -> None:
    """Raises BadStudy for a hyperparameter for which `valid(name, value)` raises InvalidConfig."""
    for name in [*fixed, *space]:
        for place, value in values(name, space, fixed):
            try:
                valid(name, value)
            except InvalidConfig as error:
                unknown = isinstance(error, UnknownHyperparameter)
                raise BadStudy(place[:2] if unknown else place, str(error)) from None


@contextmanager
def in_section(section: str, *, kind: type[BadStudy] = BadStudy) -> Iterator[None]:
    """Turns a BadData or InvalidConfig of its block into a BadStudy in `section`, at the key that the message names."""
    try:
        yield
    except (BadData, InvalidConfig) as error:
        key = re.search(rf"\b{section}\.(\w+)", str(error))
        raise kind((section, key[1]) if key else (section,), str(error)) from None
