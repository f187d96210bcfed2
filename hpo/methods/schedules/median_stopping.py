"""The median stopping rule: Golovin et al. 2017, "Google Vizier", section 3.2.2. Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.quantile import GrowingQuantile
from hpo.methods.schedules.stopping import Stopping


class MedianStopping(Stopping):
    """Stops a trial at epoch e if its best value so far is below the median of the others' averages over epochs 1..e.

    The others are the trials that were trained to R, or stopped, at epoch e or later; failed trials do not count.
    Options: max_epochs (R); min_epochs (no trial stops earlier); min_trials (how many others there must be).
    """

    def __init__(
        self,
        setting: Setting,
        searcher: Searcher,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        min_trials: int = 3,
    ) -> None:
        super().__init__(searcher, options.epochs(setting, max_epochs))
        self._first = options.whole("min_epochs", min_epochs, 1, self.max_epochs, " (max_epochs)")
        self._others = options.whole("min_trials", min_trials, 1)
        self._medians = [GrowingQuantile(0.5) for _ in range(self.max_epochs)]  # by epoch - 1
        self._averages: dict[int, list[float]] = {}
        self._best: dict[int, float] = {}

    def judged_at(self, trial: int, epoch: int) -> int:
        return max(epoch + 1, self._first)

    def stops(self, trial: int, epoch: int, value: float) -> bool:
        averages = self._averages.setdefault(trial, [])
        averages.append(((averages[-1] if averages else 0.0) * (epoch - 1) + value) / epoch)
        self._best[trial] = max(value, self._best.get(trial, value))
        median = self._medians[epoch - 1]
        return epoch >= self._first and len(median) >= self._others and self._best[trial] < median.value

    def ended(self, trial: int, failed: bool) -> None:
        averages = self._averages.pop(trial, [])
        self._best.pop(trial, None)
        if not failed:
            for median, average in zip(self._medians, averages, strict=False):
                median.add(average)
