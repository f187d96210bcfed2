"""The runs of a study, ready to play: builds their methods and sets their rules, for the driver, the replay and `hpo check`.

Pure, but for the import of the trainable, which may declare what an epoch costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hpo import methods
from hpo.game.run import Rules, Run
from hpo.methods.protocol import InvalidOption, Schedule, Setting
from hpo.study.space import Config
from hpo.study.study import Study
from hpo.study.values import Method, Observation, RunKey, TrialKey
from hpo.text import one_line

NO_EPOCH_COST = ("image_classifier",)  # importing torch, only to find that it declares none, would take seconds

Cost = Callable[[Config], float]


def setting_of(study: Study, method: Method, seed: int, prior: Sequence[Observation] = ()) -> Setting:
    """Returns all that the method may know of the study."""
    return Setting(
        space=study.space,
        budget=study.budget.epochs,
        max_epochs=study.budget.max_epochs,
        seed=seed,
        parallelism=method.parallelism or study.parallelism,
        start=tuple(study.start),
        prior=tuple(prior),
        fixed=dict(study.fixed),
        charge=study.folds,
    )


def schedule_of(study: Study, method: Method, seed: int, prior: Sequence[Observation] = ()) -> Schedule:
    """Builds the method's schedule. Raises StudyError, with the place in the study file, for options that cannot hold."""
    place = study.methods.index(method) if method in study.methods else 0
    try:
        return methods.build(method, setting_of(study, method, seed, prior))
    except InvalidOption as error:
        raise study.error(("methods", place), str(error)) from None
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
    ) as error:  # an option that is no option
        what = f"{type(error).__name__}: {one_line(error)}"
        raise study.error(("methods", place), f"{method.label} must accept its options, but: {what}") from None


def rules_of(study: Study, method: Method, seed: int, cost: Cost | None = None) -> Rules:
    """Returns the rules of one run: its budget, its virtual workers, the identity of its trials."""

    def key(config: Config, max_epochs: int) -> TrialKey:
        return study.key(config, seed, max_epochs)

    return Rules(
        budget=study.budget.epochs,
        parallelism=method.parallelism or study.parallelism,
        charge=study.folds,
        mode=study.mode,
        clock=study.clock,
        key=key,
        cost=cost or (lambda config: 1.0),
    )


def runs_of(
    study: Study,
    *,
    prior: Sequence[Observation] = (),
    cost: Cost | None = None,
) -> list[Run]:
    """Returns every run of the study, seed by seed, so that all methods of a seed are side by side.

    `prior`: earlier results for methods that learn.
    """
    found: list[Run] = []
    for seed in study.seeds:
        for method in study.methods:
            key = RunKey(method.label, seed)
            schedule = schedule_of(study, method, seed, prior)
            found.append(Run(key, schedule, rules_of(study, method, seed, cost)))
    return found


def epoch_cost(study: Study) -> Cost:
    """Returns the virtual time of an epoch by configuration, as the trainable declares it; 1 where it does not.

    It is 1, too, for a trainable that was given as an object which this process does not have: a replay needs no code.
    """
    if study.trainable in NO_EPOCH_COST:
        return lambda config: 1.0
    from trainables import given, load

    name = given.of(study.trainable)
    if name and not given.known(name):
        return lambda config: 1.0
    declared: Any = getattr(load(study.trainable), "epoch_cost", None)
    if declared is None:
        return lambda config: 1.0
    fixed = dict(study.fixed)
    return lambda config: float(declared({**fixed, **config}))
