"""Neighbours of a configuration, in any space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.study.neighbours import neighbours
from hpo.study.space import Choice, Float, Int, InvalidSpace, SearchSpace

SPACE = SearchSpace(
    {
        "optimizer": Choice(("adam", "sgd", "rmsprop")),
        "learning_rate": Float(1e-4, 1e-1, log=True, grid=(0.001, 0.01)),
        "momentum": Float(0.0, 0.9),
        "batch_size": Int(8, 128, log=True),
        "layers": Int(1, 3),
        "dropout": Float(0.0, 0.5, step=0.1),
        "width": Int(1, 1),
    },
    {"momentum": {"optimizer": ("sgd",)}},
)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_neighbours_are_configurations_that_differ_in_one_hyperparameter(seed: int, points: int) -> None:
    config = SPACE.sample(np.random.default_rng(seed))
    for name in config:
        found = neighbours(SPACE, config, name, points)
        for other in found:
            SPACE.check(other)
            assert other[name] != config[name]
            assert {n for n in config if n in other and other[n] != config[n]} == {name}
        values = [other[name] for other in found]
        assert len(set(values)) == len(values)
        size = SPACE.domains[name].size
        assert len(found) <= (size - 1 if name == "optimizer" else min(points, size - 1))
        assert len(found) >= min(points, size - 1) - (name == "batch_size") * points // 2


def test_a_range_is_spread_over_the_whole_of_it_grid_or_not() -> None:
    config = {"optimizer": "adam", "learning_rate": 0.001, "batch_size": 32, "layers": 2, "dropout": 0.2, "width": 1}
    found = [other["learning_rate"] for other in neighbours(SPACE, config, "learning_rate", 3)]
    assert found == pytest.approx([1e-4, 1e-2, 1e-1])
    assert [other["layers"] for other in neighbours(SPACE, config, "layers")] == [1, 3]
    assert [other["dropout"] for other in neighbours(SPACE, config, "dropout")] == pytest.approx(
        [0, 0.1, 0.3, 0.4, 0.5]
    )
    assert neighbours(SPACE, config, "width") == []


def test_conditional_hyperparameters_come_and_go() -> None:
    config = {"optimizer": "adam", "learning_rate": 0.001, "batch_size": 32, "layers": 2, "dropout": 0.2, "width": 1}
    by_optimizer = {other["optimizer"]: other for other in neighbours(SPACE, config, "optimizer")}
    assert by_optimizer["sgd"]["momentum"] == 0.45
    assert "momentum" not in by_optimizer["rmsprop"]
    back = neighbours(SPACE, by_optimizer["sgd"], "optimizer")
    assert config in back


def test_bad_arguments_are_refused() -> None:
    config = {"optimizer": "adam", "learning_rate": 0.001, "batch_size": 32, "layers": 2, "dropout": 0.2, "width": 1}
    with pytest.raises(ValueError, match="must be a hyperparameter of the configuration"):
        neighbours(SPACE, config, "momentum")
    with pytest.raises(ValueError, match="points >= 1"):
        neighbours(SPACE, config, "layers", 0)
    with pytest.raises(InvalidSpace):
        neighbours(SPACE, {"optimizer": "adam"}, "optimizer")
