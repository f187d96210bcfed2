"""Bayesian optimization with a Gaussian process (Snoek, Larochelle and Adams 2012) over mixed and conditional spaces. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.methods import options
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searchers.acquisition import NAMES, Utility, acquisition
from hpo.methods.searchers.encoding import features, groups
from hpo.methods.searchers.gaussian_process import NOISY, UNKNOWN, GaussianProcess, Posterior
from hpo.methods.searchers.history import Seen, ranks
from hpo.methods.searchers.one_thread import one_thread
from hpo.methods.searchers.searching import Searching
from hpo.methods.searchers.targets import agreement, standings, values
from hpo.study.space import Choice, Config, Vector
from hpo.text import nearest, shown

BEST, LAST = 150, 150  # the most points that the process is fitted to: its cost grows with their cube
RUNNING = 100  # of the configurations without a result, so many of the best and of the last count
TRUSTED = 0.75  # rank correlation of values with what the others predict for them, from which on values are predicted
CLEAR = 0.4, 0.1  # such a rank correlation is enough where the process finds less noise than the second number
EXPLORED = 2  # configurations for each hyperparameter; after so many, exploration fades
CANDIDATES = 1000
DIVIDED = ("ei", "log_ei")  # what a cost divides: a bound or a chance is no improvement
CLIMBS = 10  # candidates from which the utility is climbed
ROUNDS = 4  # of refinement around the best candidates
REFIT_FROM, REFIT_EVERY = 60, 10  # from 60 points on, length scales are fitted anew at every tenth point only

Matrix = NDArray[np.float64]


@dataclass
class Model:
    """A process, what it learns to predict, and the number of observations at which it is fitted next."""

    process: GaussianProcess
    targets: Callable[[list[Seen]], Vector]
    due: int = 0

    def learn(self, rows: Matrix, seen: list[Seen], total: int) -> Posterior:
        """Returns the process given observations with features [n, d], of `total` that there are."""
        y = self.targets(seen)
        if total >= self.due:
            self.process.fit(rows, y)
            self.due = total + (1 if total < REFIT_FROM else REFIT_EVERY)
        return self.process.condition(rows, y)


class Bayesian(Searching):
    """A Gaussian process over the configurations; each suggestion maximises an acquisition function.

    Options: acquisition (ei, log_ei, ucb or pi); initial (random configurations first; paper 001 has 4, but from fewer
    than 8 length scales are guesses); xi (exploration of ei, log_ei and pi) and kappa (of ucb), in deviations of the
    predicted quantity; random_fraction (the share of random ones after the first); cost_aware (whether ei and
    log_ei are divided by costs, and random ones drawn by them, see Costs).

    While the process predicts values well, judged by leaving each observation out and by the noise that it finds, the
    acquisition function is climbed with xi = 0. Otherwise the process predicts standings, which wild values do not
    mislead, and expects noise; xi stays constant until two configurations for each hyperparameter were seen and then
    fades as 1 / n.

    A running configuration counts as if it had given the value that the process expects, and xi grows where more than half
    have no result yet, so that parallel suggestions differ. A failed one counts as worse than any other.
    """

    expensive = True

    def __init__(
        self, setting: Setting, *, acquisition: str = "log_ei", initial: int = 8, xi: float = 1.0, kappa: float = 1.8,
        random_fraction: float = 0.0, cost_aware: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(setting, tag=0xBA7E5, random_fraction=random_fraction, cost_aware=cost_aware)
        if acquisition not in NAMES:
            raise InvalidOption(
                f"acquisition must be one of {', '.join(NAMES)}, but got {shown(acquisition)}"
                + "; "
                + nearest(str(acquisition), NAMES)
            )
        self._divides = self.costs.count and acquisition in DIVIDED
        self._acquisition = "log_ei" if self._divides else acquisition
        self._initial = options.whole("initial", initial, 1)
        self._xi = options.real("xi", xi, 0.0, 1e6)
        self._kappa = options.real("kappa", kappa, 0.0, 1e6)
        coordinates = groups(setting.space)
        self._precise = Model(GaussianProcess(coordinates, UNKNOWN), values)
        self._robust = Model(GaussianProcess(coordinates, NOISY, additive=True), standings)

    def propose(self, rng: np.random.Generator) -> Config | None:
        seen = self.history.seen()
        if len(self.history) < self._initial or len([s for s in seen if not s.failed]) < 2:
            return self.history.sample(rng)
        with one_thread():
            return self._maximise(seen, rng)

    def _maximise(self, seen: list[Seen], rng: np.random.Generator) -> Config | None:
        kept = _kept(seen)
        rows = self._features([s.config for s in kept])
        model, xi = self._precise, 0.0
        posterior = model.learn(rows, kept, len(seen))
        agreed, noise = agreement(posterior.left_out(), posterior.y), math.exp(model.process.theta[-1])
        trusted = agreed >= TRUSTED or (agreed >= CLEAR[0] and noise < CLEAR[1])
        if not trusted:
            model, xi = self._robust, self._xi * min(1.0, EXPLORED * len(self.setting.space) / len(seen))
            posterior = model.learn(rows, kept, len(seen))
        untouched = self.history.untouched()
        crowd = len(untouched) / (len(seen) + len(untouched))
        xi = max(xi, self._xi * max(0.0, 2 * crowd - 1))
        expecting = self._expecting(model.process, posterior, rows, untouched)
        rate = acquisition(self._acquisition, float(expecting.y.max()), xi, self._kappa)
        utility = Utility(rate, expecting)
        if self.setting.space.pool is not None:
            return self.history.best_open(
                self.setting.space.pool.features, utility, self.costs.pool if self._divides else None
            )
        best = [kept[i].config for i in np.argsort(-posterior.y, kind="stable")[:5]]
        return self._search(utility, best, trusted, rng)

    def _expecting(
        self, process: GaussianProcess, posterior: Posterior, rows: Matrix, untouched: list[Config]
    ) -> Posterior:
        """Returns the process that believes its predictions for configurations without a result: the best and the last."""
        if not untouched:
            return posterior
        running = self._features(untouched)
        expected, _ = posterior.predict(running)
        best = np.argsort(-expected, kind="stable")[:RUNNING]
        kept = np.union1d(best, np.arange(len(running))[-RUNNING:])
        return process.condition(np.vstack([rows, running[kept]]), np.concatenate([posterior.y, expected[kept]]))

    def _features(self, configs: Sequence[Config]) -> Matrix:
        return np.array([self.setting.space.features(config) for config in configs])

    def _search(self, utility: Utility, best: list[Config], climbs: bool, rng: np.random.Generator) -> Config | None:
        """Returns the new configuration of the greatest utility: of random ones, uphill of them, and of steps around them."""
        space = self.setting.space
        cubes = np.vstack(
            [rng.random((CANDIDATES, len(space))), *[_around(space.encode(c), 0.1, 40, rng) for c in best]]
        )
        rates = self._rates(utility, cubes)
        if climbs:
            tops = self._uphill(utility, cubes[_starts(rates, rng)])
            cubes, rates = np.vstack([cubes, tops]), np.concatenate([rates, self._rates(utility, tops)])
        for round in range(ROUNDS):
            nearby = np.vstack([self._steps(cubes[i], 0.2 / 3**round, rng) for i in np.argsort(-rates)[:5]])
            cubes, rates = np.vstack([cubes, nearby]), np.concatenate([rates, self._rates(utility, nearby)])
        decoded = (space.decode(cubes[i]) for i in np.argsort(-rates, kind="stable"))
        return next((config for config in decoded if self.history.is_new(config)), None)

    def _rates(self, utility: Utility, cubes: Matrix) -> Vector:
        """Returns the utilities of points of the cube [n, len(space)], per cost where that counts; shape [n]."""
        rates = utility(features(self.setting.space, cubes))
        return rates - self.costs.at(cubes) if self._divides else rates

    def _uphill(self, utility: Utility, cubes: Matrix) -> Matrix:
        """Returns the points uphill of points [n, len(space)] along continuous coordinates, all climbed as one."""
        from scipy.optimize import minimize  # as in the process's fit

        space = self.setting.space
        numbers = groups(space)
        smooth = [j for j, d in enumerate(space.domains.values()) if not isinstance(d, Choice) and math.isinf(d.size)]
        if not smooth:
            return cubes
        columns = [numbers.index(j) for j in smooth]
        rows, shape = features(space, cubes), (len(cubes), len(smooth))
        absent = rows[:, columns] != cubes[:, smooth]  # hyperparameters that do not exist there

        def downhill(x: Vector) -> tuple[float, Vector]:
            rows[:, columns] = np.where(absent, rows[:, columns], x.reshape(shape))
            slopes = np.where(absent, 0.0, utility.slopes(rows)[:, columns])
            return -float(utility(rows).sum()), -slopes.ravel()

        top = minimize(downhill, cubes[:, smooth].ravel(), jac=True, method="L-BFGS-B",
                       bounds=[(0.0, 1.0)] * absent.size, options={"maxiter": 100})  # fmt: skip
        points = cubes.copy()
        points[:, smooth] = top.x.reshape(shape)
        return points

    def _steps(self, cube: Vector, width: float, rng: np.random.Generator) -> Matrix:
        """Returns points near a point; in some of them one choice is changed."""
        points = _around(cube, width, 40, rng)
        choices = [j for j, domain in enumerate(self.setting.space.domains.values()) if isinstance(domain, Choice)]
        if choices:
            points[:, choices] = cube[choices]
            changed = np.flatnonzero(rng.random(len(points)) < 0.3)
            points[changed, rng.choice(choices, len(changed))] = rng.random(len(changed))
        return points


def _around(cube: Vector, width: float, count: int, rng: np.random.Generator) -> Matrix:
    """Returns `count` points around a point of the cube; each coordinate moves with probability 1/2; shape [count, d].

    Moves beyond an end of the cube come back from it: otherwise many would end in corners, where predictions are vague.
    """
    moves = rng.normal(0.0, width, (count, len(cube))) * (rng.random((count, len(cube))) < 0.5)
    return np.asarray(1 - np.abs(1 - np.abs((cube + moves) % 2)))


def _starts(rates: Vector, rng: np.random.Generator) -> list[int]:
    """Returns the number of the best point, and of others drawn by their utility: the best ones lie on one hill."""
    best = int(np.argmax(rates))
    weights = np.exp(np.maximum(rates - rates[best], -500.0))
    weights[best] = 0.0
    others = rng.choice(len(rates), CLIMBS - 1, replace=False, p=weights / weights.sum())
    return [best, *(int(i) for i in others)]


def _kept(seen: list[Seen]) -> list[Seen]:
    """Returns the best BEST and the last LAST, in order of arrival."""
    if len(seen) <= BEST + LAST:
        return seen
    places = ranks(seen)
    late = len(seen) - LAST
    return [s for i, s in enumerate(seen) if places[i] < BEST or i >= late]
