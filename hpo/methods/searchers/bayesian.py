"""Bayesian optimization with a Gaussian process (Snoek, Larochelle and Adams 2012) over mixed and conditional spaces. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hpo.methods import options
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searchers.acquisition import NAMES, acquisition
from hpo.methods.searchers.encoding import features
from hpo.methods.searchers.gaussian_process import GaussianProcess, Posterior
from hpo.methods.searchers.history import Seen, ranks, standing
from hpo.methods.searchers.one_thread import one_thread
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Choice, Config, Vector
from hpo.text import nearest, shown

BEST, LAST = 150, 150  # the most points that the process is fitted to: its cost grows with their cube
CANDIDATES = 1000
ROUNDS = 4  # of refinement around the best candidates
EXPLORED = 2  # configurations for each hyperparameter; after so many, exploration fades
REFIT_FROM, REFIT_EVERY = 60, 10  # from 60 points on, length scales are fitted anew at every tenth point only

Matrix = NDArray[np.float64]


class Bayesian(Searching):
    """A Gaussian process over the configurations; each suggestion maximises an acquisition function.

    Options: acquisition (ei, log_ei, ucb or pi); initial (random configurations first; paper 001 has 4, but from fewer
    than 8 length scales are guesses); xi (exploration of ei, log_ei and pi) and kappa (of ucb), in deviations of the
    predicted quantity; random_fraction (the share of random ones after the first). xi stays constant until two
    configurations for each hyperparameter were seen and then fades as 1 / n: without it, half of the first suggestions are
    close to known points. A running configuration counts as if it had given the value that the process expects, so that
    parallel suggestions differ. A failed one counts as worse than any other.
    """

    expensive = True

    def __init__(
        self, setting: Setting, *, acquisition: str = "log_ei", initial: int = 8, xi: float = 1.0, kappa: float = 1.8,
        random_fraction: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(setting, tag=0xBA7E5, random_fraction=random_fraction)
        if acquisition not in NAMES:
            raise InvalidOption(
                f"acquisition must be one of {', '.join(NAMES)}, but got {shown(acquisition)}"
                + "; "
                + nearest(str(acquisition), NAMES)
            )
        self._acquisition = acquisition
        self._initial = options.whole("initial", initial, 1)
        self._xi = options.real("xi", xi, 0.0, 1e6)
        self._kappa = options.real("kappa", kappa, 0.0, 1e6)
        self._process = GaussianProcess(setting.space.width)
        self._due = 0  # the number of observations at which the process is fitted next

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
        xi = self._xi * min(1.0, EXPLORED * len(self.setting.space) / len(seen))
        rate = acquisition(self._acquisition, float(targets.max()), xi, self._kappa)
        best = [kept[i].config for i in np.argsort(-targets, kind="stable")[:5]]
        return self._search(lambda rows: rate(*posterior.predict(rows)), best, rng)

    def _posterior(self, configs: list[Config], targets: Vector, total: int) -> Posterior:
        """Returns the process given the observations; configurations without a result count with their expected values."""
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
        """Returns the new configuration of the greatest utility among random ones and shrinking steps around the best."""
        space = self.setting.space
        if space.pool is not None:
            return self.history.best_open(space.pool.features, utility)
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
        """Returns points near a point; in some of them one choice is changed."""
        points = _around(cube, width, 40, rng)
        choices = [j for j, domain in enumerate(self.setting.space.domains.values()) if isinstance(domain, Choice)]
        if choices:
            points[:, choices] = cube[choices]
            changed = np.flatnonzero(rng.random(len(points)) < 0.3)
            points[changed, rng.choice(choices, len(changed))] = rng.random(len(changed))
        return points


def _around(cube: Vector, width: float, count: int, rng: np.random.Generator) -> Matrix:
    """Returns `count` points around a point of the cube; each coordinate moves with probability 1/2; shape [count, d]."""
    moves = rng.normal(0.0, width, (count, len(cube))) * (rng.random((count, len(cube))) < 0.5)
    return np.asarray(np.clip(cube + moves, 0.0, 1.0))


def _kept(seen: list[Seen]) -> list[Seen]:
    """Returns the best BEST and the last LAST, in order of arrival."""
    if len(seen) <= BEST + LAST:
        return seen
    places = ranks(seen)
    late = len(seen) - LAST
    return [s for i, s in enumerate(seen) if places[i] < BEST or i >= late]


def _targets(seen: list[Seen]) -> Vector:
    """Returns what the process learns to predict: normal scores of the standings, with mean 0 and deviation 1; shape [n].

    Larger is better. Scores rather than values, since losses differ by magnitudes where training goes wrong and by
    little where it goes well. Equal standings, such as those of failures, have equal scores, but a longer training breaks
    the tie.
    """
    levels = np.array([s.level for s in seen])
    order = standing(seen) + 1e-9 * levels / max(1, levels.max())
    scores = ndtri((_places(order) - 0.5) / len(seen))
    deviation = scores.std()
    return np.asarray((scores - scores.mean()) / (deviation if deviation > 0 else 1.0))


def _places(values: Vector) -> Vector:
    """Returns each value's place, counted from 1; equal values share the mean of theirs."""
    _, group, many = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(many) - (many - 1) / 2)[group])
