"""The cuts between the arena and the methods: Searcher, Schedule, and the setting that a method is built for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from hpo.errors import HpoError
from hpo.study.space import Config, SearchSpace, Value
from hpo.study.values import Decision, Method, Observation, Segment

__all__ = ["Factory", "InvalidOption", "Method", "Schedule", "Searcher", "Setting"]


@dataclass(frozen=True)
class Setting:
    """All that a method may know of the study before it plays: nothing of clocks, clusters or other methods.

    Values that methods see are oriented: larger is better, whatever the study's mode.
    """

    space: SearchSpace
    budget: int  # epochs of the run
    max_epochs: int  # R: the most epochs a trial is trained
    seed: int = 0
    parallelism: int = 1  # virtual workers
    start: tuple[Config, ...] = ()  # configurations to try before any other
    prior: tuple[Observation, ...] = ()  # earlier results to learn from
    fixed: Mapping[str, Value] = field(default_factory=dict)  # hyperparameters that are not searched


@runtime_checkable
class Searcher(Protocol):
    """Which configuration next.

    Deterministic: what it suggests is a function of (setting, options, the calls before). It owns its random
    generator, made from the seed. It never suggests a configuration twice unless the space is exhausted.
    """

    def suggest(self) -> Config | None:
        """The next configuration; None when there is none: for good (a grid's end), or until more is observed."""

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """An epoch (1-based) of a suggested configuration; `value` is finite, larger is better."""

    def fail(self, config: Config) -> None:
        """A suggested configuration failed and no more epochs of it will come."""

    def close(self, config: Config) -> None:
        """A suggested configuration was stopped or trained to the end: what was observed is final."""


@runtime_checkable
class Schedule(Protocol):
    """How far to train: the whole of a method as the arena plays it, its searcher inside.

    The arena calls `next_segment` whenever a virtual worker is free and budget is left, then `on_epoch` for each
    epoch in the order of the run's clock. A worked example, R = 3, searcher gives A, B:

        next_segment() -> Segment(0, A, 0, 3)       on_epoch(0, 1, .5), (0, 2, .6) -> CONTINUE
        next_segment() -> Segment(1, B, 0, 3)       on_failure(1, 0): B could not train its first epoch
                                                    on_epoch(0, 3, .7) -> STOP
    """

    def next_segment(self) -> Segment | None:
        """What a free worker should train now: promotions and resumptions first, else a new configuration.

        None: nothing now. The arena asks again after the next event; with nothing running, the run is over.
        """

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        """An epoch of a trial in a segment of this schedule; `value` is finite, larger is better."""

    def on_failure(self, trial: int, epoch: int) -> None:
        """The trial trained `epoch` epochs and cannot go on; the rest of its segment is refunded."""

    @property
    def max_epochs(self) -> int:
        """R of this schedule: no segment goes beyond it."""

    @property
    def oblivious(self) -> bool:
        """Whether no result changes what `next_segment` returns, so that work can be demanded ahead."""

    @property
    def expensive(self) -> bool:
        """Whether `next_segment` may take more than some milliseconds, so that it is computed off the driver's loop."""


Factory: TypeAlias = Callable[..., Schedule]
"""A method: factory(setting, **options) -> Schedule. Raises InvalidOption for options that cannot hold."""


class InvalidOption(HpoError):
    """A method's option that cannot hold; the message says what must hold and what was got."""
