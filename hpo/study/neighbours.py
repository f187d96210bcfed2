"""Configurations that differ from one in a single hyperparameter (Shimazoe et al., paper 003). Pure; imports only space."""

from __future__ import annotations

from dataclasses import replace

from hpo.study.space import Choice, Config, Domain, SearchSpace, Value, same


def neighbours(space: SearchSpace, config: Config, name: str, points: int = 5) -> list[dict[str, Value]]:
    """Configurations equal to `config` but for `name`, which takes other values of its domain; `config` is not one.

    A choice takes all of its other values, a range `points` values spread over the whole of it, ends included, away
    from the present one. Hyperparameters that cease to exist with the new
    value are dropped; those that come into being take the middle of their ranges. In the order of the domain.
    Raises InvalidSpace where `config` does not belong to the space, ValueError where `name` does not exist in it.
    """
    space.check(config)
    if points < 1:
        raise ValueError(f"points >= 1 must hold, but got {points}")
    if name not in config:
        raise ValueError(f"name must be a hyperparameter of the configuration ({', '.join(config)}), but got {name!r}")
    return [_changed(space, config, name, value) for value in _others(space.domains[name], config[name], points)]


def _others(domain: Domain, present: Value, points: int) -> list[Value]:
    """The values that the hyperparameter takes instead of `present`; a grid's few values are not its range."""
    if isinstance(domain, Choice):
        return [value for value in domain.options if not same(value, present)]
    whole = replace(domain, grid=None)
    if whole.size <= points + 1:
        return [value for value in whole.values(int(whole.size)) if value != present]
    values, place = whole.values(points + 1), whole.encode(present)
    # One value in excess: the one that lies nearest would say the least.
    nearest = min(values, key=lambda value: abs(whole.encode(value) - place))
    return [value for value in values if value not in (nearest, present)]


def _changed(space: SearchSpace, config: Config, name: str, value: Value) -> dict[str, Value]:
    changed: dict[str, Value] = {}
    for other, domain in space.domains.items():
        if space.active(other, changed):
            changed[other] = value if other == name else config.get(other, domain.decode(0.5))
    return changed
