"""The interfaces between the game and the methods: Searcher, Schedule, and the setting that a method is built for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias, runtime_checkable

from hpo.errors import HpoError
from hpo.study.space import Config, SearchSpace, Value
from hpo.study.values import Decision, Method, Observation, Segment

__all__ = ["Factory", "InvalidOption", "Method", "Remote", "Schedule", "Searcher", "Setting"]


@dataclass(frozen=True)
class Setting:
    """All that a method may know of the study before it plays. It knows nothing of clocks, clusters and other methods.

    Methods see oriented values: larger is better, whatever the study's mode. In `start` and `prior` the values of stepped
    ranges are exact levels, however they were computed. Earlier results of other tasks that are given in `prior` move to
    `related`.
    """

    space: SearchSpace
    budget: int  # epochs of the run
    max_epochs: int  # R: the most epochs that a trial is trained for
    seed: int = 0
    parallelism: int = 1  # virtual workers
    start: tuple[Config, ...] = ()  # configurations to try before any other
    prior: tuple[Observation, ...] = ()  # earlier results of the study's own task
    related: tuple[Observation, ...] = ()  # earlier results of other tasks, with configurations of their own spaces
    fixed: Mapping[str, Value] = field(default_factory=dict)  # hyperparameters that are not searched
    charge: int = 1  # epochs of the budget that a trained epoch costs: k with k folds
    epoch_cost: Callable[[Config], float] | None = None  # what an epoch costs, a pure function; None where nobody knows
    budget_in_cost: bool = False  # whether an epoch is charged what it costs; `budget` is then what is paid on average

    def __post_init__(self) -> None:
        others = tuple(o for o in self.prior if o.task is not None)
        if others:
            object.__setattr__(self, "prior", tuple(o for o in self.prior if o.task is None))
            object.__setattr__(self, "related", self.related + others)
        if self.space.stepped:
            snapped = tuple(replace(o, config=self.space.snap(o.config)) for o in self.prior)
            object.__setattr__(self, "prior", snapped)
            object.__setattr__(self, "start", tuple(self.space.snap(config) for config in self.start))


@runtime_checkable
class Searcher(Protocol):
    """Decides which configuration is tried next.

    Deterministic: a suggestion is a function of (setting, options, earlier calls). A searcher owns its random
    generator, seeded by the setting. It suggests no configuration twice unless the space is exhausted. One whose
    suggestions depend on how long they are trained first has a method `aim(rung)`, which schedules with rungs call before
    they ask; rung 0 is the shortest training. One that learns little from trials that run has a method `pause(config)`:
    schedules whose paused trials may never go on call it when a trial pauses.
    """

    def suggest(self) -> Config | None:
        """Returns the next configuration; None if there is none, for good (a grid's end) or until more is observed."""

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """Learns the value of an epoch (1-based) of a suggested configuration; it is finite, larger is better."""

    def fail(self, config: Config) -> None:
        """Learns that a suggested configuration failed and that no more epochs of it will come."""

    def close(self, config: Config) -> None:
        """Learns that a suggested configuration was stopped or trained to the end: what was observed is final."""


@runtime_checkable
class Schedule(Protocol):
    """Decides how far each trial is trained: a whole method as the game plays it, with its searcher inside.

    The game calls `next_segment` whenever a virtual worker is free and budget is left, then `on_epoch` for each
    epoch in the order of the run's clock. An example with R = 3 and a searcher that suggests A, then B:

        next_segment() -> Segment(0, A, 0, 3)       on_epoch(0, 1, .5), (0, 2, .6) -> CONTINUE
        next_segment() -> Segment(1, B, 0, 3)       on_failure(1, 0): B could not train its first epoch
                                                    on_epoch(0, 3, .7) -> STOP
    """

    def next_segment(self) -> Segment | None:
        """Returns what a free worker should train now: a promotion or resumption first, then a new configuration.

        None: nothing now. The game asks again after the next event; if nothing is running, the run is over.
        """

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        """Takes the value of an epoch in a segment of this schedule, finite, larger is better; decides about the trial."""

    def on_failure(self, trial: int, epoch: int) -> None:
        """Learns that the trial trained `epoch` epochs and cannot go on; the rest of its segment is refunded."""

    @property
    def max_epochs(self) -> int:
        """R of this schedule: no segment reaches beyond it."""

    @property
    def oblivious(self) -> bool:
        """Whether no result changes what `next_segment` returns, so that segments can be planned ahead."""

    @property
    def expensive(self) -> bool:
        """Whether `next_segment` may take more than a few milliseconds, so that it must run off the driver's loop."""


@runtime_checkable
class Remote(Protocol):
    """A searcher, or a schedule with or without one, that may be decided outside of this process.

    So it may break, and must be told when its run is over. `broken`: why nothing more can be decided, in one sentence; empty
    while it can. The game takes no more segments from a broken schedule, which stops what is under way, and the run ends with
    that reason. `deterministic`: whether the same setting and results give the same decisions; of one that is not, the driver
    stores the suggestions.
    """

    broken: str
    deterministic: bool

    def end(self) -> None:
        """Learns that the run is over."""

    def repeat(self, configs: Mapping[int, Config]) -> None:
        """Learns, before the first decision, which configurations it suggested in an earlier sitting, by their trials'
        numbers; it must suggest them again.
        """


Factory: TypeAlias = Callable[..., Schedule]
"""A method: factory(setting, **options) -> Schedule. It raises InvalidOption for options that cannot hold."""


class InvalidOption(HpoError):
    """An option of a method that cannot hold; the message says what must hold and what was given."""
