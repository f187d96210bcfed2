"""fANOVA against known decompositions at several sizes, and against Optuna's fANOVA if Optuna is installed.

    python tests/bench/bench_importance.py [--quick] [--json FILE]

Optuna's evaluator differs from ours in three ways, which this bench separates. It weighs log-scaled hyperparameters by
their linear range; ours uses the scale of the search. It averages the shares of single trees; ours decomposes the trees'
mean. Its trees are greedy on bootstrapped points; ours are extremely randomized on all points. So we also run Optuna on
the unit cube, where the scales are the same, and decompose its forest by our boxes, tree by tree: these two must agree.
Functions with known shares then show which method is closer to the truth. The rows "largest error of a share" measure the
surrogate alone; bench_importance_intervals.py measures the corrected shares and their intervals.
Recorded curves: ../shared/data/curves/taskset-dpl.npz, if present; 300 configurations of each of three tasks, with the
logarithm of the last validation loss as the metric.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import CURVES, Row, command, row, tell

from hpo.results import forest as surrogate
from hpo.results.fanova import CELLS, TREES, fanova
from hpo.results.forest import Cells, Forest, decompose
from hpo.study.space import Float, SearchSpace
from tests.unit.test_importance import KNOWN

# -- known functions ----------------------------------------------------------------------------------------------


def known(quick: bool) -> list[Row]:
    """Measures the largest error of any share by function, dimensions, trials and noise, over five seeds."""
    sizes = ((100, 0.0), (300, 0.0)) if quick else ((60, 0.0), (100, 0.0), (300, 0.0), (300, 0.3), (1000, 0.3))
    rows = []
    for name, (function, *true) in KNOWN.items():
        for dimensions in (3, 6):
            for trials, noise in sizes:
                worst = [_worst(function, true, dimensions, trials, noise, seed) for seed in range(2 if quick else 5)]
                what = f"largest error of a share: {name}, {dimensions} hyperparameters, {trials} trials, noise {noise}"
                rows.append(row(what, worst, "share", "at most 0.05"))
    return rows


def _drawn(function: Any, dimensions: int, trials: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, trials])
    points = rng.random((trials, dimensions))
    return points, function(points) + noise * rng.normal(size=trials)


def _worst(function: Any, true: Sequence[float], dimensions: int, trials: int, noise: float, seed: int) -> float:
    points, values = _drawn(function, dimensions, trials, noise, seed)
    pairs = [(a, b) for a in range(dimensions) for b in range(a + 1, dimensions)]
    forest = Forest(points, values, np.ones(points.shape, bool), [Cells(CELLS)] * dimensions, trees=TREES,
                    rng=np.random.default_rng(seed))  # fmt: skip
    found = decompose(forest, pairs, seed=seed)
    shares = {i: found.single(i) for i in range(dimensions)} | {pair: found.pair(*pair) for pair in pairs}
    expected = {0: true[0], 1: true[1], (0, 1): true[2]}
    return max(abs(share - expected.get(name, 0.0)) for name, share in shares.items())


# -- Optuna -------------------------------------------------------------------------------------------------------


def optuna_shares(
    space: SearchSpace, configs: Sequence[dict[str, float]], values: np.ndarray
) -> tuple[np.ndarray, float]:
    """Returns the single shares by Optuna's evaluator in the space's order, and its seconds."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    domains = {n: optuna.distributions.FloatDistribution(d.low, d.high, log=d.log) for n, d in space.domains.items()}
    study = optuna.create_study()
    for config, value in zip(configs, values, strict=True):
        study.add_trial(optuna.trial.create_trial(params=config, distributions=domains, value=float(value)))
    began = time.perf_counter()
    shares = optuna.importance.FanovaImportanceEvaluator(seed=0).evaluate(study)
    return np.array([shares[name] for name in space.names]), time.perf_counter() - began


