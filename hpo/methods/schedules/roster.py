"""What schedules share: the roster of a run's trials with its searcher, the frame of a composed schedule. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from hpo.methods.protocol import Searcher
from hpo.study.space import Config
from hpo.study.values import Decision, Segment


class Roster:
    """The trials of a run, numbered in order of creation, and the searcher that is told of their epochs.

    A trial is open until it is closed or fails; what comes after that (a stopped trial that is resumed because no
    new configuration is left) is not told to the searcher, to whom it is final.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._configs: dict[int, Config] = {}
        self._open: set[int] = set()
        self._epochs: dict[int, int] = {}
        self._stops: dict[int, int] = {}  # of the segments under way
        self._created = 0

    @property
    def created(self) -> int:
        """How many trials there are."""
        return self._created

    @property
    def busy(self) -> bool:
        """Whether any segment is under way."""
        return bool(self._stops)

    def replace(self, searcher: Searcher) -> None:
        """Another searcher from now on; it is not told of trials that the old one suggested."""
        self.searcher = searcher
        self._open.clear()

    def create(self) -> int | None:
        """A new trial of the searcher's next configuration; None where it has none (now)."""
        config = self.searcher.suggest()
        return None if config is None else self.add(config)

    def add(self, config: Config, told: bool = True) -> int:
        """A new trial of a given configuration; `told`: the searcher suggested it, and hears what becomes of it."""
        trial = self._created
        self._created += 1
        self._configs[trial] = config
        if told:
            self._open.add(trial)
        self._epochs[trial] = 0
        return trial

    def config(self, trial: int) -> Config:
        """The configuration of a trial that can still be trained."""
        return self._configs[trial]

    def epochs(self, trial: int) -> int:
        """How many epochs a trial that can still be trained has behind it."""
        return self._epochs[trial]

    def segment(self, trial: int, stop: int) -> Segment:
        """The trial's next epochs, up to `stop`; it is under way from now on."""
        self._stops[trial] = stop
        return Segment(trial, self._configs[trial], self._epochs[trial], stop)

    def observe(self, trial: int, epoch: int, value: float) -> bool:
        """Takes an epoch in and tells the searcher; returns whether the trial's segment is through."""
        self._epochs[trial] = epoch
        if trial in self._open:
            self.searcher.observe(self._configs[trial], epoch, value)
        if epoch < self._stops[trial]:
            return False
        del self._stops[trial]
        return True

    def close(self, trial: int, resumable: bool = False) -> None:
        """The trial is stopped or trained out. `resumable`: it may be trained on, which the searcher is not told."""
        self._stops.pop(trial, None)
        if trial in self._open:
            self._open.remove(trial)
            self.searcher.close(self._configs[trial])
        if not resumable:
            del self._configs[trial], self._epochs[trial]

    def fail(self, trial: int) -> None:
        """The trial cannot be trained on."""
        self._stops.pop(trial, None)
        config = self._configs.pop(trial)
        del self._epochs[trial]
        if trial in self._open:
            self._open.remove(trial)
            self.searcher.fail(config)


class Composed(ABC):
    """A schedule composed with a searcher: says how far to train what the searcher suggests."""

    def __init__(self, searcher: Searcher, max_epochs: int) -> None:
        self.roster = Roster(searcher)
        self._max_epochs = max_epochs

    @abstractmethod
    def next_segment(self) -> Segment | None:
        """What a free virtual worker should train now."""

    @abstractmethod
    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        """What becomes of the trial after an epoch; `through` says that its segment ends here."""

    @abstractmethod
    def drop(self, trial: int, epoch: int) -> None:
        """The trial failed after `epoch` epochs; the roster has let it go."""

    @final
    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        return self.decide(trial, epoch, value, self.roster.observe(trial, epoch, value))

    @final
    def on_failure(self, trial: int, epoch: int) -> None:
        self.roster.fail(trial)
        self.drop(trial, epoch)

    @property
    def max_epochs(self) -> int:
        return self._max_epochs

    @property
    def oblivious(self) -> bool:
        return False

    @property
    def expensive(self) -> bool:
        return bool(getattr(self.roster.searcher, "expensive", False))


def oblivious(searcher: Searcher) -> bool:
    """Whether the searcher says that nothing it observes changes what it suggests."""
    return bool(getattr(searcher, "oblivious", False))
