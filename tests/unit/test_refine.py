"""Refinements: which neighbours of a winner are tried, and when a gain counts as real."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hpo.cli.refine import doubt
from hpo.report.refinement_tables import render_refinement
from hpo.results.importance import importance
from hpo.results.refinement import NothingToRefine, changed, from_study, plan, refinement, winner
from tests.simulated import simulated_study
from tests.synthetic_study import synthetic_study

BASE = {"dropout": 0.2, "batch": 16}


def results(gains: dict[float, float], seeds: int, noise: float = 0.002, mode: str = "max"):
    """Yields results of the winner, 0.8 on average, and of changes of dropout with given true gains, on the same seeds."""
    rng = np.random.default_rng(seeds)
    sign = 1 if mode == "max" else -1
    for seed in range(seeds):
        luck = rng.normal(0, 0.02)
        yield BASE, seed, 0.8 + luck
        for dropout, gain in gains.items():
            yield {**BASE, "dropout": dropout}, seed, 0.8 + luck + sign * gain + rng.normal(0, noise)


def test_a_real_gain_is_found_in_either_mode() -> None:
    for mode in ("max", "min"):
        found = refinement(BASE, results({0.1: 0.0, 0.3: 0.02, 0.4: -0.05}, 10, mode=mode), metric="m", mode=mode)
        assert found.best is not None
        assert (found.best.name, found.best.value) == ("dropout", 0.3)
        assert found.best.gain == pytest.approx(0.02, abs=0.003)
        assert found.changes[-1].verdict == "worse"
        assert "dropout=0.3 is better than 0.2" in found.verdict
        json.dumps(found.to_json(), allow_nan=False)


def test_a_refinement_is_a_table_that_fits_80_columns() -> None:
    found = refinement(BASE, results({0.1: 0.0, 0.3: 0.02}, 10), metric="val_accuracy", mode="max")
    text = render_refinement(found, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.split("\n\n")[0].split() == found.verdict.split()
    assert "dropout=0.3" in text
    assert "better" in text
    assert "dropout=0.2, batch=16" in text


def test_few_seeds_are_undecided_and_the_verdict_says_how_many_more_are_needed() -> None:
    found = refinement(BASE, results({0.3: 0.02}, 3), metric="val_accuracy", mode="max")
    assert found.best is None
    assert found.changes[0].more is not None
    assert found.changes[0].more >= 3
    assert found.verdict.startswith("Undecided: dropout=0.3 looks better by 0.0")
    assert refinement(BASE, results({0.3: 0.02}, 1), metric="m", mode="max").changes[0].more is None


def test_the_best_of_many_equal_changes_rarely_counts_as_a_gain() -> None:
    rng = np.random.default_rng(5)
    gains = {round(0.01 * i, 2): 0.0 for i in range(30, 36)}
    called = 0
    for _ in range(150):
        rows = [(config, seed, float(rng.normal(0.8, 0.02))) for config, seed, _ in results(gains, 10)]
        called += refinement(BASE, rows, metric="m", mode="max").best is not None
    assert called / 150 <= 0.05 + 2.33 * math.sqrt(0.05 * 0.95 / 150)


def test_the_verdict_says_that_there_is_no_gain_or_no_change() -> None:
    worse = refinement(BASE, [(BASE, 0, 0.8), ({**BASE, "batch": 32}, 0, 0.7)], metric="m", mode="max")
    assert worse.verdict == "No change improved on the winner's mean m of 0.8."
    assert refinement(BASE, [(BASE, 0, 0.8)], metric="m", mode="max").verdict.startswith("No change was trained")


def test_a_failed_neighbour_loses() -> None:
    rows = [(BASE, s, 0.8) for s in range(6)] + [({**BASE, "batch": 32}, s, math.nan) for s in range(6)]
    found = refinement(BASE, rows, metric="m", mode="max")
    assert found.changes[0].verdict == "worse"
    json.dumps(found.to_json(), allow_nan=False)


def test_the_winner_must_be_among_the_results() -> None:
    with pytest.raises(NothingToRefine, match="must be trained beside"):
        refinement(BASE, [({**BASE, "batch": 32}, 0, 0.7)], metric="m", mode="max")


def test_only_single_changes_count() -> None:
    assert changed(BASE, {**BASE, "batch": 32}) == "batch"
    assert changed(BASE, {"batch": 32, "dropout": 0.3}) is None
    assert changed(BASE, BASE) is None
    assert changed({"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.9}) == "optimizer"


def test_the_plan_changes_the_most_and_the_least_important_around_the_best_incumbent() -> None:
    data = synthetic_study(seeds=(0, 1), budget=160)
    shares = importance(data, seed=1)
    found = plan(data, shares, points=4)
    assert doubt(shares, found) == ""
    assert "do not tell" in doubt(replace(shares, fit=0.2), found)
    assert "learning_rate and dropout are a guess" in doubt(replace(shares, fit=0.2), found)
    rows = data.runs.to_pylist()
    assert found.value == max(row["incumbent_value"] for row in rows)
    assert (found.most, found.least) == ("learning_rate", "dropout")
    assert [len(found.changes[name]) for name in ("learning_rate", "dropout")] == [4, 4]
    assert found.configs[0] == found.config
    assert len(found.configs) == 9
    for name, configs in found.changes.items():
        assert {changed(found.config, config) for config in configs} == {name}
    grid = winner(data, "grid")
    assert grid[2] == "grid"
    assert grid[1] <= found.value


def test_a_study_without_a_winner_is_refused() -> None:
    with pytest.raises(NothingToRefine, match="must have a winner"):
        winner(simulated_study({"a": [math.nan]}))
    with pytest.raises(NothingToRefine, match="of method 'b'"):
        winner(simulated_study({"a": [0.5]}), "b")


def test_a_refinement_from_a_study_s_own_trials() -> None:
    data = simulated_study({"a": [0.9, 0.91, 0.92]})
    base = {"learning_rate": 0.005, "batch_size": 32, "layers": "all"}
    found = from_study(data, base)
    assert [change.name for change in found.changes] == ["learning_rate"]
    assert found.changes[0].pairs == 3
    assert found.changes[0].gain == pytest.approx(-0.2)


def test_the_seeds_for_a_gain_ask_for_the_gain_that_matters_where_the_metric_has_no_default() -> None:
    rng = np.random.default_rng(5)
    rows = [
        ({**BASE, **change}, s, float(rng.normal(70 + 2 * len(change), 3)))
        for s in range(8)
        for change in ({}, {"dropout": 0.3})
    ]
    asked = refinement(BASE, rows, metric="val_accuracy", mode="max")
    assert (asked.point, asked.changes[0].more) == (None, None)
    assert asked.changes[0].gain > 0
    assert "name the smallest gain that matters (difference in the study)" in asked.verdict
    named = refinement(BASE, rows, metric="val_accuracy", mode="max", difference="1 %")
    assert named.point == pytest.approx(0.01 * np.mean([value for *_, value in rows]))
    assert named.changes[0].more is not None
    assert f"detecting a gain of {named.point:.3g} would take about {named.changes[0].more} more" in named.verdict
