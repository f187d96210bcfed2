"""Multi-fidelity search with a surrogate over configuration and epoch (what paper 004 describes as OptiML). Pure.

The surrogate predicts what longer training gives from few epochs; the trial, paused or new, that promises the most
goes on (freeze-thaw: Swersky, Snoek and Adams 2014; the decision: Wistuba, Kadra and Grabocka 2022, DyHPO).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from hpo.methods import options
from hpo.methods.curve_model import CurveModel, Points, Posterior
from hpo.methods.history import History
from hpo.methods.protocol import Setting
from hpo.methods.rungs import check
from hpo.space import Config, Vector
from hpo.trial import Decision, Segment

MODELLED = 160  # the most points that the surrogate takes: a decision's cost stays bounded
CONTENDERS = 12  # the paused trials a rung that may go on, its best ones
DRAWN = 48  # new random configurations that are weighed at a decision
REFIT = 64  # decisions after which it is fitted anew at the latest
NEAR = 24  # and changes of the best ones


@dataclass
class Curve:
    """A trial: its configuration as features, and its values at the rungs that it reached."""

    config: Config
    features: Vector
    values: list[float] = field(default_factory=list)
    failed: bool = False


@dataclass(frozen=True)
class Candidate:
    """What could be trained next: a paused trial, or a new configuration (trial None)."""

    trial: int | None
    config: Config
    features: Vector


class Multifidelity:
    """Expected improvement at the next rung decides between going on with a trial and starting a new one.

    Every paused trial and many new configurations are weighed by how much they are expected to improve on the best
    value at the rung (r, r*eta, ... R) that they would be trained to; the winner is trained to it. Options:
    max_epochs (R), min_epochs (r), eta, initial (random configurations first), random_fraction (of the decisions
    start a random configuration, so that no model can lock the search in).
    """

    oblivious = False
    expensive = True

    def __init__(
        self,
        setting: Setting,
        *,
        max_epochs: int | None = None,
        min_epochs: int = 1,
        eta: int = 2,
        initial: int = 8,
        random_fraction: float = 0.1,
    ) -> None:
        self.max_epochs = options.epochs(setting, max_epochs)
        self._levels = check(min_epochs, self.max_epochs, eta)
        self._initial = options.whole("initial", initial, 1)
        self._random = options.real("random_fraction", random_fraction, 0.0, 1.0)
        self._setting = setting
        self._history = History(setting)
        self._curves: list[Curve] = []
        self._waiting: list[set[int]] = [set() for _ in self._levels]  # paused, by how many rungs they reached
        self._under_way: dict[int, int] = {}  # trial -> the rung that it trains to
        self._decisions = 0
        self._model = CurveModel(setting.space.width)
        self._fitted = 0  # points at the last fit
        self._refit = 0  # the decision at which it is fitted again

    # -- the schedule -------------------------------------------------------------------------------------------------

    def next_segment(self) -> Segment | None:
        rng = np.random.default_rng([self._setting.seed, 0x4F, self._decisions])
        self._decisions += 1
        candidate = self._choose(rng)
        if candidate is None:
            return None
        trial = self._start(candidate.config) if candidate.trial is None else candidate.trial
        curve, reached = self._curves[trial], len(self._curves[trial].values)
        self._waiting[reached].discard(trial)
        self._under_way[trial] = reached
        return Segment(trial, curve.config, 0 if reached == 0 else self._levels[reached - 1], self._levels[reached])

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        curve = self._curves[trial]
        self._history.observe(curve.config, epoch, value)
        rung = self._under_way[trial]
        if epoch < self._levels[rung]:
            return Decision.CONTINUE
        del self._under_way[trial]
        curve.values.append(value)
        if epoch < self.max_epochs:
            self._waiting[rung + 1].add(trial)
            return Decision.PAUSE
        self._history.close(curve.config)
        return Decision.STOP

    def on_failure(self, trial: int, epoch: int) -> None:
        del self._under_way[trial]
        self._curves[trial].failed = True
        self._history.fail(self._curves[trial].config)

    def _start(self, config: Config) -> int:
        self._history.take(config)
        self._curves.append(Curve(config, self._setting.space.features(config)))
        return len(self._curves) - 1

    # -- the decision -------------------------------------------------------------------------------------------------

    def _choose(self, rng: np.random.Generator) -> Candidate | None:
        config = self._history.next_start()
        if config is None and (len(self._curves) < self._initial or rng.random() < self._random):
            config = self._history.fresh(rng)
        if config is not None:
            return self._new(config)
        paused = self._contenders()
        candidates = paused + [self._new(config) for config in self._proposals(rng)]
        if len(candidates) < 2 or not any(curve.values for curve in self._curves):
            return candidates[0] if candidates else None
        return candidates[int(np.argmax(self._promise(candidates)))]

    def _new(self, config: Config) -> Candidate:
        return Candidate(None, config, self._setting.space.features(config))

    def _contenders(self) -> list[Candidate]:
        """The best paused trials of each rung."""
        found = []
        for waiting in self._waiting[1:]:
            best = sorted(waiting, key=lambda trial: (-self._curves[trial].values[-1], trial))[:CONTENDERS]
            found += [Candidate(trial, self._curves[trial].config, self._curves[trial].features) for trial in best]
        return found

    def _proposals(self, rng: np.random.Generator) -> list[Config]:
        """New configurations: random ones, and those near the best; each once."""
        space = self._setting.space
        cubes = list(rng.random((DRAWN, len(space))))
        ranked = sorted((c for c in self._curves if c.values), key=lambda c: (-len(c.values), -c.values[-1]))[:8]
        for i in range(NEAR if ranked else 0):
            cube = space.encode(ranked[i % len(ranked)].config)
            moved = rng.random(len(space)) < max(0.3, 1 / len(space))
            cubes.append(np.where(moved, np.clip(cube + rng.normal(0, 0.15, len(space)), 0, 1), cube))
        unique = {tuple(sorted(config.items())): config for config in map(space.decode, cubes)}
        return [config for config in unique.values() if self._history.is_new(config)]

    def _promise(self, candidates: Sequence[Candidate]) -> Vector:
        """The log expected improvement of each candidate at its next rung over the best value there."""
        posterior, records = self._posterior()
        rungs = [0 if c.trial is None else len(self._curves[c.trial].values) for c in candidates]
        ends = Points(
            np.array([c.features for c in candidates]),
            np.array([self._place(self._levels[rung]) for rung in rungs]),
            np.array([-1 - i if c.trial is None else c.trial for i, c in enumerate(candidates)]),
        )
        mean, deviation = posterior.predict(ends)
        return np.log(deviation) + log_improvement((mean - records[rungs]) / deviation)

    def _posterior(self) -> tuple[Posterior, Vector]:
        """The surrogate given the curves, and the best value at each rung (where none is: the best of all)."""
        rows = [(t, rung, value) for t in self._modelled() for rung, value in enumerate(self._curves[t].values)]
        values = np.array([value for _, _, value in rows])
        middle, high = np.quantile(values, [0.5, 0.9])
        y = squashed((values - middle) / (high - middle or values.std() or 1.0))
        points = Points(
            np.array([self._curves[trial].features for trial, _, _ in rows]),
            np.array([self._place(self._levels[rung]) for _, rung, _ in rows]),
            np.array([trial for trial, _, _ in rows]),
        )
        if len(y) >= 1.2 * self._fitted or self._decisions >= self._refit:
            self._model.fit(points, y)
            self._fitted, self._refit = len(y), self._decisions + REFIT
        records = np.full(len(self._levels), y.max())
        reached = np.array([rung for _, rung, _ in rows])
        for rung in set(reached.tolist()):
            records[rung] = y[reached == rung].max()
        return self._model.condition(points, y), records

    def _place(self, epoch: int) -> float:
        return math.log(epoch) / math.log(self.max_epochs) if self.max_epochs > 1 else 1.0

    def _modelled(self) -> list[int]:
        """The trials that the surrogate learns from: the longest trained and the best, then the newest."""
        known = [trial for trial, curve in enumerate(self._curves) if curve.values]
        ranked = sorted(known, key=lambda t: (-len(self._curves[t].values), -self._curves[t].values[-1], t))
        chosen, points = [], 0
        for trial in ranked:
            points += len(self._curves[trial].values)
            if points > MODELLED:
                break
            chosen.append(trial)
        return sorted(chosen)


def squashed(y: Vector) -> Vector:
    """Standardized values with the far low ones drawn in: what is far below is just bad."""
    return np.asarray(np.where(y < -1.0, -1.0 - np.log1p(np.maximum(-1.0 - y, 0.0)), y))


def log_improvement(z: Vector) -> Vector:
    """log(pdf(z) + z cdf(z)) of the standard normal, by its asymptote where that vanishes (Ament et al. 2023)."""
    near = np.maximum(z, -5.0)
    far = np.minimum(z, -5.0)
    close = np.log(norm.pdf(near) + near * norm.cdf(near))
    return np.asarray(np.where(z > -5.0, close, norm.logpdf(far) - 2 * np.log(-far)))
