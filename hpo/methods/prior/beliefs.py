"""A user's beliefs about hyperparameters as a density over the space: draws from it, and how likely configurations are. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from hpo.study.beliefs import DEVIATIONS, WEIGHTS, Belief
from hpo.study.space import Choice, Config, SearchSpace, Vector

KEPT = 0.5  # of the hyperparameters keep their value in a draw near a configuration


class Beliefs:
    """Independent densities over the unit interval of each hyperparameter; without a belief it is uniform.

    A range's density is normal around the believed value and cut to the interval; of a choice each option has a weight.
    """

    def __init__(self, space: SearchSpace, beliefs: Mapping[str, Belief | None] | None = None) -> None:
        """`beliefs`: by default those that the user gave with the space."""
        self._space = space
        given = {name: domain.prior for name, domain in space.domains.items()} if beliefs is None else beliefs
        known = {name: belief for name, belief in given.items() if belief is not None}
        self._ranges: dict[str, tuple[float, float]] = {}  # mean and deviation
        self._choices: dict[str, Vector] = {}  # probabilities of the options
        for name, belief in known.items():
            domain = space.domains[name]
            if isinstance(domain, Choice):
                self._choices[name] = _probabilities(domain, belief)
            else:
                self._ranges[name] = domain.encode(belief.value), DEVIATIONS[belief.confidence]

    @classmethod
    def around(cls, space: SearchSpace, config: Config) -> Beliefs:
        """Returns the belief that good configurations are like this one."""
        return cls(space, {name: Belief(value) for name, value in config.items()})

    @property
    def empty(self) -> bool:
        """Whether nothing is believed of any hyperparameter."""
        return not self._ranges and not self._choices

    def draw(self, rng: np.random.Generator, near: Config | None = None) -> Config:
        """Draws a configuration; `near`: one from which each hyperparameter keeps its value with probability KEPT."""
        cube, kept = rng.random(len(self._space)), rng.random(len(self._space)) < KEPT
        for i, name in enumerate(self._space.names):
            if near is not None and kept[i] and name in near:
                cube[i] = self._space.domains[name].encode(near[name])
            elif name in self._ranges:
                mean, deviation = self._ranges[name]
                low, high = ndtr(-mean / deviation), ndtr((1 - mean) / deviation)
                cube[i] = mean + deviation * ndtri(low + cube[i] * (high - low))
            elif name in self._choices:
                ends = np.cumsum(self._choices[name])
                cube[i] = (np.searchsorted(ends, cube[i] * ends[-1], side="right") + 0.5) / len(ends)
        return self._space.decode(cube)

    def log_density(self, configs: Sequence[Config]) -> Vector:
        """Returns the logarithm of each configuration's density in the unit cube; shape [n]."""
        return np.array([sum(self._log(name, config) for name in config) for config in configs])

    def _log(self, name: str, config: Config) -> float:
        domain = self._space.domains[name]
        if name in self._ranges:
            (mean, deviation), unit = self._ranges[name], domain.encode(config[name])
            mass = float(ndtr((1 - mean) / deviation) - ndtr(-mean / deviation))
            return -0.5 * ((unit - mean) / deviation) ** 2 - math.log(mass * deviation * math.sqrt(2 * math.pi))
        if name in self._choices:
            assert isinstance(domain, Choice)
            share = float(self._choices[name][domain.index(config[name])]) * len(domain.options)
            return math.log(max(share, 1e-12))
        return 0.0


def _probabilities(domain: Choice, belief: Belief) -> Vector:
    weights = belief.weights
    if weights is None:
        believed = domain.index(belief.value)
        weights = tuple(WEIGHTS[belief.confidence] if i == believed else 1.0 for i in range(len(domain.options)))
    return np.array(weights) / sum(weights)
