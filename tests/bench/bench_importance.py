"""fANOVA against known decompositions at several sizes, and beside Optuna's on recorded curves where it is installed.

    python tests/bench/bench_importance.py [CURVES.npz]

The curves are ../shared/data/curves/taskset-dpl.npz where they lie; 300 configurations of each of three tasks, the
logarithm of the last validation loss as the metric. Optuna's fANOVA averages the shares of greedy trees, ours are of
the mean of random ones: they should agree on what is large.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[2]))

from hpo.importance import CELLS, TREES, fanova
from hpo.space import Float, SearchSpace
from hpo.surrogate import Cells, Forest, decompose
from tests.unit.test_importance import KNOWN

CURVES = Path(__file__).parents[2].parent / "shared" / "data" / "curves" / "taskset-dpl.npz"


def known() -> None:
    """The largest error of any share by function, dimensions, trials and noise, over five seeds."""
    print("largest error of a share, mean over 5 seeds (limit 0.05)")
    for name, (function, x, y, xy) in KNOWN.items():
        for dimensions in (3, 6):
            errors = []
            for trials, noise in ((60, 0.0), (100, 0.0), (300, 0.0), (300, 0.3), (1000, 0.3)):
                worst = [_worst(function, (x, y, xy), dimensions, trials, noise, seed) for seed in range(5)]
                errors.append(f"n={trials} noise={noise}: {np.mean(worst):.3f}")
            print(f"  {name}, {dimensions} hyperparameters: {', '.join(errors)}", flush=True)


def _worst(function, true, dimensions, trials, noise, seed) -> float:
    rng = np.random.default_rng([seed, trials])
    points = rng.random((trials, dimensions))
    values = function(points) + noise * rng.normal(size=trials)
    active, cells = np.ones(points.shape, bool), [Cells(CELLS)] * dimensions
    pairs = [(a, b) for a in range(dimensions) for b in range(a + 1, dimensions)]
    found = decompose(Forest(points, values, active, cells, trees=TREES, rng=rng), pairs, seed=seed)
    shares = {i: found.single(i) for i in range(dimensions)} | {pair: found.pair(*pair) for pair in pairs}
    expected = {0: true[0], 1: true[1], (0, 1): true[2]}
    return max(abs(share - expected.get(name, 0.0)) for name, share in shares.items())


def beside_optuna(path: Path) -> None:
    try:
        import optuna
    except ImportError:
        print("Optuna is not installed: nothing to compare with (pip install optuna)")
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recorded = np.load(path, allow_pickle=True)
    names, table = [str(name) for name in recorded["hp_names"]], np.asarray(recorded["hp"][0], dtype=float)
    space = SearchSpace({n: _domain(table[:, j]) for j, n in enumerate(names)})
    for task in range(0, 12, 4):
        loss = np.asarray(recorded["valid_loss"][task])[:, -1]
        fine = np.flatnonzero(np.isfinite(loss) & (loss > 0))[:300]
        configs = [dict(zip(names, map(float, table[i]), strict=True)) for i in fine]
        values = np.log(loss[fine])
        began = time.perf_counter()
        found = fanova(space, configs, values, seed=0)
        ours = {share.name: share for share in found.shares()}
        took = time.perf_counter() - began
        theirs, slow = _optuna(optuna, space, configs, values)
        a, b = np.array([ours[n].share for n in names]), np.array([theirs[n] for n in names])
        print(f"task {task}: largest difference {np.abs(a - b).max():.3f}, rank correlation {spearmanr(a, b).statistic:.2f}, "
              f"fit {found.fit:.2f}, unexplained {found.whole.unexplained:.2f}; {took:.1f} s against {slow:.1f} s")  # fmt: skip
        for name in sorted(names, key=lambda n: -ours[n].share):
            share = ours[name]
            print(f"    {name:18} {share.share:.3f} [{share.low:.3f}, {share.high:.3f}]   Optuna {theirs[name]:.3f}")


def _domain(column: np.ndarray) -> Float:
    return Float(
        float(column.min()), float(column.max()), log=bool(column.min() > 0 and column.max() / column.min() > 50)
    )


def _optuna(optuna, space, configs, values):
    domains = {n: optuna.distributions.FloatDistribution(d.low, d.high, log=d.log) for n, d in space.domains.items()}
    study = optuna.create_study()
    for config, value in zip(configs, values, strict=True):
        study.add_trial(optuna.trial.create_trial(params=config, distributions=domains, value=float(value)))
    began = time.perf_counter()
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = evaluator.evaluate(study)
    return shares, time.perf_counter() - began


if __name__ == "__main__":
    known()
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else CURVES
    if chosen.exists():
        beside_optuna(chosen)
    else:
        print(f"no recorded curves at {chosen}: nothing to compare on")
