"""The search space of an objective of Optuna, found by calling it: what `hpo init --optuna` writes into a study file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from trainables import load
from trainables.given import name_of


def space_of(objective: str | Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Returns the search space of an objective of Optuna, for `hpo.Study(space=..., trainable={"optuna": objective})`.

    The objective, or "module:name" of one, is called with the middle of each range and each choice in turn, up to its first
    report. Each hyperparameter is an entry as in a study file. Warns of what the calls could not tell. Raises HpoError where
    it suggests nothing.
    """
    found = load(name_of({"optuna": objective}))  # names the extra that is missing, too
    from trainables.adapters import optuna_space

    seen = optuna_space.space_of(found.objective)
    for remark in seen.remarks:
        warnings.warn(remark, stacklevel=2)
    return seen.space
