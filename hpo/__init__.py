"""HPO Arena: hyperparameter optimization methods side by side under one exact epoch budget.

Holds the version, and tells users' own methods where a module that they import has moved. Imports nothing heavy.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

__version__ = "0.1.0"

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


def __getattr__(name: str) -> Any:
    if name == "checkpoint":
        from trainables.adapters.generator import checkpoint

        return checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


sys.meta_path.append(_Moved())  # last: Python asks it only about modules that nothing else finds
