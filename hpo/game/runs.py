"""The runs of a study, ready to play: builds their methods and sets their rules, for the driver, the replay and `hpo check`.

Pure, but for the import of the trainable, which may declare what an epoch costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from hpo import methods
from hpo.errors import HpoError
from hpo.game.run import Rules, Run
from hpo.methods.protocol import InvalidOption, Schedule, Setting
from hpo.study.amounts import COST, EPOCHS
from hpo.study.space import Config
from hpo.study.study import Study
from hpo.study.values import Method, Observation, RunKey, TrialKey
from hpo.text import one_line, shown

SAMPLED = 64  # configurations whose prices tell what an epoch costs on average

INSTEAD = {("budget", "cost"): "give epochs", ("clock",): "leave clock out"}

Cost = Callable[[Config], float]


def setting_of(
    study: Study, method: Method, seed: int, prior: Sequence[Observation] = (), cost: Cost | None = None
) -> Setting:
    """Returns all that the method may know of the study; `cost`: what an epoch of a configuration costs, if known."""
    return Setting(
        space=study.space,
        budget=affordable(study),
        max_epochs=study.budget.max_epochs,
        seed=seed,
        parallelism=method.parallelism or study.parallelism,
        start=tuple(study.start),
        prior=tuple(prior),
        fixed=dict(study.fixed),
        charge=study.folds,
        epoch_cost=cost,
        budget_in_cost=study.budget.unit != EPOCHS,
    )


def schedule_of(
    study: Study, method: Method, seed: int, prior: Sequence[Observation] = (), cost: Cost | None = None
) -> Schedule:
    """Builds the method's schedule. Raises StudyError, with the place in the study file, for options that cannot hold."""
    place = study.methods.index(method) if method in study.methods else 0
    try:
        return methods.build(method, setting_of(study, method, seed, prior, cost))
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

    unit = study.budget.unit
    declared = cost if unit == EPOCHS else epoch_cost(study)
    return Rules(
        budget=study.budget.amount,
        parallelism=method.parallelism or study.parallelism,
        charge=study.folds,
        mode=study.mode,
        clock=study.clock,
        key=key,
        cost=cost or (lambda config: 1.0),
        unit=unit,
        price=None if declared is None else _price(study, declared),
    )


def runs_of(
    study: Study,
    *,
    prior: Sequence[Observation] = (),
    cost: Cost | None = None,
    known: Cost | None = None,
) -> list[Run]:
    """Returns every run of the study, seed by seed, so that all methods of a seed are side by side.

    `prior`: earlier results for methods that learn. `cost`: the virtual time of an epoch. Methods know of it what
    the budget counts, or else `known`, or else `cost`.
    """
    found: list[Run] = []
    known = (known or cost) if study.budget.unit == EPOCHS else epoch_cost(study)
    for seed in study.seeds:
        for method in study.methods:
            key = RunKey(method.label, seed)
            schedule = schedule_of(study, method, seed, prior, known)
            found.append(Run(key, schedule, rules_of(study, method, seed, cost)))
    return found


def epoch_cost(study: Study) -> Cost | None:
    """Returns what an epoch costs by configuration, as the trainable declares it; None where it does not.

    It is the virtual time of an epoch, too, in ticks. None, too, for a trainable that was given as an object which this
    process does not have: a replay needs no code. Raises BadTrainable, and StudyError where the study needs a cost.
    """
    from trainables import costs, declarations, given
    from trainables.task import Task

    needed, name = _needing(study), given.of(study.trainable)
    lacking = bool(name) and not given.known(name)
    kind = None if lacking else declarations(study.trainable)
    found = kind and costs.declared(kind, Task.from_json(study.task), study.space.domains)
    if needed and not found:
        why = "is not in this process: import it first" if lacking else "does not"
        message = f"{'.'.join(needed)} needs a trainable that declares epoch_cost, but {study.trainable} {why}"
        raise study.error(needed, message if lacking else f"{message}; {INSTEAD[needed]}")
    if not found or not (needed or costs.moves_clock(kind)):
        return None
    fixed, declared = dict(study.fixed), found
    return lambda config: declared({**fixed, **config})


def _needing(study: Study) -> tuple[str, ...]:
    """Returns the key of the study that asks for costs, if one does."""
    return ("budget", "cost") if study.budget.unit != EPOCHS else ("clock",) if study.clock == "cost" else ()


def _price(study: Study, cost: Cost) -> Callable[[Config], int]:
    """Returns what an epoch of each configuration costs, in millionths: with k folds it trains k models."""
    needed = _needing(study)

    def price(config: Config) -> int:
        value = cost(config)
        if needed and not 0 < value < math.inf:
            message = f"{'.'.join(needed)} needs an epoch_cost above 0 for every configuration, but got {value} for "
            raise study.error(needed, message + shown(dict(config)))
        if study.budget.unit == EPOCHS:  # noted for the curves over cost, but nobody is charged
            return round(value * COST.scale) * study.folds if math.isfinite(value) else 0
        return COST.amount(value) * study.folds

    return price


def prices(study: Study) -> list[int]:
    """Returns what an epoch of some configurations costs, in millionths, the cheapest first; nothing if nobody knows.

    Raises StudyError where the study needs a cost and the trainable declares none, or one that cannot be charged.
    """
    cost, rng = epoch_cost(study), np.random.default_rng(0)
    if cost is None:
        return []
    price = _price(study, cost)
    return sorted(price(study.space.sample(rng)) for _ in range(SAMPLED))


def check_prices(study: Study) -> None:
    """Raises StudyError for a study that needs costs and has none, or whose budget in cost trains no trial to the end."""
    if not _needing(study):
        return
    least = prices(study)[0] * study.budget.max_epochs
    if study.budget.unit != EPOCHS and least > study.budget.amount:
        message = (
            f"budget.cost must pay for a trial's {study.budget.max_epochs} epochs, which cost {COST.shown(least)} or more, "
            f"but got {COST.shown(study.budget.amount)}"
        )
        raise study.error(("budget", "cost"), message)


def affordable(study: Study) -> int:
    """Returns the epochs of a run's budget, as a method plans with them: of one in cost, as many as it pays on average."""
    if study.budget.epochs is not None:
        return study.budget.epochs
    try:
        found = prices(study)
    except HpoError:  # this machine lacks the trainable, or the trainable's own check will say it better
        found = []
    mean = sum(found) // len(found) if found else COST.scale * study.folds
    return max(study.budget.amount // mean, study.budget.max_epochs) * study.folds
