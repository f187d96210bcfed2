"""Bayesian optimization with a Gaussian process (Snoek, Larochelle and Adams 2012) over mixed and conditional spaces. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from hpo.methods import options
from hpo.methods.acquisition import NAMES, acquisition
from hpo.methods.encoding import features
from hpo.methods.gaussian_process import GaussianProcess, Posterior
from hpo.methods.history import Seen, ranks, standing
from hpo.methods.one_thread import one_thread
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searching import Searching
from hpo.space import Choice, Config, Vector

BEST, LAST = 150, 150  # the points that the process is fitted to at the most: its cost grows with their cube
CANDIDATES = 1000
ROUNDS = 4  # of refinement around the best candidates
REFIT_FROM, REFIT_EVERY = 60, 10  # beyond so many points, length scales are fitted anew only now and then

Matrix = NDArray[np.float64]


class Bayesian(Searching):
    """A Gaussian process over the configurations; each suggestion maximises an acquisition function.

    acquisition: ei, log_ei, ucb or pi; initial: random configurations first (paper 001: 4); xi, kappa: exploration
    of ei, log_ei and pi, and of ucb. What still runs is taken to give what the process expects of it (a constant
    lie at its mean), so that parallel suggestions differ; failures are taught as the worst value seen.
    """

    expensive = True

    def __init__(
        self, setting: Setting, *, acquisition: str = "log_ei", initial: int = 4, xi: float = 0.0, kappa: float = 1.8
    ) -> None:
        super().__init__(setting, tag=0xBA7E5)
        if acquisition not in NAMES:
            raise InvalidOption(
                f"acquisition must be one of {', '.join(NAMES)}, but got {acquisition!r}"
                + options.nearest(str(acquisition), NAMES)
            )
        self._acquisition = acquisition
        self._initial = options.whole("initial", initial, 1)
        self._xi = options.real("xi", xi, 0.0, 1e6)
        self._kappa = options.real("kappa", kappa, 0.0, 1e6)
        self._process = GaussianProcess(setting.space.width)
        self._due = 0  # the number of observations at which the process is fitted anew

    def propose(self, rng: np.random.Generator) -> Config | None:
        seen = self.history.seen()
        if len(self.history) < self._initial or len([s for s in seen if not s.failed]) < 2:
            return self.setting.space.sample(rng)
        with one_thread():
            return self._maximise(seen, rng)

    def _maximise(self, seen: list[Seen], rng: np.random.Generator) -> Config | None:
        kept = _kept(seen)
        targets = _targets(kept)
        posterior = self._posterior([s.config for s in kept], targets, len(seen))
        rate = acquisition(self._acquisition, float(targets.max()), self._xi, self._kappa)
        best = [kept[i].config for i in np.argsort(-targets, kind="stable")[:5]]
        return self._search(lambda rows: rate(*posterior.predict(rows)), best, rng)

    def _posterior(self, configs: list[Config], targets: Vector, total: int) -> Posterior:
        """The process given what was observed, and that what is untouched gives what is expected of it."""
        rows = self._features(configs)
        if total >= self._due:
            self._process.fit(rows, targets)
            self._due = total + (1 if total < REFIT_FROM else REFIT_EVERY)
        posterior = self._process.condition(rows, targets)
        untouched = self.history.untouched()
        if not untouched:
            return posterior
        believed = self._features(untouched)
        lies, _ = posterior.predict(believed)
        return self._process.condition(np.vstack([rows, believed]), np.concatenate([targets, lies]))

    def _features(self, configs: list[Config]) -> Matrix:
        return np.array([self.setting.space.features(config) for config in configs])

    def _search(
        self, utility: Callable[[Matrix], Vector], best: list[Config], rng: np.random.Generator
    ) -> Config | None:
        """The new configuration of the greatest utility: random ones first, then steps of shrinking size around the best."""
        space = self.setting.space
        cubes = np.vstack(
            [rng.random((CANDIDATES, len(space))), *[_around(space.encode(c), 0.1, 40, rng) for c in best]]
        )
        values = utility(features(space, cubes))
        for round in range(ROUNDS):
            nearby = np.vstack([self._steps(cubes[i], 0.2 / 3**round, rng) for i in np.argsort(-values)[:5]])
            cubes = np.vstack([cubes, nearby])
            values = np.concatenate([values, utility(features(space, nearby))])
        decoded = (space.decode(cubes[i]) for i in np.argsort(-values, kind="stable"))
        return next((config for config in decoded if self.history.is_new(config)), None)

    def _steps(self, cube: Vector, width: float, rng: np.random.Generator) -> Matrix:
        """Points near a point, of which some have one choice changed."""
        points = _around(cube, width, 40, rng)
        choices = [j for j, domain in enumerate(self.setting.space.domains.values()) if isinstance(domain, Choice)]
        if choices:
            points[:, choices] = cube[choices]
            changed = np.flatnonzero(rng.random(len(points)) < 0.3)
            points[changed, rng.choice(choices, len(changed))] = rng.random(len(changed))
        return points


def _around(cube: Vector, width: float, count: int, rng: np.random.Generator) -> Matrix:
    """`count` points around a point of the cube, each coordinate moved with probability 1/2; shape [count, d]."""
    moves = rng.normal(0.0, width, (count, len(cube))) * (rng.random((count, len(cube))) < 0.5)
    return np.asarray(np.clip(cube + moves, 0.0, 1.0))


def _kept(seen: list[Seen]) -> list[Seen]:
    """The best BEST and the last LAST of them, in order of arrival."""
    if len(seen) <= BEST + LAST:
        return seen
    places = ranks(seen)
    late = len(seen) - LAST
    return [s for i, s in enumerate(seen) if places[i] < BEST or i >= late]


def _targets(seen: list[Seen]) -> Vector:
    """What the process is to predict; shape [n], about mean 0 and deviation 1, larger is better.

    Where most were trained equally far: their values, outliers below drawn in; the others have the value that goes
    with their standing. Else (successive halving) normal scores of the ranks.
    """
    good = [i for i, s in enumerate(seen) if not s.failed]
    top = max(seen[i].level for i in good)
    longest = [i for i in good if seen[i].level == top]
    raw = _values(seen, longest) if 2 * len(longest) > len(good) else norm.ppf(1 - (ranks(seen) + 0.5) / len(seen))
    deviation = raw.std()
    return np.asarray((raw - raw.mean()) / (deviation if deviation > 0 else 1.0))


def _values(seen: list[Seen], longest: list[int]) -> Vector:
    """The values of the longest trained; of the others, what stands as they do; of failures, the least; shape [n]."""
    known = np.array([seen[i].value for i in longest])
    known = known / max(float(np.abs(known).max()), 1e-300)
    low, middle, high = np.percentile(known, [25, 50, 75])
    known = np.maximum(known, middle - 5 * (high - low)) if high > low else known
    stands = standing(seen)
    order = np.argsort(stands[longest])
    raw = np.interp(stands, stands[longest][order], np.sort(known))
    raw[longest] = known
    return np.asarray(raw)
