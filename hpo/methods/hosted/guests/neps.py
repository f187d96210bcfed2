"""NePS: one of its algorithms by name, as priorband or ifbo. Its options are the algorithm's arguments.

`defaults` are beliefs of good values by hyperparameter, which priorband and pibo use, and `confidence` (low, medium or high)
says how much. The weights of ifbo's surrogate are not downloaded: `surrogate_path` names the folder that holds them.
"""

from __future__ import annotations

import logging
import os
from typing import Any

os.environ["IFBO_MAX_RETRIES"] = "1"

import neps
from neps.optimizers import algorithms
from neps.space.parameters import HPOCategorical, HPOFloat, HPOInteger
from neps.space.search_space import SearchSpace

from .levels import Levelled, Wanted
from .terms import FULL, PROMOTING, Config, Domain, Driven, Opening, Refused, keyword_arguments

logging.getLogger("neps").setLevel(logging.ERROR)

FIDELITY = ("successive_halving", "hyperband", "asha", "async_hb", "priorband", "ifbo")
OTHERS = ("random_search", "bayesian_optimization", "pibo")
EPOCHS = "epochs of a trial"  # no hyperparameter of a study is called so


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns the modules that the Gaussian processes import late."""
    return ["botorch.models", "neps.optimizers.models.gp"] if name in ("bayesian_optimization", "pibo") else []


def begin(opening: Opening) -> Driven:
    """Builds the algorithm that the option `name` names."""
    if opening.name not in (*FIDELITY, *OTHERS):
        raise Refused(f"neps must name one of {', '.join((*FIDELITY, *OTHERS))}, but got {opening.name!r}")
    if opening.name in FIDELITY and opening.max_epochs < 2:
        raise Refused(f"{opening.name} of neps needs max_epochs >= 2, but got {opening.max_epochs}")
    if opening.name == "ifbo" and "surrogate_path" not in opening.options:
        raise Refused(
            "ifbo needs the weights of its surrogate, which nothing here downloads: name the folder that holds its "
            ".model folder as `surrogate_path`"
        )
    return Neps(opening)


class Neps(Levelled):
    """An algorithm of NePS, asked and told."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening.max_epochs)
        options = dict(opening.options)
        defaults, confidence = options.pop("defaults", {}), options.pop("confidence", "medium")
        self.kind = PROMOTING if opening.name in FIDELITY else FULL
        self._domains = {domain.name: domain for domain in opening.flat("neps")}
        self._best = 1.0 if opening.name == "ifbo" else 0.0  # ifbo's losses lie in [0, 1]
        parts: dict[str, Any] = {
            name: parameter(domain, defaults.get(name), confidence) for name, domain in self._domains.items()
        }
        if self.kind == PROMOTING:
            parts[EPOCHS] = HPOInteger(options.pop("min_epochs", 1), opening.max_epochs, is_fidelity=True)
        made = getattr(algorithms, opening.name)
        given = keyword_arguments(opening.name, made, options, ("pipeline_space",))
        self._optimizer = neps.AskAndTell(optimizer=made(SearchSpace(parts), **given))

    def wanted(self) -> Wanted:
        asked = self._optimizer.ask()
        ident, theirs = asked.metadata.id, dict(asked.config)
        to = int(theirs.pop(EPOCHS, self.max_epochs))
        config = {name: domain.value(theirs[name]) for name, domain in self._domains.items()}
        return Wanted(ident.split("_")[0], ident, to, config)

    def taken(self, token: Any, config: Config) -> Any:
        asked = self._optimizer.trials[token]
        theirs = {name: self._domains[name].plain(value) for name, value in config.items()}
        asked.config = {**asked.config, **theirs}
        return token

    def told(self, token: Any, value: float | None) -> None:
        result: Any = ValueError("the trial failed")
        if value is not None:
            result = {"objective_to_minimize": self._best - value}
        self._optimizer.tell(token, result)


def parameter(domain: Domain, default: Any, confidence: str) -> Any:
    """Returns a domain as NePS's."""
    belief = {} if default is None else {"prior": domain.plain(default), "prior_confidence": confidence}
    if domain.placed:
        return HPOInteger(0, len(domain.placed) - 1, **belief)
    if domain.kind == "choice":
        return HPOCategorical(list(domain.words), **belief)
    if domain.kind == "int":
        return HPOInteger(int(domain.low), int(domain.high), log=domain.log, **belief)
    return HPOFloat(domain.low, domain.high, log=domain.log, **belief)
