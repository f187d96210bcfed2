"""A killed and resumed study meets its stored events again, whatever its methods, its clock and the order of arrival."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interrupted_study import kill, opened, play, written
from without_ray import writing

from hpo import store
from hpo.methods import METHODS
from hpo.methods.hosted import advisor
from hpo.replay import from_store, replay
from hpo.store import StudyData
from hpo.study.study import Study

DEAR = ("bayesian", "asha+bayesian", "multifidelity")
HOSTED = (
    "{optuna: {pruner: HyperbandPruner}}", "{ray-tune: hyperopt}",
    "{asha: {searcher: {optuna: {sampler: {TPESampler: {n_startup_trials: 4}}}}}}",
)  # fmt: skip


def events(data: StudyData) -> list[tuple[Any, ...]]:
    """All charges and failures of the runs, in their orders."""
    charges = [(r["run"], r["order"], r["number"], r["trial"], r["epoch"]) for r in data.charges.to_pylist()]
    failures = [(r["run"], r["order"], r["number"], r["trial"], None) for r in data.run_failures.to_pylist()]
    return sorted([*charges, *failures], key=lambda event: event[:2])


def stands(study: Study, before: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Returns the stored events; they must begin with those of before and leave no order out."""
    found = events(store.read(study.store))
    assert set(before) <= set(found)
    for run in {event[0] for event in found}:
        orders = [event[1] for event in found if event[0] == run]
        assert orders == list(range(len(orders)))
    return found


def finish(study: Study, draw: random.Random, moments: list[int], slow: tuple[str, ...] = ()) -> StudyData:
    """Plays a study to its end, with a kill after each of these numbers of reports."""
    known: list[tuple[Any, ...]] = []
    for reports in moments:
        dispatch = opened(study, slow)
        if play(dispatch, draw, slots=draw.randint(1, 5), reports=reports):
            dispatch.finish(complete=True)
        else:
            kill(dispatch)
        writing(study).close(compact=False)
        known = stands(study, known)
    dispatch = opened(study, slow)
    assert play(dispatch, draw, slots=3)
    dispatch.finish(complete=True)
    stands(study, known)
    return store.read(study.store)


def assert_exact_and_replayed(study: Study, data: StudyData) -> None:
    """The finished study is exact, verified, and replays to the very same events."""
    assert store.verify(study.store) == []
    for row in data.runs.to_pylist():
        assert row["status"] == "complete"
        assert (
            row["charged_epochs"] == row["budget_epochs"] or row["charged_cost"] == row["budget_cost"] or row["reason"]
        )
    again = replay(study, data=from_store(study.store, study)).data
    assert events(again) == events(data)
    times = ("at",)
    left, right = (
        sorted(({n: v for n, v in row.items() if n not in times} for row in found.charges.to_pylist()),
               key=lambda row: (row["run"], row["order"])) for found in (again, data)
    )  # fmt: skip
    assert repr(left) == repr(right)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("clock", ["virtual", "arrival"])
@pytest.mark.parametrize("method", [*METHODS, *HOSTED])
def test_a_killed_study_of_any_method_meets_its_events_again(tmp_path: Path, method: str, clock: str) -> None:
    study = written(tmp_path, method, epochs=12 if method in DEAR else 24, clock=clock)
    data = finish(study, random.Random(f"{method} {clock}"), [7, 5])
    assert_exact_and_replayed(study, data)


@pytest.mark.parametrize(
    "method",
    ["{optuna: {deterministic: false, pruner: MedianPruner}}", "{asha: {searcher: {optuna: {deterministic: false}}}}"],
)
def test_a_library_that_is_not_deterministic_is_given_its_stored_suggestions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """In every sitting Optuna gets another seed, and what was trained before stands all the same."""
    study = written(tmp_path, method)
    draw, moments = random.Random(5), [6, 5, 8]

    def another(library: Any, python: str, opening: Mapping[str, Any], limit: float) -> Any:
        return opened_run(library, python, {**opening, "seed": draw.randrange(1000)}, limit)

    opened_run = advisor.opened
    monkeypatch.setattr(advisor, "opened", another)
    finish(study, draw, moments)
    assert store.verify(study.store) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("method", [name for name in METHODS if name not in DEAR])
def test_a_killed_study_under_a_budget_in_cost_ends_with_the_same_ledger(tmp_path: Path, method: str) -> None:
    """Killed twice or not at all: the same charges, the same cost to the millionth, the same reason for what is left."""
    ledgers = []
    for folder, moments in ((tmp_path / "killed", [4, 6]), (tmp_path / "whole", list[int]())):
        folder.mkdir()
        study = written(folder, method, cost=12.3)
        data = finish(study, random.Random(method), moments)
        assert_exact_and_replayed(study, data)
        columns = ["run", "charged_epochs", "charged_cost", "budget_cost", "reason"]
        ledgers.append((events(data), data.runs.select(columns).to_pylist()))
        assert data.runs["budget_epochs"].null_count == len(data.runs)
    assert ledgers[0] == ledgers[1]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    methods=st.lists(st.sampled_from(["grid", "random", "tpe", "asha", "sha", "i-epoch", "genetic", "median-stopping"]),
                     min_size=1, max_size=3, unique=True),
    slow=st.booleans(),
    clock=st.sampled_from(["virtual", "cost", "arrival", "arrival"]),
    failing=st.sampled_from([0.0, 0.3, 0.6]),
    parallelism=st.integers(1, 6),
    early=st.booleans(),
    moments=st.lists(st.integers(0, 20), max_size=3),
    seed=st.integers(0, 2**31),
    cost=st.sampled_from([None, 9.7]),
)  # fmt: skip
@pytest.mark.timeout(300)
def test_random_studies_with_kills_are_exact_and_replay(
    methods: list[str],
    slow: bool,
    clock: str,
    failing: float,
    parallelism: int,
    early: bool,
    moments: list[int],
    seed: int,
    cost: float | None,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        study = written(
            Path(folder), ", ".join(methods), failing=failing, clock=clock, parallelism=parallelism, epochs=20, cost=cost,
            more="early_stopping: {patience: 1}" if early else "",
        )  # fmt: skip
        data = finish(study, random.Random(seed), moments, tuple(methods) if slow else ())
        assert_exact_and_replayed(study, data)
