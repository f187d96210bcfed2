"""i-Epoch with top-k: Egele et al. 2023 (arXiv 2307.15422) and Egele et al. 2024 (arXiv 2404.04111). Pure."""

from __future__ import annotations

from heapq import heappop, heappush

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.roster import Composed
from hpo.study.values import Decision, Segment

MOST = 3  # the default of top_k in large budgets


class IEpoch(Composed):
    """Trains every candidate for i epochs, then the best k of them to R: the baseline of multi-fidelity methods.

    The budget B gives the number of candidates, N = floor((B - k(R - i)) / i), so that k of them can be trained to R:
    328 for B = 400, k = 3, i = 1, R = 25. The epochs of a candidate that fails before i train further candidates. Epochs
    that are left over at the end, because i does not divide them, or a finalist failed or ended early, train the next
    best candidates, and once all are trained, another round. Of equal values the earlier trial is the better one.

    Options: max_epochs (R), epochs (i), top_k (k; by default 3, or as many as half of the budget can train to R if that
    is fewer, but at least 1).
    """

    def __init__(
        self,
        setting: Setting,
        searcher: Searcher,
        *,
        max_epochs: int | None = None,
        epochs: int = 1,
        top_k: int | None = None,
    ) -> None:
        super().__init__(searcher, options.epochs(setting, max_epochs))
        self._epochs = options.whole("epochs", epochs, 1, self.max_epochs, " (max_epochs)")
        self._budget = setting.budget // setting.charge
        self._finals = _top_k(top_k, self._budget, self.max_epochs) * (self.max_epochs - self._epochs)
        self._spent = 0
        self._choosing = False
        self._candidates: set[int] = set()  # under way to i
        self._ranked: list[tuple[float, int]] = []  # heap of (-value, trial): trained to i, and no further

    def next_segment(self) -> Segment | None:
        if self._choosing and self._spent + self._epochs + self._finals <= self._budget:
            trial = self.roster.create()
            if trial is not None:
                return self._try(trial)
        if self._candidates:
            return None
        self._choosing = False
        if self._ranked:
            return self._train(heappop(self._ranked)[1], self.max_epochs)
        return None if self.roster.busy else self._begin()

    def _begin(self) -> Segment | None:
        """Begins a round; None if there is no new configuration."""
        trial = self.roster.create()
        if trial is None:
            return None
        self._choosing = True
        return self._try(trial)

    def _try(self, trial: int) -> Segment:
        self._candidates.add(trial)
        return self._train(trial, self._epochs)

    def _train(self, trial: int, stop: int) -> Segment:
        segment = self.roster.segment(trial, stop)
        self._spent += segment.stop - segment.start
        return segment

    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        if not through:
            return Decision.CONTINUE
        self._candidates.discard(trial)
        if epoch == self.max_epochs:
            self.roster.close(trial)
            return Decision.STOP
        self.roster.close(trial, resumable=True)
        heappush(self._ranked, (-value, trial))
        return Decision.PAUSE

    def drop(self, trial: int, epoch: int) -> None:
        stop = self._epochs if trial in self._candidates else self.max_epochs
        self._candidates.discard(trial)
        self._spent -= stop - epoch


def _top_k(given: int | None, budget: int, max_epochs: int) -> int:
    """Returns k; raises InvalidOption if the budget cannot train so many candidates to R."""
    if given is None:
        return max(1, min(MOST, budget // (2 * max_epochs)))
    most = max(1, budget // max_epochs)
    return options.whole("top_k", given, 1, most, f" (a budget of {budget} epochs, {max_epochs} for each)")
