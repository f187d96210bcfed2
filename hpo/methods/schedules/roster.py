"""What schedules share: the roster of a run's trials and their searcher, and the frame of a composed schedule. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import final

from hpo.methods.protocol import Remote, Searcher
from hpo.study.space import Config
from hpo.study.values import Decision, Segment


class Roster:
    """The trials of a run, numbered in order of creation, and the searcher that learns from their epochs.

    A trial is open until it is closed or fails. The searcher takes that as final: it hears nothing of later epochs, as
    of a stopped trial that is resumed because no new configuration is left.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._configs: dict[int, Config] = {}
        self._open: set[int] = set()
        self._epochs: dict[int, int] = {}
        self._stops: dict[int, int] = {}  # trial -> the last epoch of its segment under way
        self._created = 0

    @property
    def created(self) -> int:
        """The number of trials."""
        return self._created

    @property
    def busy(self) -> bool:
        """Whether any segment is under way."""
        return bool(self._stops)

    def replace(self, searcher: Searcher) -> None:
        """Takes another searcher from now on; it hears nothing of trials that the old one suggested."""
        self.searcher = searcher
        self._open.clear()

    def create(self, rung: int = 0) -> int | None:
        """Adds a trial of the searcher's next configuration, which starts at a rung, 0 for the shortest training.

        Returns its number, None if there is none (now).
        """
        aim = getattr(self.searcher, "aim", None)
        if aim is not None:
            aim(rung)
        config = self.searcher.suggest()
        return None if config is None else self.add(config)

    def add(self, config: Config, told: bool = True) -> int:
        """Adds a trial of a given configuration; returns its number. `told`: whether the searcher hears of its epochs."""
        trial = self._created
        self._created += 1
        self._configs[trial] = config
        if told:
            self._open.add(trial)
        self._epochs[trial] = 0
        return trial

    def config(self, trial: int) -> Config:
        """Returns the configuration of a trial that can still be trained."""
        return self._configs[trial]

    def epochs(self, trial: int) -> int:
        """Returns how many epochs a trial that can still be trained has trained."""
        return self._epochs[trial]

    def segment(self, trial: int, stop: int) -> Segment:
        """Begins and returns the trial's next segment, up to `stop`."""
        self._stops[trial] = stop
        return Segment(trial, self._configs[trial], self._epochs[trial], stop)

    def observe(self, trial: int, epoch: int, value: float) -> bool:
        """Takes in an epoch and tells the searcher; returns whether the trial's segment is complete."""
        self._epochs[trial] = epoch
        if trial in self._open:
            self.searcher.observe(self._configs[trial], epoch, value)
        if epoch < self._stops[trial]:
            return False
        del self._stops[trial]
        return True

    def pause(self, trial: int) -> None:
        """Tells a searcher that wants to know of it that a trial waits, perhaps for good."""
        pause = getattr(self.searcher, "pause", None)
        if pause is not None and trial in self._open:
            pause(self._configs[trial])

    def close(self, trial: int, resumable: bool = False) -> None:
        """Closes a trial that is stopped or fully trained. `resumable`: it may train on, unknown to the searcher."""
        self._stops.pop(trial, None)
        if trial in self._open:
            self._open.remove(trial)
            self.searcher.close(self._configs[trial])
        if not resumable:
            del self._configs[trial], self._epochs[trial]

    def fail(self, trial: int) -> None:
        """Drops a trial that failed."""
        self._stops.pop(trial, None)
        config = self._configs.pop(trial)
        del self._epochs[trial]
        if trial in self._open:
            self._open.remove(trial)
            self.searcher.fail(config)


class Composed(ABC):
    """A schedule composed with a searcher: decides how far to train the searcher's suggestions."""

    def __init__(self, searcher: Searcher, max_epochs: int) -> None:
        self.roster = Roster(searcher)
        self._max_epochs = max_epochs

    @abstractmethod
    def next_segment(self) -> Segment | None:
        """Returns what a free virtual worker should train now."""

    @abstractmethod
    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        """Decides about the trial after an epoch; `through`: whether its segment ends here."""

    @abstractmethod
    def drop(self, trial: int, epoch: int) -> None:
        """Handles a trial that failed after `epoch` epochs; the roster has dropped it."""

    @final
    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        decision = self.decide(trial, epoch, value, self.roster.observe(trial, epoch, value))
        return Decision.STOP if self.broken else decision

    @final
    def on_failure(self, trial: int, epoch: int) -> None:
        self.roster.fail(trial)
        self.drop(trial, epoch)

    @final
    def end(self) -> None:
        if isinstance(self.roster.searcher, Remote):
            self.roster.searcher.end()

    @final
    def repeat(self, configs: Mapping[int, Config]) -> None:
        if isinstance(self.roster.searcher, Remote):
            self.roster.searcher.repeat(configs)

    @property
    def broken(self) -> str:
        return str(getattr(self.roster.searcher, "broken", ""))

    @property
    def deterministic(self) -> bool:
        return bool(getattr(self.roster.searcher, "deterministic", True))

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
    """Whether nothing that the searcher observes changes its suggestions."""
    return bool(getattr(searcher, "oblivious", False))
