"""A pool: the finite list of candidates that a search space may be restricted to, such as a list of recipes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.study.combinations import Config
from hpo.study.values import digest

if TYPE_CHECKING:
    from hpo.study.space import SearchSpace

Matrix = NDArray[np.float64]


class Pool(Sequence[Config]):
    """The candidates of a space, each once, in the order given; an index is a candidate's number.

    `cubes` [n, len(space)] and `features` [n, space.width] are their encodings.
    """

    def __init__(self, space: SearchSpace, configs: Sequence[Config]) -> None:
        self._space = space
        self.configs: tuple[Config, ...] = tuple({digest(dict(config)): config for config in configs}.values())

    def __len__(self) -> int:
        return len(self.configs)

    def __getitem__(self, number: int) -> Config:  # type: ignore[override]  # no slices
        return self.configs[number]

    def __iter__(self) -> Iterator[Config]:
        return iter(self.configs)

    def __contains__(self, config: object) -> bool:
        return isinstance(config, dict) and digest(config) in self.numbers

    @property
    def total(self) -> int:
        """How many candidates there are, as of a grid's combinations."""
        return len(self.configs)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Each candidate's number by the digest of its configuration."""
        return {digest(dict(config)): number for number, config in enumerate(self.configs)}

    @cached_property
    def cubes(self) -> Matrix:
        return np.array([self._space.encode(config) for config in self.configs])

    @cached_property
    def features(self) -> Matrix:
        return np.array([self._space.features(config) for config in self.configs])

    def nearest(self, config: Config) -> int:
        """Returns the number of the candidate nearest to a configuration, by the distance of their features."""
        return int(((self.features - self._space.features(config)) ** 2).sum(axis=1).argmin())
