"""Patience: stops a trial that has not improved for some epochs (paper 000 trains with patience 10). Pure."""

from __future__ import annotations

import math

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.stopping import Stopping


class Patience(Stopping):
    """Stops a trial after `patience` epochs in a row that did not improve on its best by more than `min_delta`.

    The study's `early_stopping` is part of the training and so of the trial; this rule belongs to the method. It sees
    the study's metric and takes no epochs from other methods. Options: max_epochs (R), patience, min_delta.
    """

    def __init__(
        self,
        setting: Setting,
        searcher: Searcher,
        *,
        max_epochs: int | None = None,
        patience: int = 10,
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(searcher, options.epochs(setting, max_epochs))
        self._patience = options.whole("patience", patience, 1)
        self._min_delta = options.real("min_delta", min_delta, 0.0, math.inf)
        self._best: dict[int, tuple[float, int]] = {}  # trial -> (value, epoch) of its last improvement

    def judged_at(self, trial: int, epoch: int) -> int:
        return self._best.get(trial, (0.0, 1))[1] + self._patience

    def stops(self, trial: int, epoch: int, value: float) -> bool:
        best, since = self._best.get(trial, (-math.inf, 0))
        if value > best + self._min_delta or since == 0:
            self._best[trial] = (value, epoch)
            return False
        return epoch - since >= self._patience

    def ended(self, trial: int, failed: bool) -> None:
        self._best.pop(trial, None)
