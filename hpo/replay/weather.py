"""What a cluster does to time and trials. Pure: functions of the trial's content and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.replay.sources import CurvesError


@dataclass(frozen=True)
class Weather:
    """stragglers: sigma of the log-normal factor on a trial's epoch time; failures: probability that a trial fails at
    some epoch; preemptions: probability that training an epoch is lost and must be done again (time, never budget).
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
        """The factor on the trial's epoch time: the epochs that are trained again are spread over all of them."""
        if not (self.stragglers or self.preemptions):
            return 1.0
        slow = float(np.exp(self._rng(trial, 1).normal(0.0, self.stragglers)))
        return slow * (1.0 + float(self.lost(trial, max_epochs).mean()))

    def lost(self, trial: str, max_epochs: int) -> NDArray[np.int64]:
        """How often each epoch of the trial was trained in vain, shape [max_epochs]."""
        if not self.preemptions:
            return np.zeros(max_epochs, dtype=np.int64)
        return np.asarray(self._rng(trial, 3).geometric(1 - self.preemptions, max_epochs) - 1, dtype=np.int64)

    def fails_at(self, trial: str, max_epochs: int) -> int | None:
        """The epoch that the trial fails to train; None where it does not fail."""
        if not self.failures:
            return None
        rng = self._rng(trial, 2)
        return int(rng.integers(1, max_epochs + 1)) if rng.random() < self.failures else None

    def _rng(self, trial: str, what: int) -> np.random.Generator:
        return np.random.default_rng([int(trial, 16), self.seed, what])
