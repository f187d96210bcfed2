"""The tree-structured Parzen estimator of the hyperopt library (Bergstra et al. 2011), which treats each hyperparameter alone.

hyperopt is imported with the first suggestion: only `tpe: {joint: false}` needs it. Pure but for this import.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.study.space import Choice, Config, SearchSpace

CAP = 300  # the most observations that the estimator is given: its cost grows with them


def suggest(
    space: SearchSpace, configs: Sequence[Config], places: NDArray[np.int64], seed: int, **options: float
) -> Config:
    """Returns what hyperopt's tpe.suggest answers to configurations and their places, 0 for the best; options are its own."""
    with warnings.catch_warnings():
        # hyperopt 0.3 sets the shape of arrays, which NumPy 2.5 deprecates.
        warnings.filterwarnings("ignore", "Setting the shape on a NumPy array", DeprecationWarning)
        import hyperopt

        domain = hyperopt.Domain(_nothing, _hyperopt_space(hyperopt, space), pass_expr_memo_ctrl=False)
        trials = hyperopt.Trials()
        kept = _thinned(places)
        docs = [_document(hyperopt, i, space, configs[k], float(places[k])) for i, k in enumerate(kept)]
        trials.insert_trial_docs(docs)
        trials.refresh()
        chosen = hyperopt.tpe.suggest([len(docs)], domain, trials, seed, n_startup_jobs=0, verbose=False, **options)
    values = chosen[0]["misc"]["vals"]
    return space.decode([_unit(space, name, values[name][0]) for name in space.names])


def _nothing(config: Any) -> float:
    return 0.0


def _thinned(places: NDArray[np.int64]) -> list[int]:
    """Returns at most CAP indices in order of arrival: the best CAP / 4, and of the others some, evenly over their ranks."""
    n = len(places)
    if n <= CAP:
        return list(range(n))
    order = np.argsort(places)
    head = order[: CAP // 4]
    tail = order[CAP // 4 :][np.linspace(0, n - CAP // 4 - 1, CAP - CAP // 4).astype(int)]
    return sorted(int(i) for i in np.concatenate([head, tail]))


def _hyperopt_space(hyperopt: Any, space: SearchSpace) -> dict[str, Any]:
    """Returns one label for each hyperparameter: [0, 1] for a range, 0..n-1 for a choice."""
    return {
        name: hyperopt.hp.randint(name, len(domain.options))
        if isinstance(domain, Choice)
        else hyperopt.hp.uniform(name, 0, 1)
        for name, domain in space.domains.items()
    }


def _unit(space: SearchSpace, name: str, value: Any) -> float:
    """Returns the coordinate in the unit cube of a label's value."""
    domain = space.domains[name]
    return (int(value) + 0.5) / len(domain.options) if isinstance(domain, Choice) else float(value)


def _document(hyperopt: Any, number: int, space: SearchSpace, config: Config, loss: float) -> Mapping[str, Any]:
    """Returns a finished trial as hyperopt keeps it; hyperparameters that the configuration lacks have no value."""
    values: dict[str, list[Any]] = {}
    for name, domain in space.domains.items():
        if name not in config:
            values[name] = []
        else:
            values[name] = [domain.index(config[name])] if isinstance(domain, Choice) else [domain.encode(config[name])]
    return {
        "state": hyperopt.JOB_STATE_DONE,
        "tid": number,
        "spec": None,
        "result": {"loss": loss, "status": hyperopt.STATUS_OK},
        "misc": {
            "tid": number,
            "cmd": ("domain_attachment", "FMinIter_Domain"),
            "workdir": None,
            "idxs": {name: [number] * len(v) for name, v in values.items()},
            "vals": values,
        },
        "exp_key": None,
        "owner": None,
        "version": 0,
        "book_time": None,
        "refresh_time": None,
    }
