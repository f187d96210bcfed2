"""Syne Tune: one of its baselines by name, as ASHA, BOHB or CQR. Its options are the baseline's arguments.

Those that suggest only are told a trial's best value at its end; those that stop trials see every epoch.
"""

from __future__ import annotations

import inspect
import logging
from datetime import datetime
from typing import Any

from syne_tune import config_space
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer import baselines
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

from .terms import FULL, STOPPING, Ask, Config, Domain, Driven, Opening, Refused, keyword_arguments

logging.getLogger("syne_tune").setLevel(logging.ERROR)

OURS = ("config_space", "metric", "metrics", "time_attr", "max_t", "do_minimize", "random_seed", "points_to_evaluate")
NEVER = datetime(2000, 1, 1)  # trials have a date of birth, which nothing reads


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns the modules that a baseline imports late."""
    searchers = "syne_tune.optimizer.schedulers.searchers"
    late = {
        "TPE": f"{searchers}.kde.kde_searcher", "BOHB": f"{searchers}.kde.kde_searcher", "BORE": f"{searchers}.bore.bore",
        "ASHABORE": f"{searchers}.bore.bore", "BOTorch": f"{searchers}.botorch.botorch_searcher",
        "CQR": f"{searchers}.conformal.conformal_quantile_regression_searcher",
        "ASHACQR": f"{searchers}.conformal.conformal_quantile_regression_searcher",
    }  # fmt: skip
    return [late[name]] if name in late else []


def begin(opening: Opening) -> Driven:
    """Builds the scheduler that the option `name` names."""
    known = {
        name: made
        for name, made in vars(baselines).items()
        if isinstance(made, type) and made.__module__ == baselines.__name__ and name != "EHVI"
    }
    if opening.name not in known:
        raise Refused(f"syne-tune must name a method, one of {', '.join(known)}, but got {opening.name!r}")
    return SyneTune(opening, known[opening.name])


class SyneTune:
    """A scheduler of Syne Tune."""

    deterministic = True

    def __init__(self, opening: Opening, factory: Any) -> None:
        self._domains = {domain.name: domain for domain in opening.flat("syne-tune")}
        self._max_epochs = opening.max_epochs
        self.kind = STOPPING if issubclass(factory, AsynchronousSuccessiveHalving) else FULL
        takes = inspect.signature(factory).parameters
        known = {
            "metric": "value", "metrics": ["value"], "time_attr": "epoch", "max_t": opening.max_epochs,
            "do_minimize": False, "random_seed": opening.seed % 2**31,
        }  # fmt: skip
        given = keyword_arguments(opening.name, factory, opening.options, OURS)
        self._scheduler = factory(
            {name: in_syne_tune(domain) for name, domain in self._domains.items()},
            **{name: value for name, value in known.items() if name in takes},
            **given,
        )
        self._trials: list[Any] = []
        self._best: dict[int, float] = {}

    def ask(self) -> Ask | None:
        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        trial = Trial(len(self._trials), suggestion.config, NEVER)
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        config = {name: value_of(domain, suggestion.config[name]) for name, domain in self._domains.items()}
        return Ask(trial.trial_id, self._max_epochs, config)

    def take(self, trial: int, config: Config) -> None:
        theirs = {name: label_of(self._domains[name], value) for name, value in config.items()}
        self._trials[trial] = Trial(trial, theirs, NEVER)

    def observe(self, trial: int, epoch: int, value: float) -> str:
        self._best[trial] = max(value, self._best.get(trial, value))
        result = {"value": value, "epoch": epoch}
        return str(self._scheduler.on_trial_result(self._trials[trial], result)).lower()

    def pause(self, trial: int) -> None:
        """Does nothing: every epoch was told."""

    def close(self, trial: int) -> None:
        best = self._best.pop(trial)
        if self.kind == FULL:
            self._scheduler.on_trial_complete(self._trials[trial], {"value": best, "epoch": self._max_epochs})

    def fail(self, trial: int) -> None:
        self._scheduler.on_trial_error(self._trials[trial])


def in_syne_tune(domain: Domain) -> Any:
    """Returns a domain as Syne Tune's."""
    if domain.kind == "choice":
        if domain.ordered and len({type(option) for option in domain.options}) == 1:
            return config_space.ordinal(sorted(domain.options))
        return config_space.choice([label_of(domain, value) for value in domain.options])
    if domain.step is not None:
        levels = domain.levels
        return config_space.finrange(levels[0], levels[-1], len(levels), cast_int=domain.kind == "int")
    if domain.kind == "int":
        return (config_space.lograndint if domain.log else config_space.randint)(int(domain.low), int(domain.high))
    return (config_space.loguniform if domain.log else config_space.uniform)(domain.low, domain.high)


def label_of(domain: Domain, value: Any) -> Any:
    """Returns a value as Syne Tune has it: options of several types, which it refuses, are named by their places."""
    if domain.kind == "choice" and len({type(option) for option in domain.options}) > 1:
        return f"option {domain.index(value)}"
    return value


def value_of(domain: Domain, label: Any) -> Any:
    """Returns the value that Syne Tune's stands for."""
    if domain.kind == "choice":
        return next(option for option in domain.options if label_of(domain, option) == label)
    return label
