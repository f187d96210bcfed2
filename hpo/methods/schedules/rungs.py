"""Rungs, where trials are compared with others that trained as long, and the ladder that they climb. Pure.

Every event costs O(log n): heaps are never searched, and entries never move.
"""

from __future__ import annotations

from heapq import heappop, heappush, heappushpop

from hpo.methods import options
from hpo.methods.protocol import InvalidOption


def levels(min_epochs: int, max_epochs: int, eta: int, s: int = 0) -> list[int]:
    """Returns r*eta^s, r*eta^(s+1), ... below R, and R itself, in epochs (symbols of Li et al. 2020, Algorithm 1).

    >>> levels(1, 16, 4), levels(1, 50, 3), levels(1, 16, 4, s=1)
    ([1, 4, 16], [1, 3, 9, 27, 50], [4, 16])
    """
    level, found = min_epochs * eta**s, []
    while level < max_epochs:
        found.append(level)
        level *= eta
    return [*found, max_epochs]


def check(min_epochs: int, max_epochs: int, eta: int, s: int = 0) -> list[int]:
    """Returns the levels; raises InvalidOption if r, R, eta or s cannot hold."""
    options.whole("min_epochs", min_epochs, 1, max_epochs, " (max_epochs)")
    options.whole("eta", eta, 2)
    options.whole("s", s, 0)
    if min_epochs * eta**s > max_epochs:
        raise InvalidOption(
            f"min_epochs * eta^s <= max_epochs must hold, but got "
            f"(min_epochs={min_epochs}, eta={eta}, s={s}, max_epochs={max_epochs})"
        )
    return levels(min_epochs, max_epochs, eta, s)


class Rung:
    """The trials that trained up to one level; the best 1/eta of them may be promoted.

    A trial that failed on its way here counts as one that is not promoted. Of equal values the earlier trial is the
    better one.

    >>> rung = Rung(eta=2)
    >>> rung.record(0, 0.5); rung.promotable()         # floor(1/2) = 0 may go on
    >>> rung.record(1, 0.7); rung.promotable()         # the best of two
    1
    """

    def __init__(self, eta: int) -> None:
        self._eta = eta
        self._reached = 0
        self._top: list[tuple[float, int]] = []  # min-heap: the best floor(n/eta)
        self._rest: list[tuple[float, int]] = []  # max-heap (negated): all others
        self._waiting: list[tuple[float, int]] = []  # max-heap (negated): not promoted yet

    def __len__(self) -> int:
        return self._reached

    def record(self, trial: int, value: float) -> None:
        """Adds a trial that reached the level."""
        self._reached += 1
        heappush(self._waiting, (-value, trial))
        worst = heappushpop(self._top, (value, -trial)) if self._top else (value, -trial)
        heappush(self._rest, (-worst[0], -worst[1]))
        self._grow()

    def record_failure(self) -> None:
        """Counts a trial that failed on its way to the level."""
        self._reached += 1
        self._grow()

    def _grow(self) -> None:
        while len(self._top) < self._reached // self._eta and self._rest:
            value, trial = heappop(self._rest)
            heappush(self._top, (-value, -trial))

    def promotable(self) -> int | None:
        """Returns the best waiting trial if it is among the best floor(n/eta); None otherwise."""
        if not self._waiting or not self._top:
            return None
        value, trial = self._waiting[0]
        return trial if (-value, -trial) >= self._top[0] else None

    @property
    def waiting(self) -> int:
        """The number of trials that wait here."""
        return len(self._waiting)

    def take(self) -> int:
        """Removes and returns the best waiting trial, which leaves for the next rung."""
        return heappop(self._waiting)[1]


class Ladder:
    """The rungs of one bracket of asynchronous successive halving, and the trials that climb them.

    `full_models`: how many trials may reach the top (N_m of Wojciuk et al. 2024); None for no limit.
    """

    def __init__(self, levels: list[int], eta: int, full_models: int | None = None) -> None:
        self.levels = levels
        self._rungs = [Rung(eta) for _ in levels[:-1]]
        self._heading: dict[int, int] = {}  # trial under way -> the index of the level that it trains to
        self._limit = full_models
        self._full = 0

    @property
    def complete(self) -> bool:
        """Whether as many trials as are wanted have reached the top."""
        return self._limit is not None and self._full >= self._limit

    def enter(self, trial: int) -> int:
        """Starts a new trial; returns the epoch that it trains to."""
        return self._head(trial, 0)

    def promotion(self) -> tuple[int, int] | None:
        """Promotes the best promotable trial of the highest rung that has one (get_job of Algorithm 2).

        Returns the trial and the epoch that it trains to.
        """
        for index in reversed(range(len(self._rungs))):
            if self._rungs[index].promotable() is not None and self._admits(index + 1):
                trial = self._rungs[index].take()
                return trial, self._head(trial, index + 1)
        return None

    def best_waiting(self) -> tuple[int, int] | None:
        """Promotes the best trial of the highest rung where any waits, whether promotable or not."""
        for index in reversed(range(len(self._rungs))):
            if self._rungs[index].waiting:
                trial = self._rungs[index].take()
                return trial, self._head(trial, index + 1)
        return None

    def arrive(self, trial: int, value: float) -> bool:
        """Records that the trial reached its level; returns whether that is the top."""
        index = self._heading.pop(trial)
        if index == len(self._rungs):
            self._full += 1
            return True
        self._rungs[index].record(trial, value)
        return False

    def fail(self, trial: int) -> None:
        """Records that the trial failed on its way to its level."""
        index = self._heading.pop(trial)
        if index < len(self._rungs):
            self._rungs[index].record_failure()

    def _head(self, trial: int, index: int) -> int:
        self._heading[trial] = index
        return self.levels[index]

    def _admits(self, index: int) -> bool:
        if self._limit is None or index < len(self._rungs):
            return True
        return self._full + sum(i == index for i in self._heading.values()) < self._limit
