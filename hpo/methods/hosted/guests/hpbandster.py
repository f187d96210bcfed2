"""HpBandSter's BOHB, which Ray Tune wraps: its brackets and its densities, without its servers.

Options: eta, min_epochs, min_points_in_model, top_n_percent, num_samples, random_fraction, bandwidth_factor, min_bandwidth.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from hpbandster.core.dispatcher import Job
from hpbandster.optimizers.bohb import BOHB as Brackets  # noqa: N811
from hpbandster.optimizers.config_generators.bohb import BOHB as Densities  # noqa: N811

from .config_spaces import InConfigSpace
from .levels import Levelled, Wanted
from .terms import Config, Driven, Opening, Refused, keyword_arguments

logging.getLogger("hpbandster").setLevel(logging.CRITICAL)


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns nothing: HpBandSter loads all of itself."""
    return []


def begin(opening: Opening) -> Driven:
    """Builds BOHB with its published defaults."""
    return HpBandSter(opening)


class HpBandSter(Levelled):
    """BOHB's brackets, asked for runs as its master does."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening.max_epochs)
        options = dict(opening.options)
        eta, least = options.pop("eta", 3), options.pop("min_epochs", 1)
        self._space = InConfigSpace(opening.space, opening.seed)
        given = keyword_arguments("bohb", Densities.__init__, _known(options), ("configspace", "kwargs"))
        self._densities = Densities(self._space.space, **given)
        self._brackets: Any = Brackets.__new__(Brackets)  # its __init__ starts servers
        self._brackets.eta, self._brackets.config_generator = eta, self._densities
        count = -int(np.log(least / opening.max_epochs) / np.log(eta)) + 1
        self._brackets.max_SH_iter = count
        self._brackets.budgets = opening.max_epochs * np.power(float(eta), -np.linspace(count - 1, 0, count))
        self._iterations: list[Any] = []

    def wanted(self) -> Wanted:
        ident, config, budget = self._next_run()
        return Wanted(ident, (ident, budget), round(float(budget)), self._space.config(config))

    def _next_run(self) -> Any:
        for iteration in self._iterations:
            found = iteration.get_next_run()
            if found is not None:
                return found
        self._iterations.append(self._brackets.get_next_iteration(len(self._iterations)))
        return self._iterations[-1].get_next_run()

    def taken(self, token: Any, config: Config) -> Any:
        self._datum(token[0]).config = self._space.values(config)
        return token

    def _datum(self, ident: Any) -> Any:
        return self._iterations[ident[0]].data[ident]

    def told(self, token: Any, value: float | None) -> None:
        ident, budget = token
        job = Job(ident, config=self._datum(ident).config, budget=budget)
        job.result = None if value is None else {"loss": -value}
        self._iterations[ident[0]].register_result(job)
        self._densities.new_result(job)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    known = (
        "min_points_in_model",
        "top_n_percent",
        "num_samples",
        "random_fraction",
        "bandwidth_factor",
        "min_bandwidth",
    )
    for option in options:
        if option not in known:
            raise Refused(f"bohb has no option {option!r}; it has eta, min_epochs, {', '.join(known)}")
    return options
