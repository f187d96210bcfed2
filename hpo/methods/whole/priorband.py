"""PriorBand: Hyperband's brackets over a user's beliefs, the incumbent and chance (Mallik et al. 2023). Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.schedules.hyperband import Hyperband
from hpo.methods.searchers.ensemble import Ensemble


class PriorBand(Hyperband):
    """Hyperband whose configurations come from the `prior` of each hyperparameter in the space, see Ensemble.

    Options of Hyperband: max_epochs (R), min_epochs, eta.
    """

    def __init__(self, setting: Setting, *, max_epochs: int | None = None, min_epochs: int = 1, eta: int = 3) -> None:
        epochs = options.epochs(setting, max_epochs)
        searcher = Ensemble(setting, eta=eta, max_epochs=epochs)
        super().__init__(setting, searcher, max_epochs=epochs, min_epochs=min_epochs, eta=eta)
