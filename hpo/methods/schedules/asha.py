"""ASHA with promotion: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", Algorithm 2. Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.roster import Composed
from hpo.methods.schedules.rungs import Ladder, check
from hpo.study.values import Decision, Segment


class Asha(Composed):
    """A free worker promotes the best trial in the top 1/eta of a rung, the highest rung first, or starts a new trial.

    Trials pause at every rung and may be promoted much later. When the searcher has nothing new (a grid's end, a small
    space), the best paused trials train on although they are not in the top 1/eta.

    Options: max_epochs (R), min_epochs (r), eta, s (the first rung is r*eta^s), and full_models (N_m of Wojciuk et al.
    2024): once that many trials have reached R, ASHA has its answer. The rest of the budget then plays another round with
    empty rungs and new configurations, while the searcher keeps what it has learned.
    """

    def __init__(
        self,
        setting: Setting,
        searcher: Searcher,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        eta: int = 4,
        s: int = 0,
        full_models: int | None = None,
    ) -> None:
        super().__init__(searcher, options.epochs(setting, max_epochs))
        self._levels = check(min_epochs, self.max_epochs, eta, s)
        self._eta = eta
        self._full_models = full_models if full_models is None else options.whole("full_models", full_models, 1)
        self._current = self._ladder()
        self._past: list[Ladder] = []  # of earlier rounds
        self._climbing: dict[int, Ladder] = {}

    def _ladder(self) -> Ladder:
        return Ladder(self._levels, self._eta, self._full_models)

    def next_segment(self) -> Segment | None:
        move = self._current.promotion()
        if move is not None:
            return self._climb(self._current, *move)
        trial = self.roster.create()
        if trial is not None:
            return self._climb(self._current, trial, self._current.enter(trial))
        return None if self.roster.busy else self._train_on()

    def _train_on(self) -> Segment | None:
        """Trains the best paused trial, because nothing new is left."""
        move = self._current.best_waiting()
        if move is not None:
            return self._climb(self._current, *move)
        while self._past:
            move = self._past[-1].best_waiting()
            if move is not None:
                return self._climb(self._past[-1], *move)
            self._past.pop()
        return None

    def _climb(self, ladder: Ladder, trial: int, stop: int) -> Segment:
        self._climbing[trial] = ladder
        return self.roster.segment(trial, stop)

    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        if not through:
            return Decision.CONTINUE
        ladder = self._climbing.pop(trial)
        if not ladder.arrive(trial, value):
            self.roster.pause(trial)
            return Decision.PAUSE
        self.roster.close(trial)
        if self._current.complete:
            self._past.append(self._current)
            self._current = self._ladder()
        return Decision.STOP

    def drop(self, trial: int, epoch: int) -> None:
        self._climbing.pop(trial).fail(trial)
