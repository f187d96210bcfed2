"""Holds every registered method to the contract of methods."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.game.contract import (
    LANDSCAPES,
    SETTINGS,
    SPACE,
    Landscape,
    never_repeats,
    play,
    spends_exactly,
    stays_in_the_space,
    survives,
    trains_each_epoch_once,
    verify,
)
from hpo.methods import METHODS, build
from hpo.methods.protocol import Schedule, Setting
from hpo.study.amounts import COST, EPOCHS
from hpo.study.space import Choice, Float, Int, SearchSpace
from hpo.study.values import Method, Observation

FINITE = ("grid", "default")  # have a limited number of configurations
SLOW = ("bayesian", "asha+bayesian", "sequential-unfreezing", "multifidelity")

SMALL = SearchSpace(
    {"learning_rate": Choice((0.001, 0.01)), "finetuned_layers": Choice((9, "all")), "units": Int(1, 2)}
)


def method(name: str) -> Method:
    return Method(name, name)


@pytest.mark.parametrize("name", METHODS)
def test_contract(name: str) -> None:
    few = name in SLOW
    verify(
        method(name),
        [replace(SETTINGS[0], budget=40)] if few else SETTINGS,
        LANDSCAPES[2:3] if few else LANDSCAPES,
        finite=name in FINITE,
    )


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_setting(name: str, data: st.DataObject) -> None:
    """Budgets are exact, no configuration comes twice or leaves the space, whatever the setting, failures, ties and mode."""
    setting = Setting(
        SPACE,
        budget=data.draw(st.integers(1, 30 if name in SLOW else 90), "budget"),
        max_epochs=data.draw(st.integers(1, 20), "max_epochs"),
        parallelism=data.draw(st.integers(1, 64), "parallelism"),
        seed=data.draw(st.integers(0, 2**31), "seed"),
    )
    landscape = Landscape(
        seed=data.draw(st.integers(0, 9), "landscape"),
        failing=data.draw(st.sampled_from([0.0, 0.3, 0.5]), "failing"),
        diverging=data.draw(st.sampled_from([0.0, 0.3]), "diverging"),
        digits=data.draw(st.sampled_from([0, 1, 12]), "digits"),
    )
    mode = data.draw(st.sampled_from(["max", "min"]), "mode")
    game = play(method(name), setting, landscape, mode, data.draw(st.sampled_from([EPOCHS, COST]), "unit"))
    spends_exactly(game, finite=name in FINITE)
    for check in (trains_each_epoch_once, stays_in_the_space, never_repeats, survives):
        check(game)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_on_an_exhausted_space_trains_all_of_it_and_says_why_it_ended(name: str) -> None:
    """Eight configurations and a budget for more: each that can be trained is trained once, and the run says why it ended."""
    setting = Setting(SMALL, budget=200, max_epochs=4, parallelism=3)
    game = play(method(name), setting, Landscape(failing=0.25))
    spends_exactly(game, finite=name in FINITE)
    never_repeats(game)
    assert len(game.configs) == 8 or name in FINITE
    assert "no configuration left" in game.run.outcome().reason
    stopping = name in ("asha-stopping", "median-stopping", "patience")
    unfinished = [t for t in game.run.trials if t.status not in ("completed", "failed")]
    assert stopping or not unfinished


@pytest.mark.parametrize("name", METHODS)
def test_start_configurations_come_first_and_prior_results_are_taken(name: str) -> None:
    start = (
        {"learning_rate": 0.003, "dropout": 0.1, "batch_size": 16, "optimizer": "adam", "finetuned_layers": 2},
        {"learning_rate": 0.03, "dropout": 0.3, "batch_size": 64, "optimizer": "adam", "finetuned_layers": 1},
    )
    prior = tuple(Observation({**start[0], "dropout": 0.1 + i / 50}, 1 + i % 3, 0.5 + i / 100) for i in range(1, 12))
    game = play(method(name), Setting(SPACE, budget=24, max_epochs=3, start=start, prior=prior), Landscape())
    first = 1 if name in ("refine", "sequential-unfreezing") else 2
    assert [dict(config) for config in game.configs[:first]] == list(start[:first])
    spends_exactly(game)
    never_repeats(game)
    trained = [dict(o.config) for o in prior if o.epoch == 3]
    assert name == "refine" or not any(dict(config) in trained for config in game.configs)


PROGRAM = """
import sys
from hpo.game.contract import LANDSCAPES, SETTINGS, play
from hpo.study.values import Method
for name in sys.argv[1:]:
    print(name, play(Method(name, name), SETTINGS[4], LANDSCAPES[1]).fingerprint)
"""


def test_another_process_plays_the_same_games() -> None:
    """With another hash seed, so that a decision that depends on the order of a set would show."""
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, *METHODS],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    ).stdout
    expected = [f"{name} {play(method(name), SETTINGS[4], LANDSCAPES[1]).fingerprint}" for name in METHODS]
    assert found.splitlines() == expected


class Forgetful:
    """A broken method: it starts three trials and then stops asking for more, although budget is left."""

    max_epochs = 9
    oblivious = expensive = False

    def __init__(self, setting: Setting) -> None:
        self.inner = build(Method("random", "inner"), setting)

    def next_segment(self):  # type: ignore[no-untyped-def]
        segment = self.inner.next_segment()
        return None if segment is None or segment.trial > 2 else segment

    def on_epoch(self, trial, epoch, value):  # type: ignore[no-untyped-def]
        return self.inner.on_epoch(trial, epoch, value)

    def on_failure(self, trial, epoch):  # type: ignore[no-untyped-def]
        self.inner.on_failure(trial, epoch)


def test_the_contract_finds_a_method_that_leaves_budget_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "forgetful", Forgetful)
    assert isinstance(Forgetful(SETTINGS[0]), Schedule)
    with pytest.raises(AssertionError, match="33 epochs left over"):
        verify(Method("forgetful", "forgetful"), SETTINGS[:1], LANDSCAPES[:1])


def test_the_landscape_has_failures_divergence_and_ties() -> None:
    space = SearchSpace({"x": Float(0.0, 1.0)})
    values = [Landscape(failing=0.4, diverging=0.3, digits=1).value(space, {"x": i / 200}, 5, 5) for i in range(200)]
    failed = sum(value is None for value in values)
    diverged = sum(value is not None and math.isnan(value) for value in values)
    assert 50 < failed < 110
    assert 30 < diverged < 90
    assert len({value for value in values if value is not None and not math.isnan(value)}) < 12


POOLED = SearchSpace(SPACE.domains, SPACE.conditions, [SPACE.sample(np.random.default_rng([7, i])) for i in range(40)])


@pytest.mark.parametrize("name", METHODS)
def test_a_pool_is_all_that_a_method_may_ask_for(name: str) -> None:
    """Forty candidates and a budget for more: each is trained at most once, and none but them; then the run says why it ended."""
    game = play(method(name), Setting(POOLED, budget=600, max_epochs=6, parallelism=3), Landscape(failing=0.1))
    stays_in_the_space(game)
    never_repeats(game)
    spends_exactly(game, finite=name in FINITE)
    assert len(game.configs) == 40 or name in FINITE
    assert name == "default" or "no configuration left" in game.run.outcome().reason