def same_forest(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the shares of Optuna's forest (64 greedy trees on bootstrapped points), decomposed by our boxes, tree by tree."""
    forest = RandomForestRegressor(64, max_depth=64, random_state=0).fit(points, values)
    return np.mean([_tree_shares(surrogate._leaves(t.tree_, points.shape[1])) for t in forest.estimators_], axis=0)


def _tree_shares(leaves: surrogate.Leaves) -> list[float]:
    volume = (leaves.high - leaves.low).prod(axis=1)
    mean = float(volume @ leaves.value)
    total = float(volume @ (leaves.value - mean) ** 2)
    shares = []
    for low, high in zip(leaves.low.T, leaves.high.T, strict=True):
        edges = np.unique([low, high])
        inside = (low[:, None] <= edges[:-1]) & (high[:, None] >= edges[1:])
        marginal = (volume / (high - low) * leaves.value) @ inside
        shares.append(float(np.diff(edges) @ (marginal - mean) ** 2) / total)
    return shares


def ours(space: SearchSpace, configs: Sequence[dict[str, float]], values: np.ndarray) -> tuple[np.ndarray, float, Any]:
    """Returns our single shares in the space's order, the seconds, and the decomposition."""
    began = time.perf_counter()
    found = fanova(space, configs, values, seed=0)
    shares = {share.name: share.share for share in found.shares()}
    return np.array([shares[name] for name in space.names]), time.perf_counter() - began, found


def recorded(quick: bool) -> list[Row]:
    """Compares shares on recorded curves: Optuna's, those of its forest by our boxes, and ours."""
    if not CURVES.exists():
        print(f"no recorded curves at {CURVES}: nothing to compare on")
        return []
    table = np.load(CURVES, allow_pickle=True)
    names, settings = [str(name) for name in table["hp_names"]], np.asarray(table["hp"][0], dtype=float)
    space = SearchSpace({n: _domain(settings[:, j]) for j, n in enumerate(names)})
    cube = SearchSpace({name: Float(0.0, 1.0) for name in names})
    code, scale, method, ranks, speed = [], [], [], [], []
    for task in (0,) if quick else (0, 4, 8):
        loss = np.asarray(table["valid_loss"][task])[:, -1]
        fine = np.flatnonzero(np.isfinite(loss) & (loss > 0))[:300]
        configs = [dict(zip(names, map(float, settings[i]), strict=True)) for i in fine]
        values = np.log(loss[fine])
        linear, slow = optuna_shares(space, configs, values)
        points = np.array([space.encode(config) for config in configs])
        theirs, _ = optuna_shares(cube, [dict(zip(names, map(float, point), strict=True)) for point in points], values)
        again = same_forest(points, values)
        mine, fast, found = ours(space, configs, values)
        code.append(np.abs(theirs - again).max())
        scale.append(np.abs(theirs - linear).max())
        method.append(np.abs(theirs - mine).max())
        ranks.append(spearmanr(theirs, mine).statistic)
        speed.append(slow / fast)
        print(f"task {task}: fit {found.fit:.2f}, unexplained {found.whole.unexplained:.2f}")
        for name, a, b, c, d in zip(names, linear, theirs, again, mine, strict=True):
            print(
                f"    {name:18} Optuna {a:.3f}   on the unit cube {b:.3f}   its forest, our boxes {c:.3f}   ours {d:.3f}"
            )
    return [
        row("Optuna's time / ours (with all pairs and intervals)", speed, "ratio"),
        row(
            "recorded curves: largest difference, Optuna and our boxes on the same forest and scale",
            code,
            "share",
            "0.01",
        ),
        row("recorded curves: largest difference, Optuna on the linear and on the searched scale", scale, "share"),
        row("recorded curves: largest difference, Optuna and ours on the same scale", method, "share"),
        row("recorded curves: rank correlation, Optuna and ours on the same scale", ranks, "correlation"),
    ]


def nearer(quick: bool) -> list[Row]:
    """Measures both methods' errors on known shares: noise as in recorded curves, eight hyperparameters, 300 trials."""
    rows = []
    space = SearchSpace({f"h{i}": Float(0.0, 1.0) for i in range(8)})
    for name, (function, x, y, _) in KNOWN.items():
        true = np.array([x, y, *[0.0] * 6])
        errors: dict[str, list[float]] = {"Optuna": [], "ours": []}
        for seed in range(1 if quick else 3):
            points, values = _drawn(function, 8, 300, 0.3, seed)
            configs = [dict(zip(space.names, map(float, point), strict=True)) for point in points]
            errors["Optuna"].append(np.abs(optuna_shares(space, configs, values)[0] - true).max())
            errors["ours"].append(np.abs(ours(space, configs, values)[0] - true).max())
        rows += [
            row(f"known shares, {name}: largest error of a single share, {who}", e, "share")
            for who, e in errors.items()
        ]
    return rows


def _domain(column: np.ndarray) -> Float:
    return Float(
        float(column.min()), float(column.max()), log=bool(column.min() > 0 and column.max() / column.min() > 50)
    )


def main(quick: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    rows = known(quick)
    try:
        import optuna  # noqa: F401
    except ImportError:
        print("Optuna is not installed, so there is nothing to compare with (pip install optuna)")
        return rows
    return recorded(quick) + nearer(quick) + rows


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
