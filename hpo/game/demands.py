"""What the runs of an arena want, one demand a trial, in the order of urgency: kept up to date change by change. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from hpo.game.curves import Curves
from hpo.study.values import RunKey, TrialKey


@dataclass(frozen=True, slots=True)
class Demand:
    """A run wants the epochs of a trial up to `stop`, the first of them by virtual time `at`."""

    at: float
    run: RunKey
    key: TrialKey
    stop: int

    def merged(self, other: Demand) -> Demand:
        """Returns the demand for what this one or another one of the same trial wants: earlier, and up to the later epoch."""
        return Demand(min(self.at, other.at), self.run, self.key, max(self.stop, other.stop))


@dataclass(frozen=True, slots=True)
class Changes:
    """What a run wants otherwise than before: trial -> its demand, or None for a trial that it wants no longer.

    `whole`: it wants nothing but these.
    """

    demands: Mapping[str, Demand | None]
    whole: bool = False


class Demands:
    """The demands of all runs, merged by trial. A trial that is taken comes back when it is given back.

    State:
      _wanted   of each run: trial -> demand
      _open     (at, trial) of every trial that is not taken and of which the curves lack what is wanted, sorted
      _at       trial -> its `at` in _open
    """

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self._wanted: dict[int, dict[str, Demand]] = {}
        self._merged: dict[str, Demand] = {}
        self._taken: set[str] = set()
        self._open: list[tuple[float, str]] = []
        self._at: dict[str, float] = {}

    def change(self, run: int, changes: Changes) -> None:
        """Applies what the run `run` (any number that stands for it) wants otherwise than before."""
        wanted = self._wanted.setdefault(run, {})
        gone = [trial for trial in wanted if trial not in changes.demands] if changes.whole else []
        for trial in gone:
            del wanted[trial]
            self._place(trial)
        for trial, demand in changes.demands.items():
            if demand is None:
                wanted.pop(trial, None)
            else:
                wanted[trial] = demand
            self._place(trial)

    def take(self, trial: str) -> None:
        """Takes a trial out: somebody trains it."""
        self._taken.add(trial)
        self._close(trial)

    def give_back(self, trial: str) -> None:
        """Puts a trial back, if anything of it is still wanted."""
        self._taken.discard(trial)
        self._place(trial)

    def learned(self, trial: str) -> None:
        """Takes a trial out whose demand the curves meet by now."""
        if trial in self._at:
            self._place(trial)

    def __len__(self) -> int:
        """The number of demands of trials that nobody has taken."""
        return len(self._open)

    def __iter__(self) -> Iterator[Demand]:
        """Yields the demands of trials that nobody has taken, the most urgent first."""
        return self.after(0)

    def after(self, count: int) -> Iterator[Demand]:
        """Yields all but the `count` most urgent demands, in their order."""
        return (self._merged[trial] for _, trial in islice(self._open, count, None))

    def wants(self, run: int, trial: str) -> bool:
        """Whether the run `run` wants the trial."""
        return trial in self._wanted.get(run, ())

    def stop(self, trial: str) -> int:
        """The last epoch of the trial that any run wants; 0 where none does."""
        found = self._merged.get(trial)
        return 0 if found is None else found.stop

    def _place(self, trial: str) -> None:
        """Merges what the runs want of the trial, and puts it into its place."""
        self._close(trial)
        found = None
        for wanted in self._wanted.values():
            if (demand := wanted.get(trial)) is not None:
                found = demand if found is None else found.merged(demand)
        if found is None:
            self._merged.pop(trial, None)
            return
        self._merged[trial] = found
        if trial not in self._taken and not self._met(found):
            insort(self._open, (found.at, trial))
            self._at[trial] = found.at

    def _close(self, trial: str) -> None:
        at = self._at.pop(trial, None)
        if at is not None:
            del self._open[bisect_left(self._open, (at, trial))]

    def _met(self, demand: Demand) -> bool:
        """Whether the curves have what is wanted, or will never have it."""
        trial = demand.key.id
        return self._curves.known(trial) >= demand.stop or self._curves.closed(trial)


def merged(demands: Iterable[Demand]) -> dict[str, Demand | None]:
    """Returns the demands by trial, those of one trial merged."""
    found: dict[str, Demand | None] = {}
    for demand in demands:
        other = found.get(demand.key.id)
        found[demand.key.id] = demand if other is None else other.merged(demand)
    return found
