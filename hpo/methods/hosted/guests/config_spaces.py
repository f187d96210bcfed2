"""A search space in ConfigSpace, for SMAC and HpBandSter: with its conditions. For ConfigSpace 0.7 and later.

Values are as `Domain.plain` has them, since ConfigSpace takes options of one type only.
"""

from __future__ import annotations

from typing import Any

import ConfigSpace
from ConfigSpace.conditions import AndConjunction, InCondition
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from .terms import Config, Domain


class InConfigSpace:
    """A space and the ways between its configurations and ConfigSpace's values."""

    def __init__(self, domains: tuple[Domain, ...], seed: int) -> None:
        self._domains = {domain.name: domain for domain in domains}
        self.space = ConfigSpace.ConfigurationSpace(seed=seed % 2**31)
        self._add([_hyperparameter(domain) for domain in domains])
        conditions = [self._condition(domain) for domain in domains if domain.when]
        if conditions:
            self._add(conditions)

    def _add(self, parts: list[Any]) -> None:
        space: Any = self.space
        if hasattr(space, "add"):
            space.add(*parts)
        elif isinstance(parts[0], (InCondition, AndConjunction)):
            space.add_conditions(parts)
        else:
            space.add_hyperparameters(parts)

    def _condition(self, domain: Domain) -> Any:
        child = self.space[domain.name]
        each = [
            InCondition(child, self.space[parent], [to_theirs(self._domains[parent], value) for value in values])
            for parent, values in domain.when.items()
        ]
        return each[0] if len(each) == 1 else AndConjunction(*each)

    def values(self, config: Config) -> Config:
        """Returns a configuration as ConfigSpace has it."""
        return {name: to_theirs(self._domains[name], value) for name, value in config.items()}

    def config(self, values: Any) -> Config:
        """Returns the configuration that ConfigSpace's values stand for."""
        return {
            name: from_theirs(domain, values[name])
            for name, domain in self._domains.items()
            if values.get(name) is not None
        }


def _hyperparameter(domain: Domain) -> Any:
    if _single(domain):
        return Constant(domain.name, 0)
    if domain.placed:
        return UniformIntegerHyperparameter(domain.name, 0, len(domain.placed) - 1)
    if domain.kind == "choice":
        return CategoricalHyperparameter(domain.name, domain.words)
    if domain.kind == "int":
        return UniformIntegerHyperparameter(domain.name, int(domain.low), int(domain.high), log=domain.log)
    return UniformFloatHyperparameter(domain.name, domain.low, domain.high, log=domain.log)


def _single(domain: Domain) -> bool:
    if domain.kind == "choice" or domain.step is not None:
        return len(domain.levels) == 1
    return domain.low == domain.high


def to_theirs(domain: Domain, value: Any) -> Any:
    """Returns a value as ConfigSpace has it."""
    return 0 if _single(domain) else domain.plain(value)


def from_theirs(domain: Domain, value: Any) -> Any:
    """Returns the value that ConfigSpace's stands for."""
    if _single(domain):
        return domain.options[0] if domain.kind == "choice" else domain.low
    return domain.value(value)
