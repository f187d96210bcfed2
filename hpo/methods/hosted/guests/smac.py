"""SMAC: one of its facades, by the option `facade`.

MultiFidelityFacade and HyperbandFacade say how far to train; the others train to the end. Other options are what the facade's
intensifier takes, such as `eta`, and `min_epochs`.
"""

from __future__ import annotations

from typing import Any

import smac
from ConfigSpace import Configuration
from smac.facade.abstract_facade import AbstractFacade
from smac.intensifier.hyperband_utils import get_n_trials_for_hyperband_multifidelity
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.main.smbo import SMBO
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType
from smac.scenario import Scenario

from .config_spaces import InConfigSpace
from .levels import Levelled, Wanted
from .terms import FULL, PROMOTING, Config, Driven, Opening, Refused, keyword_arguments


def _save_nothing(self: Any, *given: Any, **more: Any) -> None:
    """Takes the place of what writes SMAC's own files, since the driver's store holds everything."""


SMBO.save = Scenario.save = _save_nothing

FACADES: dict[str, Any] = {
    name: made
    for name, made in vars(smac).items()
    if isinstance(made, type) and issubclass(made, AbstractFacade) and name != "AlgorithmConfigurationFacade"
}
FIDELITY = ("MultiFidelityFacade", "HyperbandFacade")


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns nothing: SMAC loads all of itself."""
    return []


def begin(opening: Opening) -> Driven:
    """Builds the facade that the options name; by default the one for hyperparameters."""
    options = dict(opening.options)
    name = opening.name or options.pop("facade", "HyperparameterOptimizationFacade")
    if name not in FACADES:
        raise Refused(f"smac must name a facade, one of {', '.join(FACADES)}, but got {name!r}")
    return Smac(opening, name, options)


class Smac(Levelled):
    """A facade of SMAC, asked and told.

    One that says how far to train takes what it suggested for what was trained: its brackets know no other configurations.
    """

    def __init__(self, opening: Opening, name: str, options: dict[str, Any]) -> None:
        super().__init__(opening.max_epochs)
        factory = FACADES[name]
        self.kind = PROMOTING if name in FIDELITY else FULL
        self._space = InConfigSpace(opening.space, opening.seed)
        least = options.pop("min_epochs", 1)
        given = keyword_arguments(f"{name}'s intensifier", factory.get_intensifier, options, ("scenario",))
        fidelity = self.kind == PROMOTING and opening.max_epochs > least
        if not fidelity:
            self.kind = FULL
            factory = FACADES["HyperparameterOptimizationFacade"] if name in FIDELITY else factory
            given = {} if name in FIDELITY else given
        trials = max(1, opening.budget // opening.max_epochs)
        if fidelity:
            eta = given.get("eta", 3)
            trials = get_n_trials_for_hyperband_multifidelity(opening.budget, least, opening.max_epochs, eta, False)
        scenario = Scenario(
            self._space.space,
            deterministic=True,
            n_trials=max(trials, 1),
            seed=opening.seed % 2**31,
            **({"min_budget": least, "max_budget": opening.max_epochs} if fidelity else {}),
        )
        intensifier = factory.get_intensifier(scenario, **given)
        self._facade = factory(scenario, _nothing, intensifier=intensifier, logging_level=False, overwrite=True)
        self._costs: list[float] = []
        for config, _, value in opening.prior if self.kind == FULL else ():  # brackets know their own levels only
            self.told(TrialInfo(self._configuration(config), seed=0), value)

    def _configuration(self, config: Config) -> Any:
        return Configuration(self._space.space, values=self._space.values(config))

    def wanted(self) -> Wanted | None:
        try:
            info = self._facade.ask()
        except (StopIteration, ConfigurationSpaceExhaustedException):
            return None
        to = self.max_epochs if info.budget is None else round(info.budget)
        return Wanted(info.config, info, to, self._space.config(dict(info.config)))

    def taken(self, token: Any, config: Config) -> Any:
        return TrialInfo(self._configuration(config), seed=token.seed) if self.kind == FULL else token

    def told(self, token: Any, value: float | None) -> None:
        if value is not None:
            self._costs.append(-value)
        worst = max(self._costs, default=0.0)  # its models take no infinite cost
        result = TrialValue(worst, status=StatusType.CRASHED) if value is None else TrialValue(-value)
        self._facade.tell(token, result, save=False)


def _nothing(config: Any, seed: int = 0, budget: float = 0) -> float:
    """The target function that SMAC looks at, but does not call."""
    return 0.0
