"""Searchers that count costs: improvement per cost, draws in inverse proportion to cost, and where neither applies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpo.methods.protocol import InvalidOption, Searcher, Setting
from hpo.methods.registry import build, build_searcher
from hpo.methods.searchers.costs import Costs, improvement
from hpo.methods.searchers.kde import Kde
from hpo.study.space import Choice, Config, Domain, Float, SearchSpace
from hpo.study.values import Method

PRICES = {"large": 10.0, "small": 1.0}
DOMAINS: dict[str, Domain] = {"x": Float(0.0, 1.0), "model": Choice(("large", "small"))}
FREE = SearchSpace(DOMAINS)


def price(config: Config) -> float:
    return PRICES[str(config["model"])]


def setting(space: SearchSpace = FREE, cost: Callable[[Config], float] | None = price, **more: Any) -> Setting:
    return Setting(space, 200, 1, epoch_cost=cost, **{"budget_in_cost": True, **more})


RATING: dict[str, Callable[[Setting], Searcher]] = {
    "tpe": lambda s: build_searcher("tpe", s, startup=4),
    "bayesian": lambda s: build_searcher("bayesian", s, initial=4),
    "bayesian ei": lambda s: build_searcher("bayesian", s, initial=4, acquisition="ei"),
    "bohb": lambda s: Kde(s, [1], random_fraction=0.0, cost_aware=True),
}


@pytest.mark.parametrize("name", RATING)
def test_of_two_equally_promising_candidates_the_cheaper_comes_first(name: str) -> None:
    """Both models train equally well at every x that was seen, and the best x is left for both."""
    rows: list[Config] = [{"x": x / 10, "model": model} for x in range(11) for model in PRICES]  # the dear one first
    searcher = RATING[name](
        setting(SearchSpace(DOMAINS, {}, rows), start=tuple(row for row in rows if row["x"] != 0.3))
    )
    for _ in range(20):
        config = searcher.suggest()
        assert config is not None
        searcher.observe(config, 1, 1 - abs(float(config["x"]) - 0.3))
        searcher.close(config)
    assert [searcher.suggest() for _ in range(2)] == [{"x": 0.3, "model": "small"}, {"x": 0.3, "model": "large"}]


@pytest.mark.parametrize("name", RATING)
def test_what_promises_far_more_is_worth_its_cost(name: str) -> None:
    """The large model is better wherever it is tried, by more than its cost: most suggestions train it nevertheless."""
    searcher = RATING[name](setting(cost=lambda config: 1.2 if config["model"] == "large" else 1.0))
    found = []
    for _ in range(40):
        config = searcher.suggest()
        assert config is not None
        searcher.observe(config, 1, (config["model"] == "large") - abs(float(config["x"]) - 0.3))
        searcher.close(config)
        found.append(config["model"])
    assert Counter(found[-20:])["large"] > 12


def test_random_configurations_are_drawn_in_inverse_proportion_to_their_cost() -> None:
    """A large one costs 10 times as much, so each model takes about half of what is spent."""
    costs = Costs(setting(), None)
    configs: list[Config] = [{"x": 0.5, "model": model} for model in PRICES]
    picked = Counter(costs.pick(np.random.default_rng(i), configs) for i in range(2000))
    assert picked[1] / picked[0] == pytest.approx(10, rel=0.25)
    assert costs.draws > 1


def test_costs_count_by_default_where_the_budget_is_in_cost() -> None:
    in_epochs = setting(budget_in_cost=False)
    assert Costs(setting(), None).count
    assert not Costs(in_epochs, None).count
    assert Costs(in_epochs, aware=True).count
    assert not Costs(setting(), aware=False).count
    assert not Costs(setting(cost=None), aware=True).count
    assert Costs(in_epochs, None).logs([{"x": 0.1, "model": "large"}]).tolist() == [0.0]


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_what_cannot_be_a_cost_counts_as_one(wrong: float) -> None:
    assert Costs(setting(cost=lambda config: wrong), None).logs([{"x": 0.1, "model": "large"}]).tolist() == [0.0]


def test_a_ratio_promises_no_more_than_a_configuration_that_is_surely_good() -> None:
    promised = improvement(np.array([-800.0, -1.0, 0.0, 1.0, 800.0]), 0.1)
    assert np.all(np.diff(promised) > 0)
    assert promised[2] == pytest.approx(0.0)
    assert promised[-1] == pytest.approx(math.log(10))


@pytest.mark.parametrize("name", ["tpe", "bayesian", "genetic", "cmaes", "bohb", "asha+tpe"])
def test_cost_aware_is_true_false_or_none(name: str) -> None:
    with pytest.raises(InvalidOption, match="cost_aware must be true or false"):
        build(Method(name, name, {"cost_aware": "yes"}), setting())
