"""Bayesian optimization: what it finds on smooth functions, in pools, and with many configurations running."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import tasks

from hpo.methods.protocol import Setting
from hpo.methods.searchers import bayesian
from hpo.methods.searchers.bayesian import Bayesian
from hpo.study.space import Choice, Config, Float, Int, SearchSpace
from hpo.study.values import digest


@pytest.mark.parametrize(("name", "most", "seeds"), [("branin", 1e-3, 1), ("hartmann6", 0.05, 3)])
def test_minima_of_smooth_functions_are_found_within_100_evaluations(name: str, most: float, seeds: int) -> None:
    """In the median of the seeds: Hartmann's function has a second minimum, 0.12 above, where some of them end."""
    (task,) = (task for task in tasks.smooth() if task.name == f"smooth/{name}")
    found = [tasks.play(task, "bayesian", seed, 100, workers=1).regret[-1] for seed in range(seeds)]
    assert np.median(found) < most, found


def value(config: Config) -> float:
    return float(sum({"a": 1.0, "b": 0.5}.get(str(option), 0.0) for option in config.values()))


def test_of_a_pool_of_dozens_of_choices_the_best_come_early() -> None:
    """The best of 400 candidates is found sooner than by chance, which needs 200 suggestions in the mean."""
    space = SearchSpace({f"c{i}": Choice(("a", "b", "c", "d")) for i in range(24)})
    rng = np.random.default_rng(0)
    pool = SearchSpace(space.domains, {}, [space.sample(rng) for _ in range(400)])
    best = max(value(config) for config in pool.pool or ())
    searcher = Bayesian(Setting(pool, 400, 1))
    for count in range(1, 80):  # noqa: B007
        config = searcher.suggest()
        assert config is not None
        if value(config) == best:
            break
        searcher.observe(config, 1, value(config))
        searcher.close(config)
    assert count < 60


def test_many_running_configurations_differ_and_leave_the_process_small(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace({"x": Float(0.0, 1.0), "n": Int(1, 5), "c": Choice(("a", "b"))})
    searcher, sizes = Bayesian(Setting(space, 10_000, 1, parallelism=1000)), []
    condition = bayesian.GaussianProcess.condition

    def measured(self: bayesian.GaussianProcess, x: np.ndarray, y: np.ndarray) -> object:
        sizes.append(len(x))
        return condition(self, x, y)

    monkeypatch.setattr(bayesian.GaussianProcess, "condition", measured)
    configs = []
    rng = np.random.default_rng(0)
    for _ in range(990):
        configs.append(searcher.history.take(space.sample(rng)))
    for config in configs[:30]:
        searcher.observe(config, 1, -((space.encode(config) - 0.3) ** 2).sum())
        searcher.close(config)
    batch = [searcher.suggest() for _ in range(10)]
    assert len({digest(dict(config)) for config in [*configs, *(c for c in batch if c)]}) == 1000
    places = np.array([space.encode(config) for config in batch if config])
    assert np.ptp(places[:, 0]) > 0.01  # they do not collapse into a point
    assert max(sizes) <= 30 + 2 * bayesian.RUNNING
