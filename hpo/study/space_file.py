"""The space section of a study file: parsed, checked, and its mistakes placed. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo.study import candidates
from hpo.study.messages import Located, at
from hpo.study.space import Choice, Domain, Float, Int, InvalidSpace, SearchSpace, Value
from hpo.text import nearest, shown

LONGEST_NAME = 100
_KEYS = {
    "float": ("type", "low", "high", "log", "step", "grid", "prior", "if"),
    "int": ("type", "low", "high", "log", "step", "grid", "prior", "if"),
    "choice": ("type", "values", "grid", "prior", "if"),
}


def parse_space(section: Mapping[str, Any]) -> SearchSpace:
    """Returns the search space of a study file's `space`. Raises Located for an entry that cannot hold.

    A list named `candidates` is the space's pool. Hyperparameters without an entry take the domains that its values span.
    """
    if not section:
        raise Located(("space",), "space must name at least one hyperparameter, but names none")
    listed = has_candidates(section)
    domains: dict[str, Domain] = {}
    conditions: dict[str, dict[str, tuple[Value, ...]]] = {}
    for name, entry in section.items():
        if name == candidates.KEY and listed:
            continue
        check_name(name, "space")
        if not isinstance(entry, Mapping):
            raise Located(("space", name), f"space.{name} must map keys such as type to values, but got {shown(entry)}")
        domains[name] = _domain(name, entry)
        condition = entry.get("if")
        if condition is not None:
            if not isinstance(condition, dict) or not condition:
                raise Located(
                    ("space", name, "if"), f"if must map a hyperparameter to its values, but got {shown(condition)}"
                )
            for parent, values in condition.items():
                _check_scalars(("space", name, "if", parent), values if isinstance(values, list) else [values])
            conditions[name] = {p: tuple(v) if isinstance(v, list) else (v,) for p, v in condition.items()}
    if listed:
        return _pooled(section[candidates.KEY], domains, conditions)
    with at("space"):
        return SearchSpace(domains, conditions)


def has_candidates(section: Mapping[str, Any]) -> bool:
    """Whether the section's key `candidates` is a list or a file, rather than a hyperparameter of that name."""
    return candidates.KEY in section and not isinstance(section[candidates.KEY], Mapping)


def _pooled(
    given: Any, domains: Mapping[str, Domain], conditions: Mapping[str, Mapping[str, tuple[Value, ...]]]
) -> SearchSpace:
    rows = candidates.rows_of(given)
    for name in dict.fromkeys(name for row in rows for name in row):
        check_name(name, "space")
    with at("space", candidates.KEY):
        spanned = candidates.domains_of(rows, domains)
        for domain in spanned.values():
            if isinstance(domain, Choice):
                _check_as_text(domain.options)
    pool = [candidates.typed(row, spanned, i) for i, row in enumerate(rows)]
    with at("space"):
        free = SearchSpace(spanned, conditions)
    for i, config in enumerate(pool):
        with at("space", candidates.KEY, i):
            free.fits(config)
    return SearchSpace(spanned, conditions, pool)


def check_name(name: str, section: str) -> None:
    """Raises Located for a hyperparameter's name that tables and messages could not show."""
    if not name.isprintable() or name != name.strip() or not 0 < len(name) <= LONGEST_NAME:
        raise Located(
            (section, name),
            f"a hyperparameter's name must be 1 to {LONGEST_NAME} characters without blanks around them, "
            f"but got {shown(name)}",
        )


def _check_scalars(location: tuple[str | int, ...], values: Sequence[Any]) -> None:
    """Raises Located for a value that is a list or a mapping: tables have a column of single values for each name."""
    for i, value in enumerate(values):
        if isinstance(value, list | dict):
            raise Located((*location, i), f"a value must be a number, a text, true or false, but got {shown(value)}")


