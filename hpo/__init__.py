"""HPO Arena: hyperparameter optimization methods side by side under one exact epoch budget.

The names of the Python API, each imported when it is first used, so that `import hpo` itself imports nothing heavy. It also
tells users' own methods where a module that they import has moved.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo import methods as methods
    from hpo.api.objective import space_of as space_of
    from hpo.api.replaying import replay as replay
    from hpo.api.results import Results as Results
    from hpo.api.running import run as run
    from hpo.api.space import Choice as Choice
    from hpo.api.space import Float as Float
    from hpo.api.space import Int as Int
    from hpo.api.stores import open_store as open
    from hpo.api.study import Study as Study
    from hpo.api.suite import Suite as Suite
    from hpo.client.client import connect as connect
    from hpo.errors import HpoError as HpoError
    from trainables.adapters.generator import checkpoint as checkpoint

__version__ = "0.1.0"

_PLACES = {
    "Study": "hpo.api.study",
    "Suite": "hpo.api.suite",
    "Float": "hpo.api.space",
    "Int": "hpo.api.space",
    "Choice": "hpo.api.space",
    "space_of": "hpo.api.objective",
    "run": "hpo.api.running",
    "open": "hpo.api.stores:open_store",
    "replay": "hpo.replay:",
    "connect": "hpo.client.client",
    "Results": "hpo.api.results",
    "methods": "hpo.methods:",
    "checkpoint": "trainables.adapters.generator",
    "HpoError": "hpo.errors",
}
"""A name of the API, and its module: with the name there if it is another one, or ":" where it is the module itself."""

__all__ = [
    "Choice", "Float", "HpoError", "Int", "Results", "Study", "Suite", "__version__", "checkpoint", "connect", "methods", "open",
    "replay", "run", "space_of",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    module, colon, other = _PLACES[name].partition(":")
    found = import_module(module)
    value = found if colon and not other else getattr(found, other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_METHODS = {
    "schedules": (
        *("asha", "asha_stopping", "brackets", "full", "hyperband", "median_stopping", "patience", "quantile"),
        *("roster", "rungs", "stopping", "successive_halving"),
    ),
    "searchers": (
        *("acquisition", "bayesian", "cma_es", "encoding", "gaussian_process", "genetic", "grid", "history"),
        *("hyperopt_tpe", "kde", "local", "one_thread", "parzen", "quasi_random", "random_search", "searching", "tpe"),
    ),
    "whole": ("bohb", "curve_model", "default", "multifidelity", "refine", "sequential_unfreezing"),
}

MOVED = {
    "hpo.contract": "hpo.game.contract",
    "hpo.neighbours": "hpo.study.neighbours",
    "hpo.space": "hpo.study.space",
    "hpo.trial": "hpo.study.values",
    **{f"hpo.methods.{name}": f"hpo.methods.{room}.{name}" for room, names in _METHODS.items() for name in names},
}
"""Modules that users' own methods may import, from their names up to version 0.1.0 to their names now."""


class _Moved(MetaPathFinder):
    """Names the new place of a module that has moved; Python alone would report only that the old one is missing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in MOVED:
            raise ModuleNotFoundError(f"{name} has moved: import {MOVED[name]} instead", name=name)


sys.meta_path.append(_Moved())  # last: Python asks it only about modules that nothing else finds
