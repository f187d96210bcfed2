"""The stopping variant of ASHA, which Ray Tune (ASHAScheduler) and others after it call ASHA. Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.quantile import GrowingQuantile
from hpo.methods.schedules.rungs import check
from hpo.methods.schedules.stopping import Stopping


class AshaStopping(Stopping):
    """Stops a trial for good if it reaches a rung below the top 1/eta of those before it; no trial pauses.

    The bar is the (1 - 1/eta)-quantile of the values that reached the rung earlier; the first trial always passes. As in
    ray.tune.schedulers.AsyncHyperBandScheduler with one bracket, a value counts at the rung whether its trial stops or
    not. Options: max_epochs (R), min_epochs (r), eta, s as in ASHA.
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
    ) -> None:
        super().__init__(searcher, options.epochs(setting, max_epochs))
        self._levels = check(min_epochs, self.max_epochs, eta, s)
        self._bars = {level: GrowingQuantile(1 - 1 / eta) for level in self._levels[:-1]}

    def judged_at(self, trial: int, epoch: int) -> int:
        return next(level for level in self._levels if level > epoch)

    def stops(self, trial: int, epoch: int, value: float) -> bool:
        bar = self._bars.get(epoch)
        if bar is None:
            return False
        below = len(bar) > 0 and value < bar.value
        bar.add(value)
        return below

    def ended(self, trial: int, failed: bool) -> None:
        """Forgets nothing: rungs keep values, not trials."""
