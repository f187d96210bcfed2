"""HPO Arena: hyperparameter optimization methods side by side under one exact epoch budget."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

__version__ = "0.1.0"

MOVED = {
    "hpo.contract": "hpo.game.contract",
    "hpo.space": "hpo.study.space",
    "hpo.trial": "hpo.study.values",
    "hpo.methods.history": "hpo.methods.searchers.history",
    "hpo.methods.roster": "hpo.methods.schedules.roster",
    "hpo.methods.rungs": "hpo.methods.schedules.rungs",
    "hpo.methods.searching": "hpo.methods.searchers.searching",
}
"""Modules that others' methods import, by their names up to version 0.1.0: their new names."""


class _Moved(MetaPathFinder):
    """Names the new place of a module that has moved, where Python would say only that there is none."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in MOVED:
            raise ModuleNotFoundError(f"{name} has moved: import {MOVED[name]} instead", name=name)


sys.meta_path.append(_Moved())
