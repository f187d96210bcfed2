"""The runs of a study, ready to be played: methods built, rules set. Used by the driver, the replay and `hpo check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hpo import methods
from hpo.game.run import Rules, Run
from hpo.methods.protocol import InvalidOption, Schedule, Setting
from hpo.study.space import Config
from hpo.study.study import Study
from hpo.study.values import Method, Observation, RunKey, TrialKey

NO_EPOCH_COST = ("image_classifier",)  # importing torch, only to find that it declares none, would take seconds

Cost = Callable[[Config], float]


def setting_of(study: Study, method: Method, seed: int, prior: Sequence[Observation] = ()) -> Setting:
    """What the method may know of the study."""
    return Setting(
        space=study.space,
        budget=study.budget.epochs,
        max_epochs=study.budget.max_epochs,
        seed=seed,
        parallelism=method.parallelism or study.parallelism,
        start=tuple(study.start),
        prior=tuple(prior),
        fixed=dict(study.fixed),
    )


def schedule_of(study: Study, method: Method, seed: int, prior: Sequence[Observation] = ()) -> Schedule:
    """The method's schedule. Raises StudyError, with the place in the study file, for options that cannot hold."""
    try:
        return methods.build(method, setting_of(study, method, seed, prior))
    except InvalidOption as error:
        place = study.methods.index(method) if method in study.methods else 0
        raise study.error(("methods", place), str(error)) from None


def rules_of(study: Study, method: Method, seed: int, cost: Cost | None = None) -> Rules:
    """The rules of one run: its budget, its virtual workers, what its trials are."""

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
    scripts: Mapping[str, Mapping[int, tuple[str, int]]] | None = None,
) -> list[Run]:
    """Every run of the study, seed by seed, so that all methods of a seed stand side by side."""
    scripts = scripts or {}
    found: list[Run] = []
    for seed in study.seeds:
        for method in study.methods:
            key = RunKey(method.label, seed)
            schedule = schedule_of(study, method, seed, prior)
            found.append(Run(key, schedule, rules_of(study, method, seed, cost), scripts.get(str(key))))
    return found


def epoch_cost(study: Study) -> Cost:
    """The virtual time of an epoch of a configuration, as the trainable declares it; 1 where it does not."""
    if study.trainable in NO_EPOCH_COST:
        return lambda config: 1.0
    from trainables import load

    declared: Any = getattr(load(study.trainable), "epoch_cost", None)
    if declared is None:
        return lambda config: 1.0
    fixed = dict(study.fixed)
    return lambda config: float(declared({**fixed, **config}))
