"""Freeze-thaw search: trials train a little at a time, and those go on that are expected to improve on the best. Pure.

A model of learning curves (Swersky, Snoek and Adams 2014) predicts begun trials and new ones alike, and what improves
the most over a random horizon is trained next (as in ifBO: Rakotoarison et al. 2024). Paper 004 calls such a search OptiML.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpo.methods import options
from hpo.methods.protocol import Schedule, Setting
from hpo.methods.registry import build_searcher
from hpo.methods.schedules.full import Full
from hpo.methods.schedules.rungs import check
from hpo.methods.searchers.acquisition import log_improvement
from hpo.methods.searchers.costs import Costs
from hpo.methods.searchers.encoding import features
from hpo.methods.searchers.history import History
from hpo.methods.searchers.one_thread import one_thread
from hpo.methods.whole.curve_model import CurveModel, Curves, Forecast
from hpo.study.space import Config, Vector
from hpo.study.values import Decision, Segment, digest

Matrix = NDArray[np.float64]

BEST, LAST = 128, 96  # the most trials that the model learns from: its cost grows with their cube
DRAWN, NEAR = 200, 120  # new configurations that a decision compares: random ones, and changes of the best
GROWTH = 1.25  # the model is fitted again when there are so many times more curves
THAWN = 0.1  # of all decisions, the least share that thaws a trial: the longest trained, of several the best
STARTED = 0.05  # and the least share that starts a new trial
HUGE = 1e100  # values beyond it count as it


def multifidelity(
    setting: Setting,
    *,
    max_epochs: int | None = None,
    min_epochs: int | None = None,
    eta: int = 2,
    initial: int = 8,
    random_fraction: float = 0.1,
    cost_aware: bool | None = False,
) -> Schedule:
    """Builds freeze-thaw search; where trials never pause (min_epochs = R) there is nothing to thaw: `bayesian`.

    Options: max_epochs (R); min_epochs (r) and eta: trials pause at r, r*eta, ... R (r is 2 where R >= 16, or else 1: the
    first of many epochs tells little but how a training warms up); initial (results before the model is asked);
    random_fraction (the share of random ones among new configurations); cost_aware (whether improvement is
    counted per cost of an epoch, see Costs).
    """
    epochs = options.epochs(setting, max_epochs)
    levels = check((2 if epochs >= 16 else 1) if min_epochs is None else min_epochs, epochs, eta)
    options.whole("initial", initial, 1)
    options.real("random_fraction", random_fraction, 0.0, 1.0)
    costs = Costs(setting, options.aware(cost_aware))
    if len(levels) == 1:
        return Full(setting, build_searcher("bayesian", setting, initial=initial), max_epochs=epochs)
    return FreezeThaw(setting, levels, initial, random_fraction, costs)


@dataclass
class Trial:
    """A trial: its configuration, the same as features, its best value, and that up to each level it reached."""

    config: Config
    features: Vector
    log_cost: float = 0.0  # of an epoch
    best: float = -math.inf
    values: list[float] = field(default_factory=list)
    failed: bool = False


class FreezeThaw:
    """Trains the trial, begun or new, whose expected improvement over a random horizon is highest, to its next level.

    The horizon is the same for all that a decision compares. So some decisions look for what is good soon, others for
    what is good in the end. Least shares of thawing and of new trials keep a wrong model from locking the search up.
    """

    oblivious = False
    expensive = True

    def __init__(
        self,
        setting: Setting,
        levels: list[int],
        initial: int,
        random_fraction: float,
        costs: Costs,
    ) -> None:
        self.max_epochs = levels[-1]
        self._levels, self._initial, self._random = levels, initial, random_fraction
        self._setting, self._costs = setting, costs
        self._history = History(setting, costs)
        self._trials: list[Trial] = []
        self._earlier = _earlier_trials(setting, levels)
        self._frozen: set[int] = set()
        self._under_way: set[int] = set()
        self._decisions = self._thawed = 0
        self._model = CurveModel(setting.space.width, levels)
        self._due = 0  # the number of curves at which the model is fitted next

    # -- the schedule -------------------------------------------------------------------------------------------------

    def next_segment(self) -> Segment | None:
        rng = np.random.default_rng([self._setting.seed, 0x4F, self._decisions])
        self._decisions += 1
        with one_thread():
            chosen = self._decide(rng)
        if isinstance(chosen, int):
            self._thawed += 1
            self._frozen.remove(chosen)
            return self._train(chosen)
        if chosen is None:
            return None
        self._trials.append(Trial(chosen, self._setting.space.features(chosen), float(self._costs.logs([chosen])[0])))
        return self._train(len(self._trials) - 1)

    def _train(self, trial: int) -> Segment:
        self._under_way.add(trial)
        reached = len(self._trials[trial].values)
        start = 0 if reached == 0 else self._levels[reached - 1]
        return Segment(trial, self._trials[trial].config, start, self._levels[reached])

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        mine = self._trials[trial]
        self._history.observe(mine.config, epoch, value)
        mine.best = max(mine.best, min(HUGE, max(-HUGE, value)))
        if epoch < self._levels[len(mine.values)]:
            return Decision.CONTINUE
        mine.values.append(mine.best)
        self._under_way.remove(trial)
        if epoch < self.max_epochs:
            self._frozen.add(trial)
            return Decision.PAUSE
        self._history.close(mine.config)
        return Decision.STOP

    def on_failure(self, trial: int, epoch: int) -> None:
        self._under_way.discard(trial)
        self._frozen.discard(trial)
        self._trials[trial].failed = True
        self._history.fail(self._trials[trial].config)

    # -- the decision -------------------------------------------------------------------------------------------------

    def _decide(self, rng: np.random.Generator) -> Config | int | None:
        """Returns the configuration to start or the trial to thaw; None if there is neither."""
        config = self._history.next_start()
        if config is not None:
            return config
        if sum(bool(t.values) for t in [*self._trials, *self._earlier]) < self._initial:
            return self._history.fresh(rng) or self._best_frozen()
        if len(self._trials) < STARTED * self._decisions:
            return self._history.fresh(rng) or self._best_frozen()
        if self._frozen and self._thawed < THAWN * self._decisions:
            return self._best_frozen()
        return self._compare(rng)

    def _best_frozen(self) -> int | None:
        """Returns the longest trained of the frozen trials, the best of several; None if there is none."""
        rated = ((len(self._trials[t].values), self._trials[t].best, -t) for t in self._frozen)
        return -found[2] if (found := max(rated, default=None)) else None

    def _compare(self, rng: np.random.Generator) -> Config | int | None:
        """Returns what promises most over a random horizon."""
        numbers, forecast, best = self._forecast()
        horizon = round(math.exp(rng.uniform(0.0, math.log(self.max_epochs))))
        frozen = [place for place, number in enumerate(numbers) if number in self._frozen]
        mean, deviation = (found[frozen] for found in forecast.begun(horizon))
        logs = np.array([self._trials[numbers[place]].log_cost for place in frozen])
        rates = _rates(mean, deviation, best, logs)
        top = float(rates.max(initial=-math.inf))
        config = self._promising(rng, forecast, horizon, best, top)
        if config is not None:
            return config
        return numbers[frozen[int(np.argmax(rates))]] if frozen else self._best_frozen()

    def _promising(
        self, rng: np.random.Generator, forecast: Forecast, horizon: int, best: float, top: float
    ) -> Config | None:
        """Starts the new configuration of the highest rate, if that is above `top`, or a random one in its place."""
        rows, logs, config = self._candidates(rng)
        if not len(rows):
            return self._history.fresh(rng) if not self._frozen else None
        rates = _rates(*forecast.new(rows, horizon), best, logs)
        if rates.max() <= top:
            return None
        if rng.random() < self._random:
            return self._history.fresh(rng)
        order = (config(int(i)) for i in np.argsort(-rates, kind="stable") if rates[i] > top)
        found = next((c for c in order if self._history.is_new(c)), None)
        return self._history.take(found) if found is not None else self._history.fresh(rng)

    def _candidates(self, rng: np.random.Generator) -> tuple[Matrix, Vector, Callable[[int], Config]]:
        """Returns new configurations, those of the pool or drawn ones: features, log costs, and what gives each by its row."""
        space = self._setting.space
        if (pool := space.pool) is not None:
            left = self._history.open()
            return pool.features[left], self._costs.pool[left], lambda i: pool[left[i]]
        cubes = self._cubes(rng)
        return features(space, cubes), self._costs.at(cubes), lambda i: space.decode(cubes[i])

    def _cubes(self, rng: np.random.Generator) -> Matrix:
        """Returns points of the cube, random ones and some near the best trials; shape [DRAWN + NEAR, len(space)]."""
        space = self._setting.space
        ranked = sorted((t for t in [*self._trials, *self._earlier] if t.values), key=lambda t: -t.best)[:8]
        centres = np.array([space.encode(ranked[i % len(ranked)].config) for i in range(NEAR)])
        moved = rng.random(centres.shape) < max(0.3, 1 / len(space))
        width = rng.choice([0.02, 0.1, 0.3], (NEAR, 1))
        steps = np.clip(centres + width * rng.normal(size=centres.shape), 0.0, 1.0)
        return np.vstack([rng.random((DRAWN, len(space))), np.where(moved, steps, centres)])

    # -- the model ----------------------------------------------------------------------------------------------------

    def _forecast(self) -> tuple[list[int], Forecast, float]:
        """Returns what the model expects, the number of each of its trials (-1 for earlier ones), and the best value.

        Fits the model again when it is due.
        """
        known = [*enumerate(self._trials), *((-1, trial) for trial in self._earlier)]
        kept = _kept(known)
        told = [k for k in kept if k[1].values] + [k for k in kept if not k[1].values]
        curves = self._curves([trial for _, trial in told])
        results = sum(bool(trial.values) for _, trial in told)
        if results >= self._due:
            self._model.fit(curves.first(results))
            self._due = math.ceil(GROWTH * results)
        return [number for number, _ in told], Forecast(self._model, curves), float(np.nanmax(curves.y))

    def _curves(self, trials: list[Trial]) -> Curves:
        """Returns curves in the scale of the model: 0 is the median trial's value, 1 that of the best twentieth."""
        y = np.full((len(trials), len(self._levels)), np.nan)
        for row, trial in zip(y, trials, strict=True):
            row[: len(trial.values)] = trial.values
        last = np.array([trial.values[-1] for trial in trials if trial.values])
        middle, high = np.quantile(last, [0.5, 0.95])
        y = (y - middle) / (high - middle or last.std() or 1.0)
        known = np.array([len(trial.values) for trial in trials])
        failed = np.array([trial.failed for trial in trials])
        return Curves(np.array([trial.features for trial in trials]), squashed(y), known, failed)


