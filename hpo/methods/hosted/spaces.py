"""A search space as a library is told of it, and the configurations that it answers, understood. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.methods.hosted.process import HostFailed
from hpo.study.domains import same
from hpo.study.space import Choice, Config, Domain, Int, InvalidSpace, SearchSpace
from hpo.text import shown


class Translation:
    """A space on its way to a library and its configurations on their way back.

    Hyperparameters of one value are left out. `flat`: conditions are left out, too, and what a configuration does not
    have is dropped from what the library suggests.
    """

    def __init__(self, space: SearchSpace, flat: bool = False) -> None:
        self._space = space
        parents = {parent for condition in space.conditions.values() for parent in condition}
        self._constant = {
            name: domain.decode(0.5)
            for name, domain in space.domains.items()
            if domain.size == 1 and name not in parents and (flat or name not in space.conditions)
        }
        if len(self._constant) == len(space):  # a library needs something to search
            del self._constant[space.names[-1]]
        self.told = [
            _told(name, domain, {} if flat else space.conditions.get(name, {}))
            for name, domain in space.domains.items()
            if name not in self._constant
        ]

    def full(self, config: Config, suggested: Mapping[str, Any] | None = None) -> Config:
        """Returns a configuration as the library knows it.

        Told flat, it has all hyperparameters: those that do not exist are as `suggested`, or in the middle.
        """
        found = {}
        for told in self.told:
            name = told["name"]
            if name in config:
                found[name] = config[name]
            elif not told["when"]:
                found[name] = (suggested or {}).get(name, self._space.domains[name].decode(0.5))
        return found

    def understood(self, library: str, suggested: Mapping[str, Any]) -> Config:
        """Returns the configuration that a library suggests. Raises HostFailed if the space does not have it."""
        config: dict[str, Any] = {}
        for name, domain in self._space.domains.items():
            if not self._space.active(name, config):
                continue
            if name in self._constant:
                config[name] = self._constant[name]
            elif name in suggested:
                config[name] = _fitting(domain, suggested[name])
        extra = {name: value for name, value in suggested.items() if name not in self._space.domains}
        try:
            self._space.fits({**config, **extra})
        except (InvalidSpace, TypeError) as error:
            raise HostFailed(f"{library} suggested {shown(suggested)}, but {error}") from None
        return config


def _told(name: str, domain: Domain, condition: Any) -> dict[str, Any]:
    when = {parent: list(values) for parent, values in condition.items()}
    if isinstance(domain, Choice):
        return {
            "name": name,
            "kind": "choice",
            "options": list(domain.options),
            "ordered": domain.ordered,
            "when": when,
        }
    kind = type(domain).__name__.lower()
    return {
        "name": name, "kind": kind, "low": domain.low, "high": domain.high, "log": domain.log, "step": domain.step,
        "when": when,
    }  # fmt: skip


def _fitting(domain: Domain, value: Any) -> Any:
    """Returns the value of the domain that a library's value equals up to rounding; other values unchanged."""
    if isinstance(domain, Choice):
        return next((option for option in domain.options if same(option, value)), value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(domain, Int):
        return int(value) if float(value).is_integer() else value
    slack = 1e-9 * max(abs(domain.low), abs(domain.high))
    if domain.low - slack <= value <= domain.high + slack:
        value = min(max(float(value), domain.low), domain.high)
    return domain.snap(value)