def _domain(name: str, entry: Mapping[str, Any]) -> Domain:
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise Located(("space", name, "type"), f"{name}.type must be float, int or choice, but got {shown(kind)}")
    for key in entry:
        if key not in _KEYS[kind]:
            raise Located(("space", name, key), f"{name} has no key {shown(key)}; {nearest(key, _KEYS[kind])}")
    for key in ("values",) if kind == "choice" else ("low", "high"):
        if entry.get(key) is None:
            raise Located(("space", name), f"{name} must have the key {shown(key)}, but it is missing")
    number = (int,) if kind == "int" else (int, float)
    for key in ("low", "high", "step"):
        value = entry.get(key)
        if value is not None and (not isinstance(value, number) or isinstance(value, bool)):
            raise Located(("space", name, key), f"{name}.{key} must be a number of type {kind}, but got {shown(value)}")
    for key in ("grid", "values"):
        if entry.get(key) is None and key == "grid":
            continue
        if key in entry and not isinstance(entry[key], list):
            raise Located(("space", name, key), f"{name}.{key} must be a list, but got {shown(entry[key])}")
        if key in entry:
            _check_scalars(("space", name, key), entry[key])
    with at("space", name, prefix=f"{name}: "):
        return _build(kind, entry)


def _build(kind: str, entry: Mapping[str, Any]) -> Domain:
    grid = tuple(entry["grid"]) if entry.get("grid") is not None else None
    if kind == "choice":
        _check_as_text(entry["values"])
        return Choice(tuple(entry["values"]), grid, prior=entry.get("prior"))
    log = entry.get("log", False)
    if not isinstance(log, bool):
        raise InvalidSpace(f"log must be true or false, but got {shown(log)}")
    if kind == "int":
        return Int(entry["low"], entry["high"], log, entry.get("step"), grid, prior=entry.get("prior"))
    floats = tuple(float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in grid) if grid else grid
    return Float(float(entry["low"]), float(entry["high"]), log, entry.get("step"), floats, prior=entry.get("prior"))


def _check_as_text(values: Sequence[Any]) -> None:
    """Raises InvalidSpace for choices that a table, whose columns of mixed values are text, could not tell apart."""
    seen: dict[str, Any] = {}
    for value in values:
        other = seen.setdefault(str(value), value)
        if type(other) is not type(value):
            raise InvalidSpace(f"values must differ as text too, but got {shown(other)} and {shown(value)}; rename one")


def entries(section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a `space` section's entry of each hyperparameter; of a pool's, also those that its candidates span."""
    own = {name: entry for name, entry in section.items() if isinstance(entry, Mapping)}
    if not has_candidates(section):
        return own
    return {name: own.get(name) or entry_of(domain) for name, domain in parse_space(section).domains.items()}


def section_of(space: SearchSpace) -> dict[str, Any]:
    """Returns a space as a study file's `space`, with its pool as candidates if it has one."""
    found = {name: entry_of(domain) for name, domain in space.domains.items()}
    for name, condition in space.conditions.items():
        found[name]["if"] = {parent: list(values) for parent, values in condition.items()}
    return found if space.pool is None else {**found, candidates.KEY: [dict(config) for config in space.pool]}


def entry_of(domain: Domain) -> dict[str, Any]:
    """Returns a domain as an entry of a study file's `space`, without what is as by default."""
    if isinstance(domain, Choice):
        found: dict[str, Any] = {"type": "choice", "values": list(domain.options)}
    else:
        found = {"type": "int" if isinstance(domain, Int) else "float", "low": domain.low, "high": domain.high}
        found |= {"log": True} if domain.log else {}
        found |= {"step": domain.step} if domain.step is not None else {}
    found |= {"grid": list(domain.grid)} if domain.grid is not None else {}
    return found | ({"prior": domain.prior.entry} if domain.prior is not None else {})


def kind_of(domain: Domain) -> str:
    """Returns the type of a domain's column in a table: float, int, bool or str (mixed values become text)."""
    if isinstance(domain, Float):
        return "float"
    if isinstance(domain, Int):
        return "int"
    types = {type(value) for value in domain.options}
    for kind, members in (("bool", {bool}), ("int", {int}), ("float", {int, float}), ("str", {str})):
        if types <= members:
            return kind
    return "str"
