"""Optuna: a sampler by name, and a pruner that stops trials.

Options: `sampler` and `pruner`, each a name or {name: {options}}. Without a sampler it is the one that Optuna takes by
default. Conditions are expressed as Optuna's users do, by which hyperparameters are asked for.
"""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from .terms import FULL, STOPPING, Ask, Config, Domain, Driven, Opening, Refused, keyword_arguments

optuna.logging.set_verbosity(optuna.logging.ERROR)


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns the modules that a sampler imports late."""
    sampler = str(options.get("sampler"))
    return ["torch", "scipy.optimize", "scipy.stats", "optuna._gp.gp", "optuna._gp.optim_mixed"] * ("GP" in sampler) + [
        "cmaes"
    ] * ("Cma" in sampler)


def begin(opening: Opening) -> Driven:
    """Builds the study with the sampler and the pruner that the options name."""
    opening.no_options("optuna", ("sampler", "pruner"))
    if opening.name:
        raise Refused(f"optuna takes `sampler` and `pruner`, but got {opening.name!r}")
    sampler = chosen("sampler", optuna.samplers, optuna.samplers.BaseSampler, opening.options.get("sampler"), opening)
    pruner = chosen("pruner", optuna.pruners, optuna.pruners.BasePruner, opening.options.get("pruner"), opening)
    default: Any = type(optuna.create_study().sampler)
    return OptunaStudy(opening, sampler or default(seed=opening.seed), pruner)


def chosen(kind: str, module: Any, base: type, given: Any, opening: Opening) -> Any:
    """Builds the sampler or the pruner that an option names; None where it names none. Raises Refused."""
    if given is None:
        return None
    name, options = next(iter(given.items())) if isinstance(given, dict) and len(given) == 1 else (given, None)
    known = [each for each in dir(module) if isinstance(getattr(module, each), type) and each != base.__name__]
    known = [each for each in known if issubclass(getattr(module, each), base)]
    if name not in known:
        raise Refused(f"{kind} must be a name or {{name: {{options}}}} of {', '.join(known)}, but got {given!r}")
    return made(name, getattr(module, name), options, opening)


def made(name: str, factory: Any, options: Any, opening: Opening) -> Any:
    """Calls a sampler's or a pruner's class with its options, the run's seed and what is known of its epochs."""
    import inspect

    given = keyword_arguments(name, factory, options, ("seed",))
    parameters = inspect.signature(factory).parameters
    if "seed" in parameters:
        given["seed"] = opening.seed
    if name == "HyperbandPruner":
        given.setdefault("max_resource", opening.max_epochs)
    if name == "GridSampler" and "search_space" not in given:
        given["search_space"] = {d.name: d.levels for d in opening.flat("GridSampler") if _has_levels(d)}
    try:
        return factory(**given)
    except (TypeError, ValueError) as error:
        raise Refused(f"{name} must accept its options, but: {error}") from error


def _has_levels(domain: Domain) -> bool:
    if domain.kind == "float" and domain.step is None:
        raise Refused(f"GridSampler needs steps or values, but {domain.name} is a continuous range")
    return True


class OptunaStudy:
    """A study of Optuna, asked and told."""

    deterministic = True

    def __init__(self, opening: Opening, sampler: Any, pruner: Any) -> None:
        self.kind = FULL if pruner is None else STOPPING
        self._space, self._max_epochs = opening.space, opening.max_epochs
        self._distributions = {domain.name: distribution(domain) for domain in opening.space}
        self._study = optuna.create_study(
            direction="maximize",
            sampler=sampler,
            pruner=pruner or optuna.pruners.NopPruner(),
            study_name=f"seed {opening.seed}",  # Hyperband's brackets depend on it
        )
        self._trials: list[Any] = []
        self._best: dict[int, float] = {}
        self._last: dict[int, tuple[int, float]] = {}  # a trial's last epoch and its value
        self._paused: set[int] = set()
        for config, _, value in opening.prior:
            known = {name: self._distributions[name] for name in config}
            self._study.add_trial(create_trial(params=config, distributions=known, value=value))

    def ask(self) -> Ask:
        trial, config = self._asked()
        self._trials.append(trial)
        return Ask(len(self._trials) - 1, self._max_epochs, config)

    def _asked(self) -> tuple[Any, Config]:
        trial, config = self._study.ask(), Config()
        for domain in self._space:
            if domain.exists(config):
                config[domain.name] = suggested(trial, domain)
        return trial, config

    def take(self, trial: int, config: Config) -> None:
        self._study.tell(self._trials[trial], state=TrialState.FAIL)
        self._study.enqueue_trial(config)
        self._trials[trial], _ = self._asked()

    def observe(self, trial: int, epoch: int, value: float) -> str:
        self._best[trial] = max(value, self._best.get(trial, value))
        self._last[trial] = epoch, value
        if trial not in self._paused:
            self._trials[trial].report(value, epoch)
        judged = self.kind == STOPPING and epoch < self._max_epochs
        return "stop" if judged and self._trials[trial].should_prune() else "continue"

    def pause(self, trial: int) -> None:
        self._end(trial, TrialState.PRUNED)
        self._paused.add(trial)

    def close(self, trial: int) -> None:
        whole = self._last[trial][0] == self._max_epochs
        self._end(trial, TrialState.COMPLETE if whole else TrialState.PRUNED)

    def _end(self, trial: int, state: Any) -> None:
        """Tells how far a trial has come. Optuna's trials end once: one that went on after a pause ends as another trial."""
        value = self._best[trial] if state == TrialState.COMPLETE else None
        if trial not in self._paused:
            self._study.tell(self._trials[trial], value, state)
            return
        epoch, last = self._last[trial]
        earlier = self._study.get_trials(deepcopy=False)[self._trials[trial].number]
        self._study.add_trial(
            create_trial(
                state=state, value=last if value is None else value, params=earlier.params,
                distributions=earlier.distributions, intermediate_values={epoch: last}, system_attrs=earlier.system_attrs,
            )
        )  # fmt: skip

    def fail(self, trial: int) -> None:
        if trial not in self._paused:
            self._study.tell(self._trials[trial], state=TrialState.FAIL)


def distribution(domain: Domain) -> Any:
    """Returns a domain as Optuna's distribution."""
    if domain.kind == "choice":
        return CategoricalDistribution(domain.options)
    if domain.kind == "int":
        return IntDistribution(int(domain.low), _high(domain), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(
        domain.low, domain.levels[-1] if domain.step else domain.high, log=domain.log, step=domain.step
    )


def _high(domain: Domain) -> int:
    return int(domain.levels[-1]) if domain.step else int(domain.high)


def suggested(trial: Any, domain: Domain) -> Any:
    """Asks a trial of Optuna for a hyperparameter."""
    if domain.kind == "choice":
        return trial.suggest_categorical(domain.name, domain.options)
    found = distribution(domain)
    suggest = trial.suggest_int if domain.kind == "int" else trial.suggest_float
    return suggest(domain.name, found.low, found.high, log=found.log, step=found.step)
