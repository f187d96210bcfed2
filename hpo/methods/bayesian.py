"""Bayesian optimization with a Gaussian process: acquisition functions of the bayesian-optimization library, its
regressor (scikit-learn's) with one length scale a coordinate, over our encoding of mixed and conditional spaces. Pure.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from hpo.methods import options
from hpo.methods.encoding import features
from hpo.methods.history import Seen, ranks, standing
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searching import Searching
from hpo.space import Choice, Config, Vector

BEST, LAST = 150, 150  # the points that the process is fitted to at the most: its cost grows with their cube
CANDIDATES = 1000
ROUNDS = 4  # of refinement around the best candidates
REFIT_FROM, REFIT_EVERY = 60, 10  # beyond so many points, length scales are fitted anew only now and then
ACQUISITIONS = ("ei", "log_ei", "ucb", "pi")

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
        if acquisition not in ACQUISITIONS:
            raise InvalidOption(
                f"acquisition must be one of {', '.join(ACQUISITIONS)}, but got {acquisition!r}"
                + options.nearest(str(acquisition), ACQUISITIONS)
            )
        self._acquisition = acquisition
        self._initial = options.whole("initial", initial, 1)
        self._xi = options.real("xi", xi, 0.0, 1e6)
        self._kappa = options.real("kappa", kappa, 0.0, 1e6)
        self._theta: Vector | None = None  # the kernel's hyperparameters, log scale, of the last fit
        self._fitted = 0

    def propose(self, rng: np.random.Generator) -> Config | None:
        seen = self.history.seen()
        if len(self.history) < self._initial or len([s for s in seen if not s.failed]) < 2:
            return self.setting.space.sample(rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # length scales at their bounds are no news
            return self._maximise(seen, rng)

    def _maximise(self, seen: list[Seen], rng: np.random.Generator) -> Config | None:
        space = self.setting.space
        kept = _kept(seen)
        rows = np.array([space.features(s.config) for s in kept])
        targets = _targets(kept)
        model = self._fit(rows, targets, len(seen), rng)
        waiting = self.history.untouched()
        if waiting:
            believed = np.array([space.features(config) for config in waiting])
            lies = model.predict(believed)
            rows, targets = np.vstack([rows, believed]), np.concatenate([targets, lies])
            model = _process(rows.shape[1], model.kernel_, optimizer=None).fit(rows, targets)
        utility = self._utility(model, float(targets.max()))
        best = sorted(range(len(kept)), key=lambda i: -targets[i])[:5]
        return self._search(utility, [kept[i].config for i in best], rng)

    def _fit(self, rows: Matrix, targets: Vector, total: int, rng: np.random.Generator) -> Any:
        """The process on the observations; its length scales are fitted anew where enough is new."""
        start = _kernel(rows.shape[1])
        due = self._theta is None or total < REFIT_FROM or total - self._fitted >= REFIT_EVERY
        if self._theta is not None:
            start = start.clone_with_theta(self._theta)
        if not due:
            return _process(rows.shape[1], start, optimizer=None).fit(rows, targets)
        model = _process(rows.shape[1], start).fit(rows, targets)
        self._theta, self._fitted = model.kernel_.theta, total
        return model

    def _utility(self, model: Any, best: float) -> Any:
        """The acquisition function over rows of features; larger is better."""
        acquisition = _acquisition(self._acquisition, self._xi, self._kappa, best)

        def utility(rows: Matrix) -> Vector:
            mean, deviation = model.predict(rows, return_std=True)
            return np.asarray(acquisition(mean, np.maximum(deviation, 1e-9)))

        return utility

    def _search(self, utility: Any, best: list[Config], rng: np.random.Generator) -> Config | None:
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


def _kernel(width: int) -> Any:
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scales = Matern(np.full(width, 0.5), (0.02, 20.0), nu=2.5)
    return ConstantKernel(1.0, (1e-2, 1e2)) * scales + WhiteKernel(1e-2, (1e-6, 1e0))


def _process(width: int, kernel: Any, optimizer: str | None = "fmin_l_bfgs_b") -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=optimizer)


def _acquisition(name: str, xi: float, kappa: float, best: float) -> Any:
    """(mean, deviation) -> utility, by the library; log_ei is the logarithm of its ei, stable where ei vanishes."""
    from bayes_opt import acquisition

    if name == "ucb":
        return acquisition.UpperConfidenceBound(kappa=kappa).base_acq
    if name == "log_ei":
        return lambda mean, deviation: _log_expected_improvement((mean - best - xi) / deviation) + np.log(deviation)
    chosen = acquisition.ExpectedImprovement(xi=xi) if name == "ei" else acquisition.ProbabilityOfImprovement(xi=xi)
    chosen.y_max = best
    return chosen.base_acq


def _log_expected_improvement(z: Vector) -> Vector:
    """log(z * cdf(z) + pdf(z)); for z << 0 by the tail pdf(z) / z^2 (Ament et al. 2023)."""
    safe = np.maximum(z, -8.0)
    near = np.log(np.maximum(safe * norm.cdf(safe) + norm.pdf(safe), 1e-300))
    far = norm.logpdf(z) - 2 * np.log(np.maximum(-z, 1.0))
    return np.asarray(np.where(z > -8.0, near, far))
