"""Importance on functions with a known decomposition, and on a study's tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hpo.report.importance_tables import shares_table, summary, tasks_table
from hpo.results.association import association
from hpo.results.fanova import Share, fanova
from hpo.results.forest import Cells, Forest, decompose
from hpo.results.importance import Disagreement, Importance, TooFewTrials, importance, importance_or_none, over_tasks
from hpo.store import StudyData
from hpo.study.space import Choice, Float, Int, SearchSpace
from tests.simulated import simulated_study
from tests.synthetic_study import synthetic_study

ROOT12 = math.sqrt(12)  # makes a uniform variable's standard deviation 1
SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(1e-5, 1e-1, log=True), "z": Float(-1.0, 1.0)})


def additive(u: np.ndarray) -> np.ndarray:
    return math.sqrt(0.8) * ROOT12 * (u[:, 0] - 0.5) + math.sqrt(0.2) * ROOT12 * (u[:, 1] - 0.5)


def interaction(u: np.ndarray) -> np.ndarray:
    return 12 * (u[:, 0] - 0.5) * (u[:, 1] - 0.5)


def exclusive_or(u: np.ndarray) -> np.ndarray:
    return np.sign(u[:, 0] - 0.5) * np.sign(u[:, 1] - 0.5)


def mixed(u: np.ndarray) -> np.ndarray:
    return math.sqrt(0.4) * ROOT12 * (u[:, 0] - 0.5) + math.sqrt(0.2) * ROOT12 * (u[:, 1] - 0.5) + math.sqrt(
        0.4) * interaction(u)  # fmt: skip


KNOWN = {
    "additive": (additive, 0.8, 0.2, 0.0),
    "pure interaction": (interaction, 0.0, 0.0, 1.0),
    "exclusive or": (exclusive_or, 0.0, 0.0, 1.0),
    "mixed": (mixed, 0.4, 0.2, 0.4),
}


@pytest.mark.parametrize("function", KNOWN)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_shares_match_the_function_s_within_five_points(function: str, noise: float) -> None:
    f, x, y, xy = KNOWN[function]
    rng = np.random.default_rng(7)
    points = rng.random((400, 3))
    values = f(points) + noise * rng.normal(size=400)
    forest = Forest(points, values, np.ones(points.shape, bool), [Cells(24)] * 3, trees=64, rng=rng)
    found = decompose(forest, [(0, 1), (0, 2), (1, 2)], seed=0)
    shares = [found.single(0), found.single(1), found.single(2), found.pair(0, 1), found.pair(0, 2), found.pair(1, 2)]
    assert shares == pytest.approx([x, y, 0, xy, 0, 0], abs=0.05)
    assert found.unexplained == pytest.approx(0, abs=0.05)


def test_decoding_changes_no_share_and_intervals_contain_the_shares() -> None:
    rng = np.random.default_rng(3)
    configs = [SPACE.sample(rng) for _ in range(200)]
    values = mixed(np.array([SPACE.encode(config) for config in configs])) + 0.1 * rng.normal(size=200)
    found = fanova(SPACE, configs, values, seed=3)
    shares = {share.name: share for share in found.shares()}
    assert [share.name for share in found.shares()] == ["x", "y", "z"]
    assert (shares["x"].share, shares["y"].share, shares["z"].share) == pytest.approx((0.4, 0.2, 0), abs=0.05)
    for share in shares.values():
        assert 0 <= share.low <= share.share <= share.high <= 1
        assert share.high - share.low < 0.25
    top = found.pair_shares()[0]
    assert (top.a, top.b) == ("x", "y")
    assert np.array(top.mean).shape == (24, 24)
    assert len(top.values_a) == len(top.values_b) == 24
    assert found.fit > 0.8
    slope = found.marginals()[0]
    assert slope.mean[-1] - slope.mean[0] == pytest.approx(math.sqrt(0.4) * ROOT12, rel=0.15)


def test_equal_seeds_give_equal_shares() -> None:
    rng = np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(40)]
    values = rng.normal(size=40)
    one, two, other = (fanova(SPACE, configs, values, seed=seed, pairs=False).shares() for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_choices_whole_numbers_and_conditions() -> None:
    space = SearchSpace(
        {
            "optimizer": Choice(("adam", "sgd")),
            "momentum": Float(0.0, 1.0),
            "layers": Int(1, 4),
            "units": Int(8, 64, log=True),
        },
        {"momentum": {"optimizer": ("sgd",)}},
    )
    rng = np.random.default_rng(2)
    configs = [space.sample(rng) for _ in range(300)]
    # For sgd the momentum counts, for adam there is none: over the cube f = [sgd] * (m - 1/2) * sqrt(12).
    values = np.array([ROOT12 * (c["momentum"] - 0.5) if "momentum" in c else 0.0 for c in configs])
    found = fanova(space, configs, values, seed=0)
    shares = {share.name: share.share for share in found.shares()}
    assert shares == pytest.approx({"momentum": 0.5, "optimizer": 0.0, "layers": 0.0, "units": 0.0}, abs=0.05)
    pair = found.pair_shares()[0]
    assert {pair.a, pair.b} == {"optimizer", "momentum"}
    assert pair.share == pytest.approx(0.5, abs=0.05)
    marginals = {marginal.name: marginal for marginal in found.marginals()}
    assert marginals["optimizer"].values == ("adam", "sgd")
    assert marginals["layers"].values == (1, 2, 3, 4)
    assert list(marginals["units"].values) == sorted(set(marginals["units"].values))
    assert {m.name for m in found.sensitivity({"optimizer": "adam", "layers": 2, "units": 16})} == {
        "optimizer",
        "layers",
        "units",
    }


@pytest.fixture(scope="module")
def found() -> Importance:
    return importance(synthetic_study(seeds=(0, 1), budget=160), seed=1)


def test_a_study_s_importance(found: Importance) -> None:
    assert [found.shares[0].name, found.shares[-1].name] == ["learning_rate", "dropout"]
    assert found.epochs == "trained to the end"
    assert any("failed" in note for note in found.notes)
    assert len(found.pairs) == 6
    assert {m.name for m in found.marginals} == {"learning_rate", "dropout", "optimizer", "finetuned_layers"}
    assert found.sensitivity[0].name == "learning_rate"
    assert all(len(m.values) == len(m.mean) == len(m.std) for m in (*found.marginals, *found.sensitivity))
    answer = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {"shares", "pairs", "marginals", "sensitivity", "unexplained", "fit", "association"} <= set(answer)
    assert answer["sensitivity"][0]["spread"] > 0


def test_the_best_trials_are_a_second_opinion(found: Importance) -> None:
    best = found.ped_anova
    assert sum(top.share for top in best.shares) == pytest.approx(1)
    assert {top.name for top in best.shares} == {share.name for share in found.shares}
    table = shares_table(found)
    assert table.columns[-1].title == f"best {100 * best.fraction:.0f} %"
    assert {row[0]: row[-1] for row in table.rows} == {top.name: top.share for top in best.shares}
    answer = found.to_json()
    assert answer["ped_anova"]["trials"] == best.trials
    assert answer["ped_anova"]["shares"][0] == {"name": best.shares[0].name, "share": best.shares[0].share}


def of_function(function: Callable[[np.ndarray], np.ndarray], trials: int) -> Importance:
    """Computes the importance of a learning rate and a dropout, whose units `function` maps to the metric."""
    data = simulated_study({"a": [0.9]})
    space = {"learning_rate": {"type": "float", "low": 0.0, "high": 1.0},
             "dropout": {"type": "float", "low": 0.0, "high": 1.0}}  # fmt: skip
    units = np.random.default_rng(1).random((trials, 2))
    common = {**data.trials.to_pylist()[0], "config_batch_size": None, "config_layers": None}
    rows = [
        {**common, "trial": f"t{i}", "config_learning_rate": float(x), "config_dropout": float(y), "epochs": 1,
         "status": "completed", "best_value": float(value)}
        for i, ((x, y), value) in enumerate(zip(units, function(units), strict=True))
    ]  # fmt: skip
    definition = {**data.definition, "space": space}
    return importance(replace(data, definition=definition, trials=pa.Table.from_pylist(rows)), pairs=False)


def test_two_methods_that_agree_are_not_said_to_disagree() -> None:
    same = of_function(lambda u: 3 * u[:, 0] + u[:, 1], 200)
    assert (same.shares[0].name, same.ped_anova.shares[0].name) == ("learning_rate", "learning_rate")
    assert same.disagreement is None
    assert same.to_json()["disagreement"] is None
    assert "functional ANOVA" not in summary(same)


def test_what_ruins_most_of_the_space_need_not_set_the_best_apart() -> None:
    """Half of the learning rates ruin everything; among the others, the dropout decides."""
    other = of_function(lambda u: np.where(u[:, 0] < 0.5, -5.0, np.maximum(0.0, u[:, 1] - 0.6)), 300)
    found = other.disagreement
    assert found is not None
    assert (found.place, found.fanova, found.ped_anova, found.firm) == (1, "learning_rate", "dropout", True)
    assert found.support >= 0.9
    assert "The two methods disagree: over the whole space learning_rate matters most" in summary(other)
    assert other.to_json()["disagreement"] == {
        "place": 1, "fanova": "learning_rate", "ped_anova": "dropout", "support": found.support, "firm": True,
    }  # fmt: skip
    doubted = replace(other, disagreement=Disagreement(2, "a", "b", 0.6, firm=False))
    assert "The two methods rank differently, though not firmly: over the whole space a matters second" in summary(
        doubted
    )
    assert "but b does more to set the best 10 % of the trials apart (PED-ANOVA; so in 60 %" in summary(doubted)


def test_too_few_trials_are_refused_or_yield_none() -> None:
    data = simulated_study({"a": [0.9, 0.8]})
    with pytest.raises(TooFewTrials, match="at least 12 trials with a value, but simulated has 4"):
        importance(data, seed=0)
    assert importance_or_none(data) is None
    alike = simulated_study({"a": [0.5] * 10})
    rows = [{**row, "best_value": 0.5} for row in alike.trials.to_pylist()]
    with pytest.raises(TooFewTrials, match="differ"):
        importance(replace(alike, trials=type(alike.trials).from_pylist(rows)), seed=0)


def study_of(rows: list[dict[str, Any]]) -> StudyData:
    """A study whose trials are `rows` (trial, epochs, best_value, status), each trial with a learning rate of its own."""
    data = simulated_study({"a": [0.9]})
    common = {**data.trials.to_pylist()[0], "best_value": None}
    rates = {row["trial"]: 1e-4 * 1.1**i for i, row in enumerate(rows)}
    trials = [{**common, "config_learning_rate": rates[row["trial"]], **row} for row in rows]
    return replace(data, trials=pa.Table.from_pylist(trials, schema=data.trials.schema))


def whole_trials(count: int) -> list[dict[str, Any]]:
    return [{"trial": f"w{i}", "epochs": 4, "best_value": 0.5 + i / 100, "status": "completed"} for i in range(count)]


def stopped_trials(count: int) -> list[dict[str, Any]]:
    return [{"trial": f"s{i}", "epochs": 1, "best_value": 0.1 + i / 1000, "status": "stopped"} for i in range(count)]


@pytest.mark.parametrize(
    ("whole", "stopped", "used"), [(11, 4, 15), (12, 4, 12), (13, 4, 13), (13, 39, 13), (13, 40, 53)]
)
def test_stopped_trials_count_only_if_too_few_were_trained_to_the_end(whole: int, stopped: int, used: int) -> None:
    """Enough are 12 of them that are at least a quarter of all."""
    found = importance(study_of(whole_trials(whole) + stopped_trials(stopped)), pairs=False)
    assert found.trials == used
    assert found.epochs == ("trained to the end" if used == whole else "trained to different epochs")
    said = f"Trials left out because they were stopped early: {stopped}."
    assert (said in found.notes) is (used == whole)


@pytest.mark.parametrize("shortest_first", [True, False])
def test_a_trial_that_several_runs_share_counts_once_as_far_as_any_of_them_trained_it(shortest_first: bool) -> None:
    rows = whole_trials(12)
    short = {**rows[0], "epochs": 1, "best_value": 0.99, "status": "stopped"}  # no longer the best once trained on
    found = importance(study_of([short, *rows] if shortest_first else [*rows, short]), pairs=False)
    assert (found.trials, found.epochs, found.notes) == (12, "trained to the end", ())
    assert max(found.marginals[0].mean) < 0.9


def test_failed_trials_are_left_out_even_if_they_had_a_value() -> None:
    failed = {"trial": "f", "epochs": 3, "best_value": 5.0, "status": "failed"}
    found = importance(study_of([*whole_trials(12), failed]), pairs=False)
    assert found.trials == 12
    assert found.notes == ("Trials left out because they failed or have no value: 1.",)
    assert max(found.marginals[0].mean) < 1
    with pytest.raises(TooFewTrials, match="at least 12 trials with a value, but simulated has 11"):
        importance(study_of([*whole_trials(11), failed]), pairs=False)


def test_noise_is_called_noise() -> None:
    rng = np.random.default_rng(4)
    data = synthetic_study(seeds=(0,), budget=160)
    rows = [{**row, "best_value": float(rng.random())} for row in data.trials.to_pylist()]
    found = importance(replace(data, trials=type(data.trials).from_pylist(rows)), pairs=False, seed=0)
    assert found.fit < 0.3
    assert not found.decided
    assert summary(found).startswith("Undecided: the trials do not show what mattered")
    assert "Below 0.5 the shares are guesses: noise." in tasks_table({"noise": found}).note
    assert found.pairs == ()


@pytest.mark.parametrize(("function", "trials", "decided"), [(exclusive_or, 60, False), (interaction, 200, True)])
def test_what_too_few_trials_cannot_show_is_not_claimed(
    function: Callable[[np.ndarray], np.ndarray], trials: int, decided: bool, found: Importance
) -> None:
    """Six hyperparameters with all the variance in one pair: from few trials no surrogate learns it."""
    space = SearchSpace({f"h{i}": Float(0.0, 1.0) for i in range(6)})
    points = np.random.default_rng(5).random((trials, 6))
    shown = fanova(
        space, [dict(zip(space.names, map(float, p), strict=True)) for p in points], function(points), seed=5
    )
    claim = replace(found, fit=shown.fit, shares=shown.shares(), pairs=shown.pair_shares(), study="six")
    assert claim.decided == claim.to_json()["decided"] == decided
    if not decided:
        assert summary(claim).startswith("Undecided")
        return
    assert summary(claim).startswith("h0 and h1 mattered most, together")
    true = {("h0", "h1"): 1.0}
    assert all(pair.low - 0.01 <= true.get((pair.a, pair.b), 0.0) <= pair.high + 0.01 for pair in claim.pairs)
    assert all(share.low <= 0.01 for share in claim.shares)
    assert "`--pairs` shows them" in summary(replace(claim, pairs=(), unexplained=0.9))


def test_means_over_tasks_cover_only_hyperparameters_that_all_search(found: Importance) -> None:
    other = replace(found, shares=(Share("learning_rate", 0.5, 0.4, 0.6), Share("momentum", 0.3, 0.2, 0.4)))
    first = next(share for share in found.shares if share.name == "learning_rate")
    both = over_tasks([found, other])
    assert [share.name for share in both] == ["learning_rate"]
    assert both[0].share == pytest.approx((first.share + 0.5) / 2)
    assert both[0].low <= both[0].share <= both[0].high


def test_batch_size_and_learning_rate_rise_together() -> None:
    rng = np.random.default_rng(0)
    batches, rates = rng.choice([8, 16, 32, 64, 128], 200), 10 ** rng.uniform(-4, -1, 200)
    best = {8: -3.5, 16: -3.0, 32: -2.5, 64: -2.0, 128: -1.5}
    values = [1 - (math.log10(r) - best[int(b)]) ** 2 for b, r in zip(batches, rates, strict=True)]
    configs = [{"batch_size": int(b), "learning_rate": float(r)} for b, r in zip(batches, rates, strict=True)]
    found = association("batch_size", "learning_rate", configs, values, mode="max")
    assert found is not None
    assert found.rho is not None
    assert found.p is not None
    assert found.rho > 0.7
    assert found.p < 0.001
    assert found.rho_best == pytest.approx(1.0)
    assert [row[0] for row in found.best] == [8, 16, 32, 64, 128]
    assert association("batch_size", "learning_rate", configs, [-v for v in values], mode="min") is not None
    assert association("batch_size", "momentum", configs, values, mode="max") is None


def test_no_correlation_is_claimed_for_too_few_or_equal_values() -> None:
    configs = [{"batch_size": 8, "learning_rate": 0.1 * i} for i in range(1, 9)]
    found = association("batch_size", "learning_rate", configs, [float(i) for i in range(8)], mode="max")
    assert found is not None
    assert (found.rho, found.p, found.rho_best) == (None, None, None)


def test_a_conditional_choice_leaves_no_box_without_a_value() -> None:
    space = SearchSpace(
        {"optimizer": Choice(("adam", "sgd")), "schedule": Choice(("flat", "cosine", "steps"))},
        {"schedule": {"optimizer": ("sgd",)}},
    )
    rng = np.random.default_rng(1)
    configs = [space.sample(rng) for _ in range(80)]
    values = np.array([float(c.get("schedule") == "cosine") for c in configs])
    found = fanova(space, configs, values, seed=0)
    # f = [sgd][cosine]: V(schedule) = (2/9)/4, V(optimizer) = (1/9)/4, together (1/6)(5/6).
    total = 5 / 36
    shares = {share.name: share.share for share in found.shares()}
    assert shares == pytest.approx({"schedule": 2 / 36 / total, "optimizer": 1 / 36 / total}, abs=0.05)
    assert found.whole.mean == pytest.approx(1 / 6, abs=0.02)
    assert found.whole.unexplained == pytest.approx(0, abs=0.02)
