"""Hyperband: Li et al. 2018, Algorithm 1, and its asynchronous form (Li et al. 2020, section 3.3). Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.brackets import Brackets, Shape, deepest, shape
from hpo.methods.schedules.roster import Composed
from hpo.methods.schedules.rungs import Ladder, levels
from hpo.study.values import Decision, Segment


def table(max_epochs: int, eta: int, min_epochs: int = 1) -> list[Shape]:
    """Returns Hyperband's brackets, s = s_max .. 0: n = ceil((s_max + 1) * eta^s / (s + 1)) trials in the first rung.

    >>> [bracket[0] for bracket in table(81, 3)]
    [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]
    """
    s_max = deepest(min_epochs, max_epochs, eta)
    return [shape(-(-(s_max + 1) * eta**s // (s + 1)), s, max_epochs, eta) for s in range(s_max, -1, -1)]


class Hyperband(Brackets):
    """Plays brackets of synchronous successive halving, from many short trials to few full ones, again and again.

    Options: max_epochs (R), min_epochs (the least that the shortest rung may be), eta.
    """

    def __init__(
        self,
        setting: Setting,
        searcher: Searcher,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        eta: int = 3,
    ) -> None:
        epochs = options.epochs(setting, max_epochs)
        super().__init__(searcher, epochs, table(epochs, eta, min_epochs))


class AsyncHyperband(Composed):
    """Plays brackets of ASHA with early-stopping rates s = 0 .. s_max side by side; none waits for a rung.

    Promotions come first. Since Hyperband gives every bracket the same budget, a new configuration starts in the bracket
    that was given the fewest epochs so far (of equal ones, the one with the smallest s). Options as in Hyperband.
    """

    def __init__(
        self,
        setting: Setting,
        searcher: Searcher,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        eta: int = 3,
    ) -> None:
        super().__init__(searcher, options.epochs(setting, max_epochs))
        rates = range(deepest(min_epochs, self.max_epochs, eta) + 1)
        self._ladders = [Ladder(levels(min_epochs, self.max_epochs, eta, s), eta) for s in rates]
        self._given = [0 for _ in rates]
        self._climbing: dict[int, int] = {}

    def next_segment(self) -> Segment | None:
        for s, ladder in enumerate(self._ladders):
            move = ladder.promotion()
            if move is not None:
                return self._climb(s, *move)
        s = min(range(len(self._given)), key=lambda s: (self._given[s], s))
        trial = self.roster.create(s)
        if trial is not None:
            return self._climb(s, trial, self._ladders[s].enter(trial))
        return None if self.roster.busy else self._train_on()

    def _train_on(self) -> Segment | None:
        """Trains the best paused trial of the first bracket that has one, because nothing new is left."""
        for s, ladder in enumerate(self._ladders):
            move = ladder.best_waiting()
            if move is not None:
                return self._climb(s, *move)
        return None

    def _climb(self, s: int, trial: int, stop: int) -> Segment:
        self._climbing[trial] = s
        self._given[s] += stop - self.roster.epochs(trial)
        return self.roster.segment(trial, stop)

    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        if not through:
            return Decision.CONTINUE
        if not self._ladders[self._climbing.pop(trial)].arrive(trial, value):
            self.roster.pause(trial)
            return Decision.PAUSE
        self.roster.close(trial)
        return Decision.STOP

    def drop(self, trial: int, epoch: int) -> None:
        self._ladders[self._climbing.pop(trial)].fail(trial)
