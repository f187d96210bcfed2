"""An objective of Optuna as a trainable: "optuna:package.module:objective". Each call of `trial.report` is an epoch.

The configuration answers the `suggest_...` calls. Pruning is the schedule's: `should_prune` is never true, and a trial
that the study ends is ended within `report`. A trial that was paused is trained again from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from optuna import TrialPruned
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FixedTrial

from hpo.text import meant, one_line, shown
from trainables.adapters.paused import Retraining, Returned
from trainables.errors import BadStudy, InvalidConfig, UnknownHyperparameter
from trainables.task import Task

TEST = "test_"  # user attributes of this beginning are for `test` alone


def adapted(found: Callable[..., Any], name: str) -> type[Any]:
    """Returns the trainable class of an objective, or of a class whose objects are objectives."""
    return type("OptunaObjective", (Objective,), {"objective": staticmethod(found), "name": name})


class Objective(Retraining):
    """Trains as `objective` does. An epoch has the metric `value`, and the user attributes that are numbers."""

    objective: Callable[..., Any]

    def __init__(self, config: Mapping[str, Any], *, task: Task, seed: int, max_epochs: int) -> None:
        self._trial = GivenTrial(config, seed)
        self._max_epochs = max_epochs
        self._over = False
        self._last: dict[str, float] = {}
        super().__init__(self.name, partial(_play, self.objective, self._trial, self.name), seed)

    def train_epoch(self) -> dict[str, float]:
        """Returns the metrics of the next report."""
        self._last = super().train_epoch()
        return dict(self._last)

    def test(self) -> dict[str, float]:
        """Returns the user attributes that are numbers and begin with test_; without any, the last epoch's metrics.

        After the last epoch the objective runs on to its end first.
        """
        if self._trial.steps and self.epoch >= self._max_epochs and not self._over:
            self._over = True
            with suppress(Returned):
                self.paused.next()
        told = {name: float(value) for name, value in self._trial.user_attrs.items() if _number(value)}
        return {name: value for name, value in told.items() if name.startswith(TEST)} or dict(self._last)


def _play(objective: Callable[..., Any], trial: GivenTrial, name: str, report: Callable[[Any], None]) -> None:
    trial.hand_over = report
    try:
        value = (objective() if isinstance(objective, type) else objective)(trial)
    except TrialPruned as error:
        raise InvalidConfig(
            f"{name} must leave pruning to the study, but it pruned itself: {one_line(error)}"
        ) from error
    if not trial.steps:
        trial.hand_over(trial.metrics(value))
        raise BadStudy(
            ("budget", "max_epochs"),
            f"budget.max_epochs must be 1, because {name} reports no epochs; set it to 1, or call trial.report after each",
        )


class GivenTrial(FixedTrial):
    """A trial whose parameters are a study's configuration, and whose reports are epochs. Its number is the seed."""

    def __init__(self, config: Mapping[str, Any], number: int) -> None:
        super().__init__(dict(config), number)
        self.hand_over: Callable[[Any], None]  # ends an epoch
        self.steps: set[int] = set()

    def report(self, value: float, step: int) -> None:
        """Ends an epoch. A step that was reported before is ignored, as Optuna does."""
        if step not in self.steps:
            self.steps.add(step)
            self.hand_over(self.metrics(float(value)))

    def metrics(self, value: Any) -> dict[str, float]:
        """Returns an epoch's metrics: its value, or those of several objectives, and the user attributes that are numbers.

        Raises UnknownHyperparameter for a hyperparameter that the objective has not suggested by now.
        """
        for name in self._params:
            if name not in self.distributions:
                raise UnknownHyperparameter(
                    f"a hyperparameter must be one that the objective suggests ({', '.join(self.distributions)}), but got "
                    f"{shown(name)}{meant(name, self.distributions)}; one that depends on another needs an `if` in the study"
                )
        several = isinstance(value, list | tuple)
        values = {f"value_{i}": each for i, each in enumerate(value)} if several else {"value": value}
        told = {name: each for name, each in self.user_attrs.items() if _number(each) and not name.startswith(TEST)}
        return {name: float(each) for name, each in {**told, **values}.items()}

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._params:
            raise InvalidConfig(
                f"the configuration must have {name}, which the objective suggests, but it has not; add it to the study's "
                "space or fixed"
            )
        self._params[name] = _within(name, self._params[name], distribution)
        return super()._suggest(name, distribution)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within(name: str, value: Any, distribution: Any) -> Any:
    """Returns the value as the objective gets it: a choice that a study file cannot hold is named by its text."""
    if isinstance(distribution, CategoricalDistribution):
        same = [choice for choice in distribution.choices if choice == value and type(choice) is type(value)]
        if found := same or [choice for choice in distribution.choices if str(choice) == str(value)]:
            return found[0]
        raise InvalidConfig(
            f"{name} must be one of {', '.join(map(str, distribution.choices))}, but got {shown(value)}"
        )
    if not _number(value) or not distribution._contains(value):
        by = f" by {distribution.step:g}" if distribution.step not in (None, 1) else ""
        raise InvalidConfig(
            f"{name} must lie in [{distribution.low:g}, {distribution.high:g}]{by}, but got {shown(value)}"
        )
    return value
