"""HpBandSter's BOHB, which Ray Tune wraps: its brackets and its densities, without its servers.

Options: eta, min_epochs, min_points_in_model, top_n_percent, num_samples, random_fraction, bandwidth_factor, min_bandwidth.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from hpbandster.core.dispatcher import Job
from hpbandster.optimizers.bohb import BOHB as Brackets
from hpbandster.optimizers.config_generators.bohb import BOHB as Densities

from .config_spaces import InConfigSpace
from .terms import PROMOTING, Ask, Config, Driven, Opening, keyword_arguments

logging.getLogger("hpbandster").setLevel(logging.CRITICAL)


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns nothing: HpBandSter loads all of itself."""
    return []


def begin(opening: Opening) -> Driven:
    """Builds BOHB with its published defaults."""
    return HpBandSter(opening)


class HpBandSter:
    """BOHB's brackets, asked for runs as its master does."""

    kind = PROMOTING
    deterministic = True

    def __init__(self, opening: Opening) -> None:
        options = dict(opening.options)
        eta, least = options.pop("eta", 3), options.pop("min_epochs", 1)
        self._max_epochs = opening.max_epochs
        self._space = InConfigSpace(opening.space, opening.seed)
        given = keyword_arguments("hpbandster", Densities.__init__, _known(options), ("configspace", "kwargs"))
        self._densities = Densities(self._space.space, **given)
        self._brackets: Any = Brackets.__new__(Brackets)  # its __init__ starts servers
        self._brackets.eta, self._brackets.config_generator = eta, self._densities
        count = -int(np.log(least / opening.max_epochs) / np.log(eta)) + 1
        self._brackets.max_SH_iter = count
        self._brackets.budgets = opening.max_epochs * np.power(float(eta), -np.linspace(count - 1, 0, count))
        self._iterations: list[Any] = []
        self._ids: list[Any] = []  # of trials
        self._awaited: dict[int, tuple[float, int]] = {}
        self._curves: list[list[float]] = []

    def ask(self) -> Ask:
        while True:
            ident, config, budget = self._next_run()
            to = max(1, round(float(budget)))
            if ident not in self._ids:
                self._ids.append(ident)
                self._curves.append([])
                self._awaited[len(self._ids) - 1] = budget, to
                return Ask(len(self._ids) - 1, to, self._space.config(config))
            trial = self._ids.index(ident)
            self._awaited[trial] = budget, to
            if to > len(self._curves[trial]):
                return Ask(trial, to)
            self._register(trial, max(self._curves[trial][:to]))  # two budgets that are the same number of epochs

    def _next_run(self) -> Any:
        for iteration in self._iterations:
            found = iteration.get_next_run()
            if found is not None:
                return found
        self._iterations.append(self._brackets.get_next_iteration(len(self._iterations)))
        return self._iterations[-1].get_next_run()

    def take(self, trial: int, config: Config) -> None:
        ident = self._ids[trial]
        self._iterations[ident[0]].data[ident].config = self._space.values(config)

    def observe(self, trial: int, epoch: int, value: float) -> str:
        self._curves[trial].append(value)
        if epoch == self._awaited[trial][1]:
            self._register(trial, max(self._curves[trial]))
        return "continue"

    def _register(self, trial: int, value: float | None) -> None:
        ident, (budget, _) = self._ids[trial], self._awaited.pop(trial)
        iteration = self._iterations[ident[0]]
        job = Job(ident, config=iteration.data[ident].config, budget=budget)
        job.result = None if value is None else {"loss": -value}
        iteration.register_result(job)
        self._densities.new_result(job)

    def close(self, trial: int) -> None:
        """Does nothing: the value at the end was told."""

    def fail(self, trial: int) -> None:
        if trial in self._awaited:
            self._register(trial, None)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    from .terms import Refused

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
