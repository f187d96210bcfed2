"""Combinations of the values of conditional hyperparameters: counted, found by number, listed one by one. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from hpo.study.domains import Value, same

Config: TypeAlias = Mapping[str, Value]
Condition: TypeAlias = Mapping[str, tuple[Value, ...]]
Groups: TypeAlias = Mapping[frozenset[str], int]  # how many values of a parent allow exactly these children


def active(condition: Condition, config: Config) -> bool:
    """Reports whether a hyperparameter with this condition exists in a configuration of those before it."""
    return all(
        parent in config and any(same(config[parent], value) for value in values)
        for parent, values in condition.items()
    )


class Family:
    """Which hyperparameters depend on which. `conditions`: of each child; parents come before their children in `names`."""

    def __init__(self, names: Sequence[str], conditions: Mapping[str, Condition]) -> None:
        self.conditions = conditions
        found: dict[str, set[str]] = {name: set() for name in names}
        for child, parents in conditions.items():
            for parent in parents:
                found[parent].add(child)
        self.children = {name: frozenset(children) for name, children in found.items()}
        self._order = _children_soon(self.children, conditions)

    def allowed(self, parent: str, value: Value) -> frozenset[str]:
        """Returns the children that may exist beside this value of their parent."""
        mine = self.children[parent]
        return frozenset(c for c in mine if any(same(value, named) for named in self.conditions[c][parent]))

    def grouped(self, parent: str, values: Sequence[Value]) -> Groups:
        """Returns how many of the values allow the same children."""
        if not self.children[parent]:
            return {frozenset(): len(values)}
        return Counter(self.allowed(parent, value) for value in values)

    def grouped_size(self, parent: str, size: int) -> Groups:
        """Returns the groups of all `size` values of a domain: those that conditions name, and the rest."""
        named: list[Value] = []
        for child in self.children[parent]:
            named.extend(v for v in self.conditions[child][parent] if not any(same(v, known) for known in named))
        groups = Counter(self.allowed(parent, value) for value in named)
        groups[frozenset()] += size - len(named)
        return +groups

    def count(self, groups: Mapping[str, Groups]) -> int:
        """Counts the configurations, with the groups of every hyperparameter.

        Goes through the hyperparameters once and keeps, for each set of later ones that cannot exist any more, the
        number of ways to get there. Parents are followed by their children at once, so these sets stay few.
        """
        ways: dict[frozenset[str], int] = {frozenset(): 1}
        for name in self._order:
            after: defaultdict[frozenset[str], int] = defaultdict(int)
            children = self.children[name]
            for missing, number in ways.items():
                if name in missing:
                    after[(missing - {name}) | children] += number
                    continue
                for allowed, values in groups[name].items():
                    after[missing | (children - allowed)] += number * values
            ways = after
        return sum(ways.values())


class Combinations:
    """Every configuration that has one of the given values for each hyperparameter that exists in it.

    The last hyperparameter varies fastest. Nothing is built before it is asked for: `total` and `self[i]` take
    microseconds however many there are (`len` serves up to sys.maxsize of them).
    """

    def __init__(self, values: Mapping[str, Sequence[Value]], conditions: Mapping[str, Condition]) -> None:
        self._values = values
        self._family = Family(list(values), conditions)
        self._groups = {name: self._family.grouped(name, mine) for name, mine in values.items()}

    @cached_property
    def total(self) -> int:
        return self._family.count(self._groups)

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[dict[str, Value]]:
        configs: Iterator[dict[str, Value]] = iter([{}])
        for name, values in self._values.items():
            configs = _extended(configs, name, values, self._family.conditions.get(name, {}))
        return configs

    def __getitem__(self, number: int) -> dict[str, Value]:
        """Returns the combination with this number, counted from 0."""
        if not 0 <= number < self.total:
            raise IndexError(f"the number of a combination must lie in 0 .. {self.total - 1}, but got {number}")
        groups, config, total = dict(self._groups), dict[str, Value](), self.total
        for name, values in self._values.items():
            if not active(self._family.conditions.get(name, {}), config):
                continue
            if not self._family.children[name]:
                total //= len(values)
                place, number = divmod(number, total)
                groups[name], config[name] = {frozenset(): 1}, values[place]
                continue
            following: dict[frozenset[str], int] = {}
            for value in values:
                allowed = self._family.allowed(name, value)
                groups[name] = {allowed: 1}
                if allowed not in following:
                    following[allowed] = self._family.count(groups)
                total = following[allowed]
                if number < total:
                    config[name] = value
                    break
                number -= total
        return config


def _extended(
    configs: Iterator[dict[str, Value]], name: str, values: Sequence[Value], condition: Condition
) -> Iterator[dict[str, Value]]:
    for config in configs:
        if active(condition, config):
            for value in values:
                yield {**config, name: value}
        else:
            yield config


def _children_soon(children: Mapping[str, frozenset[str]], conditions: Mapping[str, Condition]) -> list[str]:
    """Returns the names, parents before children, each child as soon as all of its parents have come."""
    missing = {name: len(conditions.get(name, ())) for name in children}
    ordered: list[str] = []
    for root in [name for name, parents in missing.items() if not parents]:
        ready = [root]
        while ready:
            name = ready.pop()
            ordered.append(name)
            for child in sorted(children[name]):
                missing[child] -= 1
                if not missing[child]:
                    ready.append(child)
    return ordered
