"""HEBO, heteroscedastic evolutionary Bayesian optimization. Its options are HEBO's arguments, such as `rand_sample`.

HEBO knows no running trials: several at a time are told apart only by the randomness of its choice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

from .terms import FULL, Ask, Config, Domain, Driven, Opening, keyword_arguments


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns nothing: HEBO loads all of itself."""
    return []


def begin(opening: Opening) -> Driven:
    """Builds HEBO."""
    return Hebo(opening)


class Hebo:
    """HEBO, asked for one suggestion at a time."""

    kind = FULL
    deterministic = True

    def __init__(self, opening: Opening) -> None:
        self._domains = {domain.name: domain for domain in opening.flat("hebo")}
        self._max_epochs = opening.max_epochs
        space = DesignSpace().parse([in_hebo(domain) for domain in self._domains.values()])
        given = keyword_arguments("hebo", HEBO, opening.options, ("space", "acq_cls", "scramble_seed"))
        self._hebo = HEBO(space, scramble_seed=opening.seed % 2**31, **given)
        self._rows: list[Config] = []
        self._best: dict[int, float] = {}
        for config, _, value in opening.prior:
            self._observe({name: self._domains[name].plain(v) for name, v in config.items()}, value)

    def _observe(self, row: Config, value: float) -> None:
        self._hebo.observe_new_data(pandas.DataFrame([row]), np.array([[-value]]))

    def ask(self) -> Ask:
        row = self._hebo.suggest(1).iloc[0].to_dict()
        self._rows.append(row)
        config = {name: domain.value(row[name]) for name, domain in self._domains.items()}
        return Ask(len(self._rows) - 1, self._max_epochs, config)

    def take(self, trial: int, config: Config) -> None:
        self._rows[trial] = {name: self._domains[name].plain(value) for name, value in config.items()}

    def observe(self, trial: int, epoch: int, value: float) -> str:
        self._best[trial] = max(value, self._best.get(trial, value))
        return "continue"

    def pause(self, trial: int) -> None:
        self.close(trial)

    def close(self, trial: int) -> None:
        self._observe(self._rows[trial], self._best[trial])

    def fail(self, trial: int) -> None:
        """Does nothing: HEBO leaves out what has no finite value."""


def in_hebo(domain: Domain) -> dict[str, Any]:
    """Returns a domain as HEBO's."""
    if domain.placed:
        return {"name": domain.name, "type": "int", "lb": 0, "ub": len(domain.placed) - 1}
    if domain.kind == "choice":
        return {"name": domain.name, "type": "cat", "categories": domain.words}
    kind = {("float", False): "num", ("float", True): "pow", ("int", False): "int", ("int", True): "pow_int"}
    found = {"name": domain.name, "type": kind[domain.kind, domain.log], "lb": domain.low, "ub": domain.high}
    return {**found, "base": 10} if domain.log else found
