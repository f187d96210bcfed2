"""hyperopt: its tree-structured Parzen estimator, which Ray Tune wraps; `algorithm`: tpe, anneal or rand.

A hyperparameter that a configuration does not have has no value in hyperopt's trials, as below an hp.choice.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import hyperopt
import numpy as np

from .terms import FULL, Ask, Config, Domain, Driven, Opening, Refused, keyword_arguments, same

ALGORITHMS = ("tpe", "anneal", "rand")


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns nothing: hyperopt loads all of itself."""
    return []


def begin(opening: Opening) -> Driven:
    """Builds the algorithm that the option `algorithm` names."""
    return Hyperopt(opening)


class Hyperopt:
    """An algorithm of hyperopt and its trials."""

    kind = FULL
    deterministic = True

    def __init__(self, opening: Opening) -> None:
        options = dict(opening.options)
        name = options.pop("algorithm", "tpe")
        if name not in ALGORITHMS:
            raise Refused(f"algorithm must be one of {', '.join(ALGORITHMS)}, but got {name!r}")
        self._suggest = importlib.import_module(f"hyperopt.{name}").suggest
        ours = ("new_ids", "domain", "trials", "seed", "verbose")
        self._options = keyword_arguments(name, self._suggest, options, ours)
        if name == "tpe":
            self._options["verbose"] = False
        self._space, self._max_epochs = opening.space, opening.max_epochs
        self._domain = hyperopt.Domain(_nothing, {d.name: _label(d) for d in opening.space}, pass_expr_memo_ctrl=False)
        self._trials = hyperopt.Trials()
        self._rng = np.random.default_rng(opening.seed)
        self._docs: list[Any] = []
        self._best: dict[int, float] = {}
        for number, (config, _, value) in enumerate(opening.prior):
            doc = self._suggest([-1 - number], self._domain, self._trials, 0, **self._options)[0]
            self._insert(doc, config)
            self._end(doc, {"loss": -value, "status": hyperopt.STATUS_OK})

    def ask(self) -> Ask:
        number = len(self._docs)
        seed = int(self._rng.integers(2**31 - 1))
        doc = self._suggest([number], self._domain, self._trials, seed, **self._options)[0]
        values, config = doc["misc"]["vals"], Config()
        for domain in self._space:
            if domain.exists(config):
                config[domain.name] = _value(domain, values[domain.name][0])
        self._docs.append(doc)
        self._insert(doc, config)
        return Ask(number, self._max_epochs, config)

    def _insert(self, doc: Any, config: Config) -> None:
        self._note(doc, config)
        doc["state"] = hyperopt.JOB_STATE_RUNNING
        self._trials.insert_trial_docs([doc])
        self._trials.refresh()

    def _note(self, doc: Any, config: Config) -> None:
        """Writes a configuration into a trial."""
        for domain in self._space:
            has = domain.name in config
            doc["misc"]["vals"][domain.name] = [_inner(domain, config[domain.name])] if has else []
            doc["misc"]["idxs"][domain.name] = [doc["tid"]] if has else []

    def take(self, trial: int, config: Config) -> None:
        self._note(self._stored(trial), config)

    def _stored(self, trial: int) -> Any:
        """Returns the trial as hyperopt keeps it, which may be a copy of what was inserted."""
        return next(doc for doc in reversed(self._trials._dynamic_trials) if doc["tid"] == trial)

    def observe(self, trial: int, epoch: int, value: float) -> str:
        self._best[trial] = max(value, self._best.get(trial, value))
        return "continue"

    def pause(self, trial: int) -> None:
        self.close(trial)

    def close(self, trial: int) -> None:
        self._end(self._stored(trial), {"loss": -self._best[trial], "status": hyperopt.STATUS_OK})

    def fail(self, trial: int) -> None:
        self._end(self._stored(trial), {"status": hyperopt.STATUS_FAIL})

    def _end(self, doc: Any, result: dict[str, Any]) -> None:
        doc["state"], doc["result"] = hyperopt.JOB_STATE_DONE, result
        self._trials.refresh()


def _nothing(config: Any) -> float:
    """The objective that hyperopt looks at, but does not call."""
    return 0.0


def _label(domain: Domain) -> Any:
    """Returns a domain as hyperopt's: a stepped range by its places, the options of a choice likewise."""
    hp = hyperopt.hp
    if domain.kind == "choice":
        return hp.randint(domain.name, len(domain.options))
    if domain.step is not None:
        return hp.uniformint(domain.name, 0, len(domain.levels) - 1)
    if domain.kind == "int" and not domain.log:
        return hp.uniformint(domain.name, int(domain.low), int(domain.high))
    if domain.kind == "int":
        return hp.qloguniform(domain.name, math.log(domain.low), math.log(domain.high), 1)
    if domain.log:
        return hp.loguniform(domain.name, math.log(domain.low), math.log(domain.high))
    return hp.uniform(domain.name, domain.low, domain.high)


def _value(domain: Domain, inner: Any) -> Any:
    """Returns the value that hyperopt's stands for."""
    if domain.kind == "choice":
        return domain.options[int(inner)]
    if domain.step is not None:
        return domain.levels[int(inner)]
    value = min(max(float(inner), domain.low), domain.high)
    return round(value) if domain.kind == "int" else value


def _inner(domain: Domain, value: Any) -> Any:
    """Returns a value as hyperopt has it."""
    if domain.kind == "choice":
        return next(i for i, option in enumerate(domain.options) if same(option, value))
    return domain.index(value) if domain.step is not None else value
