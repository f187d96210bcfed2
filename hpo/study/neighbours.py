"""Neighbours: configurations that differ from another in a single hyperparameter (Shimazoe et al., paper 003). Pure."""

from __future__ import annotations

from dataclasses import replace

from hpo.study.space import Choice, Config, Domain, Pool, SearchSpace, Value, same


def neighbours(space: SearchSpace, config: Config, name: str, points: int = 5) -> list[dict[str, Value]]:
    """Returns the configurations that equal `config` except for another value of `name`, in the order of its domain.

    A choice takes each of its other values; a range takes `points` values spread over the whole range, ends included,
    without the present one. Hyperparameters that do not exist with the new value are dropped; those that exist only
    with it take the middle of their ranges. With a pool, each other value is that of the nearest candidate that has it.
    Raises InvalidSpace if `config` does not belong to the space, ValueError if `name` does not exist in `config`.
    """
    space.check(config)
    if points < 1:
        raise ValueError(f"points >= 1 must hold, but got {points}")
    if name not in config:
        raise ValueError(f"name must be a hyperparameter of the configuration ({', '.join(config)}), but got {name!r}")
    if space.pool is not None:
        return _in_pool(space, space.pool, config, name, points)
    return [_changed(space, config, name, value) for value in _others(space.domains[name], config[name], points)]


def _in_pool(space: SearchSpace, pool: Pool, config: Config, name: str, points: int) -> list[dict[str, Value]]:
    """Returns for each other value of `name`, or `points` of them, evenly spread, the nearest candidate that has it."""
    far = ((pool.features - space.features(config)) ** 2).sum(axis=1)
    found: dict[Value, dict[str, Value]] = {}
    for number in far.argsort(kind="stable"):
        candidate = pool[int(number)]
        if name in candidate and not same(candidate[name], config[name]):
            found.setdefault(candidate[name], dict(candidate))
    domain = space.domains[name]
    others = sorted(found, key=domain.encode)
    if len(others) > points and not isinstance(domain, Choice):
        others = [others[round(k * (len(others) - 1) / max(1, points - 1))] for k in range(points)]
    return [found[value] for value in others]


def _others(domain: Domain, present: Value, points: int) -> list[Value]:
    """Returns the values to take instead of `present`, from the whole range rather than from its grid."""
    if isinstance(domain, Choice):
        return [value for value in domain.options if not same(value, present)]
    whole = replace(domain, grid=None)
    if whole.size <= points + 1:
        return [value for value in whole.values(int(whole.size)) if value != present]
    values, place = whole.values(points + 1), whole.encode(present)
    # One value too many: the nearest to the present one would tell the least.
    nearest = min(values, key=lambda value: abs(whole.encode(value) - place))
    return [value for value in values if value not in (nearest, present)]


def _changed(space: SearchSpace, config: Config, name: str, value: Value) -> dict[str, Value]:
    changed: dict[str, Value] = {}
    for other, domain in space.domains.items():
        if space.active(other, changed):
            changed[other] = value if other == name else config.get(other, domain.decode(0.5))
    return changed
