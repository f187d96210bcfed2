"""Other libraries' methods behind this project's interfaces, so that all play the same game. Needs optuna and syne-tune."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from hpo.methods.protocol import Schedule, Setting
from hpo.methods.schedules.full import Full
from hpo.methods.schedules.stopping import Stopping
from hpo.study.space import Choice, Config, Float, SearchSpace
from hpo.study.values import digest


def _optuna_distributions(space: SearchSpace) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space.conditions:
        raise ValueError("peers play spaces without conditions only")
    return {
        name: CategoricalDistribution(d.options)
        if isinstance(d, Choice)
        else FloatDistribution(d.low, d.high, log=d.log, step=d.step)
        if isinstance(d, Float)
        else IntDistribution(d.low, d.high, log=d.log, step=d.step or 1)
        for name, d in space.domains.items()
    }


class OptunaSearcher:
    """A sampler of Optuna as a searcher."""

    oblivious = False
    expensive = True

    def __init__(self, setting: Setting, sampler: Any, pruner: Any = None) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        self.trials: dict[str, Any] = {}
        self.best: dict[str, float] = {}
        self.pruned: set[str] = set()
        self._distributions = _optuna_distributions(setting.space)
        self._fail, self._pruned = optuna.trial.TrialState.FAIL, optuna.trial.TrialState.PRUNED

    def suggest(self) -> Config | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self.study.ask(self._distributions)
        self.trials[digest(dict(trial.params))] = trial
        return dict(trial.params)

    def observe(self, config: Config, epoch: int, value: float) -> None:
        name = digest(dict(config))
        self.best[name] = max(value, self.best.get(name, value))

    def fail(self, config: Config) -> None:
        self.study.tell(self.trials[digest(dict(config))], state=self._fail)

    def close(self, config: Config) -> None:
        name = digest(dict(config))
        if name in self.pruned:
            self.study.tell(self.trials[name], state=self._pruned)
        else:
            self.study.tell(self.trials[name], self.best[name])


class OptunaPruning(Stopping):
    """A pruner of Optuna as a schedule, asked after every epoch."""

    def __init__(self, setting: Setting, searcher: OptunaSearcher) -> None:
        super().__init__(searcher, setting.max_epochs)
        self._peer = searcher

    def judged_at(self, trial: int, epoch: int) -> int:
        return epoch + 1

    def stops(self, trial: int, epoch: int, value: float) -> bool:
        name = digest(dict(self.roster.config(trial)))
        self._peer.trials[name].report(value, epoch)
        if epoch < self.max_epochs and self._peer.trials[name].should_prune():
            self._peer.pruned.add(name)
            return True
        return False

    def ended(self, trial: int, failed: bool) -> None:
        """Does nothing: the searcher tells Optuna."""


class SyneSearcher:
    """The part of a Syne Tune scheduler that suggests configurations."""

    oblivious = False
    expensive = False

    def __init__(self, setting: Setting, scheduler: Callable[[dict[str, Any]], Any]) -> None:
        from syne_tune.config_space import loguniform, uniform

        if not all(isinstance(d, Float) and d.step is None for d in setting.space.domains.values()):
            raise ValueError("Syne Tune plays spaces of plain ranges only")
        domains: Mapping[str, Any] = setting.space.domains
        space = {n: (loguniform if d.log else uniform)(d.low, d.high) for n, d in domains.items()}
        self.scheduler = scheduler(space)
        self.trials: dict[str, Any] = {}

    def suggest(self) -> Config | None:
        from syne_tune.backend.trial_status import Trial

        suggestion = self.scheduler.suggest()
        trial = Trial(len(self.trials), suggestion.config, datetime.fromtimestamp(0))
        self.scheduler.on_trial_add(trial)
        self.trials[digest(dict(suggestion.config))] = trial
        return dict(suggestion.config)

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """Does nothing: the schedule tells Syne Tune."""

    def fail(self, config: Config) -> None:
        self.scheduler.on_trial_error(self.trials[digest(dict(config))])

    def close(self, config: Config) -> None:
        """Does nothing: the schedule tells Syne Tune."""


class SyneStopping(Stopping):
    """The part of a Syne Tune scheduler that stops trials."""

    def __init__(self, setting: Setting, searcher: SyneSearcher) -> None:
        super().__init__(searcher, setting.max_epochs)
        self._peer = searcher

    def judged_at(self, trial: int, epoch: int) -> int:
        return epoch + 1

    def stops(self, trial: int, epoch: int, value: float) -> bool:
        from syne_tune.optimizer.scheduler import SchedulerDecision

        known = self._peer.trials[digest(dict(self.roster.config(trial)))]
        decision = self._peer.scheduler.on_trial_result(known, {"value": value, "epoch": epoch})
        return bool(decision == SchedulerDecision.STOP)

    def ended(self, trial: int, failed: bool) -> None:
        """Does nothing: `stops` or the searcher tells Syne Tune."""


def _optuna(name: str) -> Callable[[Setting], Schedule]:
    def make(setting: Setting) -> Schedule:
        from optuna import samplers

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Full(setting, OptunaSearcher(setting, getattr(samplers, name)(seed=setting.seed)))

    return make


def _optuna_asha(setting: Setting) -> Schedule:
    """Builds Optuna's ASHA; its default reduction factor is 4, like ours."""
    from optuna.pruners import SuccessiveHalvingPruner
    from optuna.samplers import RandomSampler

    searcher = OptunaSearcher(setting, RandomSampler(seed=setting.seed), SuccessiveHalvingPruner(min_resource=1))
    return OptunaPruning(setting, searcher)


def _syne_asha(setting: Setting) -> Schedule:
    from syne_tune.optimizer.baselines import ASHA

    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    searcher = SyneSearcher(
        setting,
        lambda space: ASHA(
            space, metric="value", do_minimize=False, time_attr="epoch", max_t=setting.max_epochs,
            random_seed=setting.seed,
        ),
    )  # fmt: skip
    return SyneStopping(setting, searcher)


PEERS: dict[str, Callable[[Setting], Schedule]] = {
    "optuna-random": _optuna("RandomSampler"),
    "optuna-tpe": _optuna("TPESampler"),
    "optuna-gp": _optuna("GPSampler"),
    "optuna-cmaes": _optuna("CmaEsSampler"),
    "optuna-genetic": _optuna("NSGAIISampler"),
    "optuna-asha": _optuna_asha,
    "syne-asha": _syne_asha,
}