def _rates(mean: Vector, deviation: Vector, best: float, log_costs: Vector) -> Vector:
    """Returns the logarithms of expected improvements on the best value, per cost of an epoch."""
    return np.asarray(np.log(deviation) + log_improvement((mean - best) / deviation) - log_costs)


def _kept(known: list[tuple[int, Trial]]) -> list[tuple[int, Trial]]:
    """Returns the BEST best and the LAST last trials, the longest trained and the best first."""
    ranked = sorted(range(len(known)), key=lambda i: (-known[i][1].best, i))
    kept = {*ranked[:BEST], *range(max(0, len(known) - LAST), len(known))}
    return [known[i] for i in sorted(kept, key=lambda i: (-len(known[i][1].values), -known[i][1].best, i))]


def _earlier_trials(setting: Setting, levels: list[int]) -> list[Trial]:
    """Returns earlier results as trials: at each level the best value up to there, as far as it was observed."""
    found: dict[str, Trial] = {}
    reached: dict[str, dict[int, float]] = {}
    for observation in sorted(setting.prior, key=lambda o: o.epoch):
        if observation.config in setting.space:
            name = digest(dict(observation.config))
            trial = found.setdefault(name, Trial(observation.config, setting.space.features(observation.config)))
            trial.best = max(trial.best, min(HUGE, max(-HUGE, observation.value)))
            level = bisect_left(levels, min(observation.epoch, levels[-1]))
            reached.setdefault(name, {})[level] = trial.best
    for name, trial in found.items():
        at = itertools.takewhile(reached[name].__contains__, range(len(levels)))
        trial.values.extend(reached[name][level] for level in at)
    return list(found.values())


def squashed(y: Matrix) -> Matrix:
    """Compresses standardized values below -1: the model need not tell bad from very bad."""
    return np.asarray(np.where(y < -1.0, -1.0 - np.log1p(np.maximum(-1.0 - y, 0.0)), y))
