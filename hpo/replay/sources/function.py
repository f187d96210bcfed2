"""Curves that are computed instead of looked up: a benchmark's surrogate, which answers any configuration. Pure."""

from __future__ import annotations

from typing import Protocol

from hpo.study.space import Config


class RecordedFunction(Protocol):
    """Answers every configuration of a space, where a RecordedTable answers those that were trained.

    `epochs`: the longest curve. `best`: the best value that is known of the function, NaN for none. `digest`: of what it
    computes from. `notes`: what a user must know, a sentence each. It can be pickled, for processes that play side by side.
    """

    @property
    def source(self) -> str: ...
    @property
    def epochs(self) -> int: ...
    @property
    def best(self) -> float: ...
    @property
    def digest(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def curve(self, config: Config) -> tuple[list[float], float]:
        """Returns the values of epochs 1..`epochs`, and the seconds of an epoch. Raises HpoError for a configuration
        outside of the function's space."""
        ...
