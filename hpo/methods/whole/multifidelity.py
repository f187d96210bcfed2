"""Multi-fidelity search with a surrogate over configuration and epoch (what paper 004 describes as OptiML). Pure.

The surrogate predicts final values from few epochs. Its predictions decide which trials start, freeze and thaw
(Swersky, Snoek and Adams 2014). As many trials may thaw as in ASHA, so that a wrong surrogate cannot trap the search.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.schedules.rungs import check
from hpo.methods.searchers.acquisition import log_improvement
from hpo.methods.searchers.history import History
from hpo.methods.searchers.one_thread import one_thread
from hpo.methods.whole.curve_model import CurveModel, Points, Posterior
from hpo.study.space import Config, Vector
from hpo.study.values import Decision, Segment, digest

MODELLED = 160  # the most points that the surrogate takes, so that a decision's cost is bounded
CONTENDERS = 16  # how many trials of a rung, its best ones, may thaw
DRAWN = 48  # new random configurations that a decision compares
REFIT = 64  # the most decisions between two fits of the surrogate
NEAR = 24  # changes of the best configurations that a decision compares
EARLIER = 1 << 32  # the numbers of earlier results' curves begin here


@dataclass
class Curve:
    """A trial: its configuration, the same as features, and its values at the rungs that it reached."""

    config: Config
    features: Vector
    values: list[float] = field(default_factory=list)  # none if it failed


class Multifidelity:
    """Thaws as many trials of each rung as ASHA would promote, but those with the best predicted final value.

    A rung's best trials go on to the next (r, r*eta, ... R) if the surrogate gives them a chance to end above the best
    value seen. Otherwise a new configuration starts: among random ones and changes of the best, the one with the highest
    expected improvement at R. Options: max_epochs (R), min_epochs (r), eta, initial (random configurations first),
    random_fraction (the share of random ones among new configurations).
    """

    oblivious = False
    expensive = True

    def __init__(
        self,
        setting: Setting,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        eta: int = 4,
        initial: int = 8,
        random_fraction: float = 0.2,
    ) -> None:
        self.max_epochs = options.epochs(setting, max_epochs)
        self._levels = check(min_epochs, self.max_epochs, eta)
        self._eta = eta
        self._initial = options.whole("initial", initial, 1)
        self._random = options.real("random_fraction", random_fraction, 0.0, 1.0)
        self._setting = setting
        self._history = History(setting)
        self._curves: list[Curve] = []
        self._earlier = _earlier_curves(setting, self._levels)
        self._waiting: list[set[int]] = [set() for _ in self._levels]  # paused trials, by the rung where they wait
        self._reached = [0] * len(self._levels)  # how many trials came to each rung, with failures on the way
        self._thawed = [0] * len(self._levels)  # how many went on from it
        self._under_way: dict[int, int] = {}  # trial -> the rung that it trains to
        self._decisions = 0
        self._model = CurveModel(setting.space.width)
        self._fitted = 0  # points at the last fit
        self._best = 0.0  # the best value seen, as the surrogate sees values
        self._refit = 0  # the decision at which the surrogate is fitted again

    # -- the schedule -------------------------------------------------------------------------------------------------

    def next_segment(self) -> Segment | None:
        with one_thread():
            return self._next_segment()

    def _next_segment(self) -> Segment | None:
        rng = np.random.default_rng([self._setting.seed, 0x4F, self._decisions])
        self._decisions += 1
        posterior: Posterior | None = None
        for rung in reversed(range(len(self._levels) - 1)):
            if self._waiting[rung] and self._thawed[rung] < self._reached[rung] // self._eta:
                posterior = posterior or self._posterior()
                trial = self._best_frozen(rung, posterior)
                if trial is not None:
                    return self._thaw(rung, trial)
        config = self._choose(rng, posterior)
        if config is not None:
            self._curves.append(Curve(config, self._setting.space.features(config)))
            return self._train(len(self._curves) - 1, 0)
        return None if self._under_way else self._train_on()

    def _train_on(self) -> Segment | None:
        """Trains the best frozen trial of the highest rung, because nothing new is left."""
        for rung in reversed(range(len(self._levels) - 1)):
            if self._waiting[rung]:
                return self._thaw(rung, self._contenders(rung)[0])
        return None

    def _thaw(self, rung: int, trial: int) -> Segment:
        self._waiting[rung].remove(trial)
        self._thawed[rung] += 1
        return self._train(trial, rung + 1)

    def _train(self, trial: int, rung: int) -> Segment:
        self._under_way[trial] = rung
        start = 0 if rung == 0 else self._levels[rung - 1]
        return Segment(trial, self._curves[trial].config, start, self._levels[rung])

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        curve = self._curves[trial]
        self._history.observe(curve.config, epoch, value)
        rung = self._under_way[trial]
        if epoch < self._levels[rung]:
            return Decision.CONTINUE
        del self._under_way[trial]
        curve.values.append(value)
        self._reached[rung] += 1
        if epoch < self.max_epochs:
            self._waiting[rung].add(trial)
            return Decision.PAUSE
        self._history.close(curve.config)
        return Decision.STOP

    def on_failure(self, trial: int, epoch: int) -> None:
        self._reached[self._under_way.pop(trial)] += 1
        self._curves[trial].values.clear()
        self._history.fail(self._curves[trial].config)

    # -- the decision -------------------------------------------------------------------------------------------------

    def _choose(self, rng: np.random.Generator, posterior: Posterior | None) -> Config | None:
        """Returns the configuration to start: one of the study's own first, then random ones, then the most promising."""
        config = self._history.next_start()
        if config is not None:
            return config
        proposals: list[Config] = []
        if sum(self._reached) + len(self._earlier) >= self._initial and rng.random() >= self._random:
            proposals = self._proposals(rng)
        if not proposals:
            return self._history.fresh(rng)
        features = np.array([self._setting.space.features(config) for config in proposals])
        mean, deviation = (posterior or self._posterior()).ends(features, -1 - np.arange(len(proposals)))
        best = int(np.argmax(np.log(deviation) + log_improvement((mean - self._best) / deviation)))
        return self._history.take(proposals[best])

    def _contenders(self, rung: int) -> list[int]:
        """Returns the best few of the trials that wait at a rung."""
        return sorted(self._waiting[rung], key=lambda trial: (-self._curves[trial].values[-1], trial))[:CONTENDERS]

    def _best_frozen(self, rung: int, posterior: Posterior) -> int | None:
        """Returns the trial of a rung with the best predicted end; None if it is unlikely to beat the best value."""
        contenders = self._contenders(rung)
        features = np.array([self._curves[trial].features for trial in contenders])
        mean, deviation = posterior.ends(features, np.array(contenders))
        best = int(np.argmax(mean))
        return contenders[best] if mean[best] + 2 * deviation[best] >= self._best else None

    def _proposals(self, rng: np.random.Generator) -> list[Config]:
        """Returns new configurations, random ones and some near the best; each once."""
        space = self._setting.space
        if space.pool is not None:
            return [space.pool[i] for i in self._history.open()]
        cubes = list(rng.random((DRAWN, len(space))))
        ranked = [curve for _, curve in self._ranked()[:8]]
        for i in range(NEAR if ranked else 0):
            cube = space.encode(ranked[i % len(ranked)].config)
            moved = rng.random(len(space)) < max(0.3, 1 / len(space))
            cubes.append(np.where(moved, np.clip(cube + rng.normal(0, 0.15, len(space)), 0, 1), cube))
        unique = {tuple(sorted(config.items())): config for config in map(space.decode, cubes)}
        return [config for config in unique.values() if self._history.is_new(config)]

    def _posterior(self) -> Posterior:
        """Returns the surrogate given the curves so far; fits it again when it is due."""
        curves = self._modelled()
        rows = [(number, rung, value) for number, c in curves.items() for rung, value in enumerate(c.values)]
        values = np.array([value for _, _, value in rows])
        middle, high = np.quantile(values, [0.5, 0.9])
        y = squashed((values - middle) / (high - middle or values.std() or 1.0))
        points = Points(
            np.array([curves[number].features for number, _, _ in rows]),
            np.array([self._place(self._levels[rung]) for _, rung, _ in rows]),
            np.array([number for number, _, _ in rows]),
        )
        if len(y) >= 1.2 * self._fitted or self._decisions >= self._refit:
            self._model.fit(points, y)
            self._fitted, self._refit = len(y), self._decisions + REFIT
        self._best = float(y.max())
        return self._model.condition(points, y)

    def _place(self, epoch: int) -> float:
        return math.log(epoch) / math.log(self.max_epochs) if self.max_epochs > 1 else 1.0

    def _ranked(self) -> list[tuple[int, Curve]]:
        """Returns the curves with their numbers, those of earlier results as well: the longest trained, then the best, first."""
        known = [*enumerate(self._curves), *enumerate(self._earlier, start=EARLIER)]
        return sorted((k for k in known if k[1].values), key=lambda k: (-len(k[1].values), -k[1].values[-1], k[0]))

    def _modelled(self) -> dict[int, Curve]:
        """Returns the curves that the surrogate learns from: the first of `_ranked`, up to MODELLED points."""
        chosen, points = {}, 0
        for number, curve in self._ranked():
            points += len(curve.values)
            if points > MODELLED:
                break
            chosen[number] = curve
        return dict(sorted(chosen.items()))


def _earlier_curves(setting: Setting, levels: list[int]) -> list[Curve]:
    """Returns earlier results as curves: at each rung the last value up to there, as far as it was observed."""
    found: dict[str, Curve] = {}
    reached: dict[str, dict[int, float]] = {}
    for observation in sorted(setting.prior, key=lambda o: o.epoch):
        if observation.config in setting.space:
            name = digest(dict(observation.config))
            found.setdefault(name, Curve(observation.config, setting.space.features(observation.config)))
            rung = bisect_left(levels, min(observation.epoch, levels[-1]))
            reached.setdefault(name, {})[rung] = observation.value
    for name, curve in found.items():
        rungs = itertools.takewhile(reached[name].__contains__, range(len(levels)))
        curve.values.extend(reached[name][rung] for rung in rungs)
    return list(found.values())


def squashed(y: Vector) -> Vector:
    """Compresses standardized values below -1: the surrogate need not tell bad from very bad."""
    return np.asarray(np.where(y < -1.0, -1.0 - np.log1p(np.maximum(-1.0 - y, 0.0)), y))
