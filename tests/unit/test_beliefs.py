"""A user's beliefs: how they are written, what they make likely, and PriorBand, which plays with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import StudyError
from hpo.game.contract import LANDSCAPES, play, verify
from hpo.methods.prior.beliefs import Beliefs
from hpo.methods.protocol import Setting
from hpo.methods.searchers.ensemble import Ensemble
from hpo.study.beliefs import Belief
from hpo.study.domains import InvalidSpace
from hpo.study.space import Choice, Config, Float, Int, SearchSpace
from hpo.study.values import Method

SPACE = SearchSpace(
    {
        "rate": Float(1e-4, 0.1, log=True, prior={"value": 0.003, "confidence": "high"}),
        "units": Int(1, 100, prior=80),
        "optimizer": Choice(("adam", "sgd", "rmsprop"), prior={"weights": [3, 1, 0]}),
        "momentum": Float(0.0, 1.0),
    },
    {"momentum": {"optimizer": ("sgd",)}},
)
ENTRIES: dict[str, Any] = {
    "rate": {"type": "float", "low": 1e-4, "high": 0.1, "log": True, "prior": {"value": 0.003, "confidence": "high"}},
    "units": {"type": "int", "low": 1, "high": 100, "prior": 80},
    "optimizer": {"type": "choice", "values": ["adam", "sgd", "rmsprop"], "prior": {"weights": [3, 1, 0]}},
    "momentum": {"type": "float", "low": 0.0, "high": 1.0, "if": {"optimizer": "sgd"}},
}


def study(space: dict[str, Any]) -> hpo.Study:
    budget = {"epochs": 4, "max_epochs": 2}
    return hpo.Study(name="believed", trainable="curves", space=space, budget=budget, methods=["priorband"])


def test_beliefs_are_the_same_in_a_file_and_in_python() -> None:
    in_python = {
        "rate": hpo.Float(1e-4, 0.1, log=True, prior={"value": 0.003, "confidence": "high"}),
        "units": hpo.Int(1, 100, prior=80),
        "optimizer": hpo.Choice(["adam", "sgd", "rmsprop"], prior={"weights": [3, 1, 0]}),
        "momentum": hpo.Float(0.0, 1.0, when={"optimizer": "sgd"}),
    }
    both = study(ENTRIES), study(in_python)
    assert both[0].space.domains == both[1].space.domains == SPACE.domains
    assert "confidence: high" in both[1].to_yaml()
    assert both[0].digest != study({**ENTRIES, "units": {"type": "int", "low": 1, "high": 100}}).digest


@pytest.mark.parametrize(
    ("name", "prior", "message"),
    [
        ("rate", 0.2, r"rate: prior must lie in \[0.0001, 0.1\], but got 0.2"),
        ("rate", {"value": 0.01, "confidence": "sure"}, "confidence must be low, medium, high, but got 'sure'"),
        ("rate", {"valu": 0.01}, "prior has no key 'valu'; did you mean 'value'"),
        ("rate", {"weights": [1, 2]}, "only a choice can have weights"),
        ("rate", [0.01], r"prior must be a value, {value, confidence} or {weights}, but got \[0.01\]"),
        ("rate", {"value": None}, r"prior must be a value, .*but got None"),
        ("units", 2.5, "units: prior must lie in the whole numbers"),
        ("optimizer", "adamw", "prior must lie in {adam, sgd, rmsprop}, but got 'adamw'"),
        ("optimizer", {"weights": [1, 2]}, "weights must have one number for each of 3 values"),
        ("optimizer", {"weights": [0, 0, 0]}, "weights must be numbers >= 0, one of them above 0"),
        ("optimizer", {"weights": [1, -1, 1]}, "weights must be numbers >= 0"),
        ("optimizer", {"weights": "high"}, "weights must be numbers >= 0"),
        ("optimizer", {"weights": [1, 1, 1], "confidence": "low"}, "prior must have a value, and perhaps a confidence"),
    ],
)
def test_a_belief_that_cannot_hold_is_one_sentence(name: str, prior: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study({**ENTRIES, name: {**ENTRIES[name], "prior": prior}})


def test_a_belief_outside_its_domain_is_refused_in_python() -> None:
    with pytest.raises(InvalidSpace, match="prior must lie in"):
        hpo.Int(1, 8, prior=9)


def test_draws_lie_where_good_values_are_believed_to_lie() -> None:
    beliefs, rng = Beliefs(SPACE), np.random.default_rng(0)
    drawn = [beliefs.draw(rng) for _ in range(400)]
    assert all(config in SPACE for config in drawn)
    assert 0.7 < np.mean([config["optimizer"] == "adam" for config in drawn]) < 0.8
    assert not any(config["optimizer"] == "rmsprop" for config in drawn)
    rates = [SPACE.domains["rate"].encode(config["rate"]) for config in drawn]
    assert np.mean(rates) == pytest.approx(SPACE.domains["rate"].encode(0.003), abs=0.02)
    assert np.std(rates) == pytest.approx(0.125, abs=0.02)
    assert np.mean([float(config["units"]) for config in drawn]) > 65


def test_densities_are_those_of_the_unit_cube() -> None:
    """Their mean over uniform draws is 1, whatever is believed."""
    rng = np.random.default_rng(0)
    densities = np.exp(Beliefs(SPACE).log_density([SPACE.sample(rng) for _ in range(4000)]))
    assert densities.mean() == pytest.approx(1.0, abs=0.1)
    assert Beliefs(SearchSpace({"x": Float(0, 1)})).empty


def quality(config: Config, best: float) -> float:
    return -((SPACE.domains["rate"].encode(config["rate"]) - best) ** 2)


def near_the_belief(rung: int, best: float, n: int = 60) -> float:
    """The share of the last 20 of n suggestions that lie near the believed rate, where the best one lies elsewhere."""
    searcher, rates = Ensemble(Setting(SPACE, 1000, 1)), []
    for _ in range(n):
        searcher.aim(rung)
        config = searcher.suggest()
        assert config is not None
        rates.append(SPACE.domains["rate"].encode(config["rate"]))
        searcher.observe(config, 1, quality(config, best))
        searcher.close(config)
    believed = SPACE.domains["rate"].encode(0.003)
    return float(np.mean(np.abs(np.array(rates[-20:]) - believed) < 0.2))


def test_longer_trainings_take_more_of_what_is_believed_and_beliefs_that_mislead_fade() -> None:
    believed = SPACE.domains["rate"].encode(0.003)
    assert near_the_belief(rung=3, best=believed) >= 0.8 > near_the_belief(rung=0, best=believed)
    assert near_the_belief(rung=3, best=0.97) <= 0.5


def test_the_first_configuration_is_what_the_user_believes() -> None:
    game = play(Method("priorband", "priorband"), Setting(SPACE, budget=40, max_epochs=9), LANDSCAPES[0])
    first = game.configs[0]
    assert first["optimizer"] == "adam"
    assert 0.001 < float(first["rate"]) < 0.01
    assert int(first["units"]) > 60


def test_priorband_keeps_the_contract_with_beliefs_and_a_pool() -> None:
    setting = Setting(SPACE, budget=40, max_epochs=9, parallelism=3)
    pool = SearchSpace(SPACE.domains, SPACE.conditions, [SPACE.sample(np.random.default_rng(i)) for i in range(30)])
    pooled = Setting(pool, budget=37, max_epochs=5, parallelism=2)
    verify(Method("priorband", "priorband"), [setting, pooled], LANDSCAPES[1:2], every=9)
    verify(Method("asha", "asha", {"searcher": "priorband"}), [setting], LANDSCAPES[1:2], every=9)


def test_a_belief_is_a_value_that_can_be_compared() -> None:
    assert Belief.of(3) == Belief(3) == Belief.of({"value": 3, "confidence": "medium"}) == Belief.of(Belief(3))
    assert hash(Choice((1, 2), prior={"weights": [1, 2]})) == hash(Choice((1, 2), prior={"weights": [1.0, 2.0]}))
