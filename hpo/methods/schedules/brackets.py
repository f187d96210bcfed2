"""Synchronous successive halving, bracket by bracket: Jamieson and Talwalkar 2016, as Li et al. 2018 run it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from hpo.methods import options
from hpo.methods.protocol import Searcher
from hpo.methods.schedules.roster import Composed
from hpo.study.values import Decision, Segment

Shape: TypeAlias = tuple[tuple[int, int], ...]
"""A bracket's rungs as (n_i trials, r_i epochs)."""


def deepest(min_epochs: int, max_epochs: int, eta: int) -> int:
    """Returns s_max = floor(log_eta(R / r)); raises InvalidOption if r, R or eta cannot hold."""
    options.whole("min_epochs", min_epochs, 1, max_epochs, " (max_epochs)")
    options.whole("eta", eta, 2)
    return next(s for s in count() if min_epochs * eta ** (s + 1) > max_epochs)


def shape(trials: int, s: int, max_epochs: int, eta: int) -> Shape:
    """Returns n_i = floor(n / eta^i) trials at r_i = floor(R * eta^(i-s)) epochs for i = 0 .. s.

    >>> shape(34, 3, 81, 3)
    ((34, 3), (11, 9), (3, 27), (1, 81))
    """
    return tuple((trials // eta**i, max_epochs // eta ** (s - i)) for i in range(s + 1))


class Bracket:
    """One bracket under way, rung by rung: each rung is complete before its best trials go on.

    Of equal values the earlier trial is the better one. Trials that fail leave their rung; the next rung takes as many
    as are left, up to its size.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._rung = 0
        self._admitting = shape[0][0]
        self._promoted: deque[int] = deque()
        self._under_way: set[int] = set()
        self._results: list[tuple[float, int]] = []  # (-value, trial)

    @property
    def rungs(self) -> int:
        """How many rungs the bracket has."""
        return len(self._shape)

    @property
    def admits(self) -> bool:
        """Whether the first rung has room for a new trial."""
        return self._admitting > 0

    @property
    def done(self) -> bool:
        """Whether no trial of the bracket has anything left to train."""
        return self._rung == len(self._shape)

    def enter(self, trial: int) -> int:
        """Starts a new trial; returns the epoch that it trains to."""
        self._admitting -= 1
        return self._start(trial)

    def promotion(self) -> tuple[int, int] | None:
        """Starts the next trial that the last rung promoted; returns it and the epoch that it trains to."""
        if not self._promoted:
            return None
        trial = self._promoted.popleft()
        return trial, self._start(trial)

    def arrive(self, trial: int, value: float) -> list[tuple[float, int]]:
        """Records that the trial reached the rung; if this completes it, returns the trials that are out as (-value, trial)."""
        self._under_way.remove(trial)
        self._results.append((-value, trial))
        return self._complete()

    def fail(self, trial: int) -> list[tuple[float, int]]:
        """Records that the trial failed on its way; if this completes the rung, returns the trials that are out."""
        self._under_way.remove(trial)
        return self._complete()

    def admit_no_more(self) -> list[tuple[float, int]]:
        """Closes the first rung, because there are no more configurations; if this completes it, returns who is out."""
        self._admitting = 0
        return self._complete()

    def _start(self, trial: int) -> int:
        self._under_way.add(trial)
        return self._shape[self._rung][1]

    def _complete(self) -> list[tuple[float, int]]:
        if self._admitting or self._promoted or self._under_way:
            return []
        self._rung += 1
        ranked, self._results = sorted(self._results), []
        size = 0 if self.done else self._shape[self._rung][0]
        self._promoted.extend(trial for _, trial in ranked[:size])
        if not self._promoted:
            self._rung = len(self._shape)
        return ranked[size:]


class Brackets(Composed):
    """Plays brackets of the given shapes one after another, again and again until the budget is spent.

    A worker that would have to wait for a rung works on the next bracket instead (as in HpBandSter). When the searcher
    has nothing new (a grid's end), brackets go on with the trials that they have, and then the eliminated trials train
    to R, the longest trained and the best first.
    """

    def __init__(self, searcher: Searcher, max_epochs: int, shapes: Sequence[Shape]) -> None:
        super().__init__(searcher, max_epochs)
        self._shapes = shapes
        self._rungs = max(map(len, shapes))
        self._begun = 0
        self._active: list[Bracket] = []
        self._bracket_of: dict[int, Bracket] = {}
        self._out: list[tuple[int, float, int]] = []  # heap of (-epochs, -value, trial)

    def next_segment(self) -> Segment | None:
        while True:
            self._active = [bracket for bracket in self._active if not bracket.done]
            for bracket in self._active:
                move = bracket.promotion()
                if move is not None:
                    return self._train(bracket, *move)
                if bracket.admits:
                    break
            else:
                bracket = self._begin()
            trial = self.roster.create(self._rungs - bracket.rungs)
            if trial is not None:
                return self._train(bracket, trial, bracket.enter(trial))
            if self.roster.busy:
                return None
            self._eliminate(bracket.admit_no_more())
            if bracket.done:
                return self._train_on()

    def _begin(self) -> Bracket:
        bracket = Bracket(self._shapes[self._begun % len(self._shapes)])
        self._begun += 1
        self._active.append(bracket)
        return bracket

    def _train(self, bracket: Bracket, trial: int, stop: int) -> Segment:
        self._bracket_of[trial] = bracket
        return self.roster.segment(trial, stop)

    def _train_on(self) -> Segment | None:
        if not self._out:
            return None
        return self.roster.segment(heappop(self._out)[2], self.max_epochs)

    def _eliminate(self, out: list[tuple[float, int]]) -> None:
        for value, trial in out:
            epochs = self.roster.epochs(trial)
            resumable = epochs < self.max_epochs
            self.roster.close(trial, resumable)
            if resumable:
                heappush(self._out, (-epochs, value, trial))

    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        if not through:
            return Decision.CONTINUE
        bracket = self._bracket_of.pop(trial, None)
        if bracket is None:
            self.roster.close(trial)
        else:
            self._eliminate(bracket.arrive(trial, value))
        return Decision.STOP if epoch == self.max_epochs else Decision.PAUSE

    def drop(self, trial: int, epoch: int) -> None:
        bracket = self._bracket_of.pop(trial, None)
        if bracket is not None:
            self._eliminate(bracket.fail(trial))
