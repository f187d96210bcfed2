"""BOHB: Hyperband's brackets with kernel densities in place of random search (Falkner, Klein and Hutter 2018). Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.schedules.hyperband import Hyperband, table
from hpo.methods.searchers.kde import Kde


class Bohb(Hyperband):
    """Hyperband whose searcher models the results at the longest training that enough trials reached.

    Options of Hyperband: max_epochs (R), min_epochs, eta. Options of the densities (see Kde): top (q), random_fraction
    (rho), samples (N_s), bandwidth_factor (b_w), min_bandwidth, published, cost_aware.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        eta: int = 3,
        top: float = 0.15,
        random_fraction: float = 1 / 3,
        samples: int = 64,
        bandwidth_factor: float = 3.0,
        min_bandwidth: float | None = None,
        published: bool = False,
        cost_aware: bool | None = False,
    ) -> None:
        epochs = options.epochs(setting, max_epochs)
        budgets = {length for bracket in table(epochs, eta, min_epochs) for _, length in bracket}
        searcher = Kde(
            setting,
            sorted(budgets),
            top=top,
            random_fraction=random_fraction,
            samples=samples,
            bandwidth_factor=bandwidth_factor,
            min_bandwidth=min_bandwidth,
            published=published,
            cost_aware=cost_aware,
        )
        super().__init__(setting, searcher, max_epochs=epochs, min_epochs=min_epochs, eta=eta)
