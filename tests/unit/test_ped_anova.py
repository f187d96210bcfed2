"""PED-ANOVA against hand-worked cases and against the figures of Optuna 5.0's evaluator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.results.ped_anova import PedAnova, _bells
from hpo.study.space import Choice, Config, Float, Int, SearchSpace

OPTIMIZERS = ("adam", "sgd", "rmsprop")
SPACE = SearchSpace(
    {
        "rate": Float(1e-5, 1e-1, log=True),
        "dropout": Float(0.0, 0.5),
        "layers": Int(1, 6),
        "optimizer": Choice(OPTIMIZERS),
        "momentum": Float(0.0, 1.0),
    },
    {"momentum": {"optimizer": ("sgd", "rmsprop")}},
)

# Made by optuna.importance.get_param_importances with PedAnovaImportanceEvaluator(target_quantile=max(0.1, 5 / trials)) of
# Optuna 5.0.0 on the trials below, with equal distributions.
OPTUNA = {
    40: {"momentum": 0.753207, "dropout": 0.131085, "rate": 0.088171, "optimizer": 0.021922, "layers": 0.005615},
    200: {"momentum": 0.442453, "rate": 0.237331, "dropout": 0.144351, "optimizer": 0.138079, "layers": 0.037786},
}


def trials(count: int) -> tuple[list[Config], np.ndarray]:
    configs, values = [], []
    for i in range(1, count + 1):
        u = [(i * math.sqrt(prime)) % 1 for prime in (2, 3, 5, 7, 11)]
        layers, optimizer = 1 + int(6 * u[2]), OPTIMIZERS[int(3 * u[3])]
        config = {"rate": 10 ** (-5 + 4 * u[0]), "dropout": 0.5 * u[1], "layers": layers, "optimizer": optimizer}
        if optimizer != "adam":
            config["momentum"] = u[4]
        better = -4 * (u[0] - 0.6) ** 2 - 0.3 * u[1] + 0.05 * layers + (0.3 if optimizer == "sgd" else 0.0)
        configs.append(config)
        values.append(better - abs((u[4] if optimizer != "adam" else 0.4) - 0.8))
    return configs, np.array(values)


@pytest.mark.parametrize("count", OPTUNA)
@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_shares_are_optuna_s(count: int, mode: str) -> None:
    configs, values = trials(count)
    found = PedAnova(SPACE, configs, values if mode == "max" else -values, mode=mode).importance()
    assert {share.name: share.share for share in found.shares} == pytest.approx(OPTUNA[count], abs=1e-6)
    assert [share.name for share in found.shares] == list(OPTUNA[count])
    assert found.trials == {40: 5, 200: 20}[count]
    assert found.fraction == {40: 0.125, 200: 0.1}[count]


def of_two_options(others: int) -> PedAnova:
    """Five trials with x are the best, five with y the others that have the child; `others` trials do not have it."""
    space = SearchSpace(
        {"parent": Choice(("a", "b")), "child": Choice(("x", "y"))}, {"child": {"parent": ("a",)}}
    )  # fmt: skip
    configs: list[Config] = [{"parent": "a", "child": "x"}] * 5 + [{"parent": "a", "child": "y"}] * 5
    configs += [{"parent": "b"}] * others
    return PedAnova(space, configs, np.arange(len(configs), dtype=float), mode="min")


def test_the_divergence_of_a_choice_by_hand() -> None:
    """Among the best, x has 5/6 of the kernels of (3/4, 1/4) and 1/6 of (1/2, 1/2), so 17/24; among all, 1/2.

    All trials have the same parent: 17/24 among the five best, 10/11 of 3/4 and 1/11 of 1/2, so 8/11, among the ten.
    """
    everything = np.arange(10)
    assert of_two_options(0).divergence("child", everything) == pytest.approx((17 / 12 - 1) ** 2)
    assert of_two_options(0).divergence("parent", everything) == pytest.approx(
        (17 / 24 - 8 / 11) ** 2 * (11 / 8 + 11 / 3)
    )


def test_a_conditional_hyperparameter_counts_where_it_exists() -> None:
    """All of the best trials have the child and half of all: its divergence counts 1^2 / (1/2) times."""
    assert of_two_options(10).divergence("child", np.arange(20)) == pytest.approx(2 * (17 / 12 - 1) ** 2)
    worst_first = of_two_options(10)
    assert worst_first.divergence("child", np.arange(10, 20)) == 0.0  # no trial among these has it


def test_kernels_are_normal_distributions_cut_off_at_the_ends() -> None:
    found = _bells(np.array([3.0, 24.5]), np.array([2.0, 50.0]), 50)
    for row, mean, width in zip(found, (3.0, 24.5), (2.0, 50.0), strict=True):
        cut = stats.truncnorm((-0.5 - mean) / width, (49.5 - mean) / width, loc=mean, scale=width)
        assert row == pytest.approx(np.diff(cut.cdf(np.arange(51) - 0.5)), abs=1e-12)
    assert found.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(("count", "best"), [(4, 4), (5, 5), (50, 5), (51, 6), (60, 6), (61, 7)])
def test_the_best_tenth_but_at_least_five(count: int, best: int) -> None:
    space = SearchSpace({"x": Float(0.0, 1.0)})
    configs = [{"x": i / 100} for i in range(count)]
    assert PedAnova(space, configs, np.arange(count, dtype=float), mode="max").importance().trials == best


def test_ties_count_as_best_and_if_all_do_nothing_sets_them_apart() -> None:
    configs, values = trials(40)
    found = PedAnova(SPACE, configs, np.zeros_like(values), mode="max").importance()
    assert found.trials == 40
    assert [share.share for share in found.shares] == [0.0] * 5


def test_support_is_high_for_a_clear_order_and_its_opposite_is_the_complement() -> None:
    configs, values = trials(200)
    top = PedAnova(SPACE, configs, values, mode="max")
    firm = top.support("momentum", "layers", seed=0)
    assert firm > 0.95
    assert top.support("layers", "momentum", seed=0) == pytest.approx(1 - firm)
    assert top.support("momentum", "layers", seed=0) == firm
