"""Synchronous successive halving: Jamieson and Talwalkar 2016. Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.brackets import Brackets, deepest, shape


class SuccessiveHalving(Brackets):
    """Trains n configurations for R/eta^s epochs; when a rung is complete, its best 1/eta train eta times as long.

    Rounds follow one another until the budget is spent. Options: max_epochs (R), min_epochs (r: the least that the first
    rung may be), eta, and configurations (n; by default eta^s, so that one trial reaches R).
    """

    def __init__(
        self,
        setting: Setting,
        searcher: Searcher,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        eta: int = 3,
        configurations: int | None = None,
    ) -> None:
        epochs = options.epochs(setting, max_epochs)
        s = deepest(min_epochs, epochs, eta)
        trials = eta**s if configurations is None else options.whole("configurations", configurations, 1)
        super().__init__(searcher, epochs, [shape(trials, s, epochs, eta)])
