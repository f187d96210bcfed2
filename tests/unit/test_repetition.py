"""Two runs of one study: paired differences worked by hand, verdicts that change, sentences and tables."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from hpo.report.repetition_tables import render_repetition
from hpo.results.repetition import DifferentStudies, RunDifference, VerdictDifference, repetition
from hpo.store import StudyData
from tests.synthetic_study import synthetic_study


@pytest.fixture(scope="module")
def before() -> StudyData:
    return synthetic_study("shoes", methods=("grid", "random"), seeds=(0, 1, 2), budget=64)


def moved(data: StudyData, by: dict[str, float]) -> StudyData:
    """The study as if every value of a run had been larger by so much."""
    shifts = [by.get(run, 0.0) for run in data.charges["run"].to_pylist()]
    values = [value + shift for value, shift in zip(data.charges["value"].to_pylist(), shifts, strict=True)]
    place = data.charges.column_names.index("value")
    return replace(data, charges=data.charges.set_column(place, "value", pa.array(values)))


def without(data: StudyData, run: str) -> StudyData:
    """The study as if it had no such run."""
    tables = {table: getattr(data, table) for table in ("runs", "charges")}
    return replace(data, **{n: t.filter(pc.not_equal(t["run"], run)) for n, t in tables.items()})


def test_a_study_equals_itself(before: StudyData) -> None:
    found = repetition(before, before)
    assert found.equal
    assert [(m.method, m.value.pairs, m.value.equal, m.value.largest) for m in found.methods] == [
        ("grid", 3, 3, 0.0), ("random", 3, 3, 0.0),
    ]  # fmt: skip
    assert all(run.same_winner and run.difference == 0 for run in found.runs)
    assert found.summary.startswith("All 6 values of val_accuracy are equal exactly.")
    assert found.summary.endswith("All 2 verdicts on pairs of methods are the same.")  # of validation and of the exam


def test_differences_are_paired_by_seed_and_their_spread_is_worked_by_hand(before: StudyData) -> None:
    after = moved(before, {"grid/0": 0.01, "grid/1": 0.02, "grid/2": 0.06})
    found = repetition(before, after)
    spread = found.methods[0].value
    assert (spread.pairs, spread.equal) == (3, 0)
    assert spread.mean == pytest.approx(0.03)
    assert spread.largest == pytest.approx(0.06)
    # The deviation of 1, 2 and 6 hundredths is sqrt(7); Student's t with two degrees of freedom is 4.302653.
    half = 4.302653 * 7**0.5 / 3**0.5 / 100
    assert spread.ci95 is not None
    assert spread.ci95[0] <= 0.03 - half + 1e-8
    assert spread.ci95[1] >= 0.03 + half - 1e-8
    assert found.methods[1].value.equal == 3
    assert not found.equal
    assert "3 of 6 values of val_accuracy are equal exactly; the second differs by +0.015 on average and by at most 0.06." in (
        found.summary
    )  # fmt: skip
    turned = repetition(after, before)
    assert turned.methods[0].value.mean == pytest.approx(-0.03)


def test_runs_that_only_one_holds_are_named_and_not_paired(before: StudyData) -> None:
    part = without(before, "grid/2")
    found = repetition(before, part)
    assert (found.only_before, found.only_after, found.methods[0].value.pairs) == (("grid/2",), (), 2)
    assert "1 complete run is in the first only: grid/2." in found.summary
    assert repetition(part, before).only_after == ("grid/2",)
    assert not found.equal


def test_a_study_without_runs_in_common(before: StudyData) -> None:
    nothing = replace(before, runs=before.runs.slice(0, 0), charges=before.charges.slice(0, 0))
    found = repetition(before, nothing)
    assert (found.runs, found.equal) == ((), False)
    assert found.summary.startswith("No run is complete in both, so that nothing can be compared.")
    assert json.loads(render_repetition(found, "json"))["methods"] == []
    assert "Every run in both" in render_repetition(found, "table")


@pytest.mark.parametrize(
    ("verdicts", "same", "reversed"),
    [
        (("undecided", "undecided"), True, False),
        (("a better", "undecided"), False, False),
        (("a better", "b better"), False, True),
        (("equivalent", "b better"), False, False),
    ],
)
def test_a_verdict_is_reversed_where_each_calls_the_other_method_better(
    verdicts: tuple[str, str], same: bool, reversed: bool
) -> None:
    found = VerdictDifference("grid", "random", False, *verdicts)
    assert (found.same, found.reversed) == (same, reversed)


def test_verdicts_are_matched_by_the_methods_and_not_by_their_order(before: StudyData) -> None:
    """Twelve seeds, between which one method is better by far, and the methods in another order the second time."""
    data = synthetic_study("shoes", methods=("grid", "random"), seeds=tuple(range(12)), budget=64)
    better = moved(data, {f"random/{seed}": 1.0 for seed in range(12)})
    worse = moved(data, {f"random/{seed}": -1.0 for seed in range(12)})
    turned = {**better.definition, "methods": list(reversed(better.definition["methods"]))}
    (first, *_) = repetition(better, replace(better, definition=turned)).verdicts
    assert (first.a, first.b, first.same, first.before) == ("grid", "random", True, "b better")
    found = repetition(better, worse)
    assert found.verdicts[0].reversed
    assert "of the others " in found.summary
    assert "Verdicts that differ" in render_repetition(found, "table")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("metric", "val_loss", "metric ('val_accuracy' there, 'val_loss' here)"),
        ("budget", {"epochs": 7, "max_epochs": 4}, "budget.epochs"),
    ],
)
def test_other_studies_are_refused(before: StudyData, key: str, value: Any, said: str) -> None:
    with pytest.raises(DifferentStudies) as error:
        repetition(before, replace(before, definition={**before.definition, key: value}))
    assert said in str(error.value)
    with pytest.raises(DifferentStudies, match="these are shoes and boots, which differ in their names"):
        repetition(before, replace(before, name="boots"))


def test_the_same_study_with_its_data_and_weights_elsewhere(before: StudyData) -> None:
    there = {**before.definition, "data": {**before.definition.get("data", {}), "root": "/elsewhere"},
             "model": {**before.definition.get("model", {}), "weights": "/elsewhere/w.pt"}}  # fmt: skip
    assert repetition(before, replace(before, definition=there)).equal


def test_a_value_that_one_does_not_know_is_no_pair() -> None:
    run = RunDifference("grid", 0, 0.5, None, 0.25, 0.5, False)
    assert (run.difference, run.test_difference) == (None, 0.25)
