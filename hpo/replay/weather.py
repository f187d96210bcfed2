"""Weather: stragglers, failures and preemptions as a cluster has them. Pure functions of a trial's content and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.replay.sources import CurvesError


@dataclass(frozen=True)
class Weather:
    """How rough the cluster is.

    stragglers: sigma of the log-normal factor on a trial's epoch time; failures: probability that a trial fails at
    some epoch; preemptions: probability that a trained epoch is lost and must be trained again (costs time, never
    budget).
    """

    stragglers: float = 0.0
    failures: float = 0.0
    preemptions: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.stragglers >= 0 and 0 <= self.failures < 1 and 0 <= self.preemptions < 1):
            raise CurvesError(
                f"stragglers >= 0, 0 <= failures < 1 and 0 <= preemptions < 1 must hold, but got {self.stragglers}, "
                f"{self.failures}, {self.preemptions}"
            )

    @property
    def calm(self) -> bool:
        return not (self.stragglers or self.failures or self.preemptions)

    def slowness(self, trial: str, max_epochs: int) -> float:
        """Returns the factor on the trial's epoch time; the time of lost epochs is spread over all its epochs."""
        if not (self.stragglers or self.preemptions):
            return 1.0
        slow = float(np.exp(self._rng(trial, 1).normal(0.0, self.stragglers)))
        return slow * (1.0 + float(self.lost(trial, max_epochs).mean()))

    def lost(self, trial: str, max_epochs: int) -> NDArray[np.int64]:
        """Returns how often each epoch of the trial was lost, shape [max_epochs]."""
        if not self.preemptions:
            return np.zeros(max_epochs, dtype=np.int64)
        return np.asarray(self._rng(trial, 3).geometric(1 - self.preemptions, max_epochs) - 1, dtype=np.int64)

    def fails_at(self, trial: str, max_epochs: int) -> int | None:
        """Returns the epoch in which the trial fails; None if it does not fail."""
        if not self.failures:
            return None
        rng = self._rng(trial, 2)
        return int(rng.integers(1, max_epochs + 1)) if rng.random() < self.failures else None

    def _rng(self, trial: str, what: int) -> np.random.Generator:
        return np.random.default_rng([int(trial, 16), self.seed, what])
