"""Recorded learning curves as a study, without training: a configuration has the curve of the nearest recorded one.

A game uses no recorded curve twice: a configuration gets the nearest of those that the game has not used yet, as nobody
trains a configuration twice. Otherwise a method that searches near a good configuration gets that one's curve again and
again: of the 250 trials that asha+tpe begins, only 39 had different curves, which would not happen in training.

Near is measured with each hyperparameter weighted by how much of the result it explains on the task (the root of a
forest's importance): with 1,000 configurations in 8 dimensions, the nearest one without weights is far away in what
matters. When recorded configurations are left out one by one, their nearest ones predict them with a rank correlation of
.72 in the median of TaskSet's tasks, and of .51 without weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rows import CURVES
from scipy.spatial import cKDTree
from scipy.stats import rankdata
from sklearn.ensemble import ExtraTreesRegressor

from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.methods import build
from hpo.methods.protocol import Setting
from hpo.study.space import Config, Float, SearchSpace
from hpo.study.values import Method, RunKey, TrialKey

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """The recorded curves of tasks over one space: `values` [tasks, configurations, epochs], NaN where one diverged.

    Larger is better. `weights` [tasks, d]: of the cube's coordinates; `trees` [tasks]: over the configurations' weighted cubes.
    """

    space: SearchSpace
    values: Matrix
    weights: Matrix
    trees: tuple[cKDTree, ...]

    @property
    def max_epochs(self) -> int:
        return self.values.shape[2]

    def regret(self, task: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the regret: 0 for the best recorded epoch, 1 for the median configuration trained to the end, or worse."""
        known = self.values[task]
        best = np.nanmax(known)
        median = np.nanmedian(known[:, -1])
        return np.asarray(np.clip((best - values) / (best - median), 0.0, 1.0))


@dataclass
class Answers:
    """The curves that a game on a task has used: no two of its configurations have the same one."""

    recorded: Recorded
    task: int
    given: set[int] = field(default_factory=set)

    def curve(self, config: Config) -> NDArray[np.float64]:
        """Returns the curve of the nearest recorded configuration that is not used yet; shape [epochs]."""
        tree, weights = self.recorded.trees[self.task], self.recorded.weights[self.task]
        point = self.recorded.space.encode(config) * weights
        nearest = tree.query(point, k=min(len(self.given) + 1, tree.n))[1]
        row = next((int(i) for i in np.atleast_1d(nearest) if i not in self.given), None)
        if row is None:
            raise ValueError(f"a game must have at most {tree.n} trials, as many as were recorded, but begins another")
        self.given.add(row)
        return self.recorded.values[self.task, row]


def taskset(path: Path = CURVES) -> Recorded:
    """Loads TaskSet's 12 tasks x 1,000 configurations of 8 hyperparameters, without the loss before training.

    Adam's betas were drawn so that 1 - beta is uniform over magnitudes; the space therefore has 1 - beta.
    """
    stored = np.load(path, allow_pickle=True)
    rows = stored["hp"][0].astype(float)
    names = [str(name) for name in stored["hp_names"]]
    for j, name in enumerate(names):
        if name.startswith("beta"):
            rows[:, j] = np.maximum(1 - rows[:, j], 1e-6)
    space = SearchSpace(
        {n: Float(float(c.min()), float(c.max()), log=True) for n, c in zip(names, rows.T, strict=True)}
    )
    cubes = np.array([space.encode(dict(zip(names, map(float, row), strict=True))) for row in rows])
    values = -stored["valid_loss"][:, :, 1:].astype(float)
    values = np.where(np.isfinite(values), values, np.nan)
    weights = np.array([_weights(cubes, task) for task in values])
    return Recorded(space, values, weights, tuple(cKDTree(cubes * w) for w in weights))


def _weights(cubes: Matrix, curves: Matrix) -> NDArray[np.float64]:
    """Returns how much each coordinate explains of the ranks of the curves' best values; shape [d], at most 1."""
    best = np.fmax.accumulate(np.nan_to_num(curves, nan=-np.inf), axis=1)[:, -1]
    forest = ExtraTreesRegressor(60, min_samples_leaf=3, random_state=0).fit(cubes, rankdata(best))
    weights = np.sqrt(forest.feature_importances_)
    return np.asarray(weights / weights.max())


def game(
    recorded: Recorded, task: int, seed: int, method: Method, full_trainings: int, parallelism: int
) -> NDArray[np.float64]:
    """Plays a method on a task; returns the regret of its incumbent after each charged epoch, shape [budget].

    The method's own seed differs between tasks, so that games are independent, and is the same for all methods.
    """
    budget = full_trainings * recorded.max_epochs
    setting = Setting(recorded.space, budget, recorded.max_epochs, seed=1000 * task + seed, parallelism=parallelism)
    answers, curves = Answers(recorded, task), Curves()

    def key(config: Config, max_epochs: int) -> TrialKey:
        trial = TrialKey("recorded", config, 0, max_epochs)
        for epoch, value in enumerate(answers.curve(config)[:max_epochs], start=1):
            curves.add(trial.id, epoch, float(value))
        return trial

    run = Run(RunKey(method.label, seed), build(method, setting), Rules(budget, parallelism, key=key))
    values = np.array([charge.value for charge in run.play(curves)])
    values = np.maximum.accumulate(np.where(np.isfinite(values), values, -np.inf))
    return recorded.regret(task, np.pad(values, (0, budget - len(values)), mode="edge"))
