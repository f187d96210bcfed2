"""The audit finds comparisons that do not follow from their epochs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from hpo.results.audit import audit, from_epochs
from hpo.results.compare import compare
from hpo.store import StudyData
from tests.conftest import hpo
from tests.simulated import simulated_study
from tests.unit.test_exams import play


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyData]:
    folder = tmp_path_factory.mktemp("audit")
    return folder / "store", play(folder, "{retrain: none}")


def changed(table: pa.Table, row: int, **values: object) -> pa.Table:
    rows = table.to_pylist()
    rows[row] |= values
    return pa.Table.from_pylist(rows, schema=table.schema)


def test_a_study_s_comparison_follows_from_its_epochs(study: tuple[Path, StudyData]) -> None:
    _, data = study
    assert audit(data) == []
    derived = compare(from_epochs(data)).to_json()
    said = compare(data).to_json()
    assert derived["methods"] == said["methods"]


def test_a_charge_with_another_value_is_found(study: tuple[Path, StudyData]) -> None:
    _, data = study
    wrong = replace(data, charges=changed(data.charges, 0, value=0.999))
    method = data.charges["method"][0].as_py()
    problems = audit(wrong)
    assert any(
        text.startswith(f"run {method}/0: the comparison reports value 0.999, but the epochs") for text in problems
    )
    assert any(text.startswith(f"method {method}: the comparison reports mean 0.999") for text in problems)


@pytest.mark.parametrize(("column", "value"), [("shared_epochs", 5), ("wasted_epochs", 3), ("train_seconds", 1e6)])
def test_a_run_s_row_with_larger_sums_is_found(study: tuple[Path, StudyData], column: str, value: float) -> None:
    _, data = study
    wrong = replace(data, runs=changed(data.runs, 0, **{column: value}))
    assert any(column.replace("_", " ") in text for text in audit(wrong))


def test_sums_that_still_change_are_not_checked_while_a_run_is_partial(study: tuple[Path, StudyData]) -> None:
    _, data = study
    runs = changed(changed(data.runs, 0, shared_epochs=0), 1, status="partial")
    assert audit(replace(data, runs=runs)) == []


def test_epochs_trained_again_are_counted_as_wasted_and_change_no_value(study: tuple[Path, StudyData]) -> None:
    _, data = study
    first = data.charges.to_pylist()[0]
    again = [
        {**row, "attempt": 1, "val_accuracy": 0.99, "val_loss": 0.0}
        for row in data.epochs.to_pylist()
        if (row["trial"], row["epoch"]) == (first["trial"], first["epoch"])
    ]
    epochs = pa.concat_tables([data.epochs, pa.Table.from_pylist(again, schema=data.epochs.schema)])
    users = {row["run"] for row in data.charges.to_pylist() if row["trial"] == first["trial"]}
    rows = [{**row, "wasted_epochs": int(row["run"] in users)} for row in data.runs.to_pylist()]
    right = replace(data, epochs=epochs, runs=pa.Table.from_pylist(rows, schema=data.runs.schema))
    assert audit(right) == []
    wrong = {f"run {run}: the comparison reports wasted epochs 0, but the epochs give 1" for run in users}
    assert set(audit(replace(data, epochs=epochs))) == wrong


def test_folds_count_as_many_epochs(study: tuple[Path, StudyData]) -> None:
    _, data = study
    folded = {**data.definition, "data": {**(data.definition.get("data") or {}), "folds": 3}}
    counts = ("charged_epochs", "shared_epochs", "wasted_epochs", "budget_epochs")
    rows = [{**row, **{name: 3 * row[name] for name in counts}} for row in data.runs.to_pylist()]
    assert audit(replace(data, definition=folded, runs=pa.Table.from_pylist(rows, schema=data.runs.schema))) == []


def test_a_partial_run_whose_epochs_are_still_to_arrive_is_no_problem(study: tuple[Path, StudyData]) -> None:
    _, data = study
    rows = [{**row, "status": "partial"} for row in data.runs.to_pylist()]
    under_way = replace(data, runs=pa.Table.from_pylist(rows, schema=data.runs.schema), epochs=data.epochs.slice(0, 1))
    assert audit(under_way) == []


def test_a_small_change_of_a_value_is_found(study: tuple[Path, StudyData]) -> None:
    _, data = study
    best = data.runs.to_pylist()[0]["incumbent_value"]
    place = data.charges["value"].to_pylist().index(best)
    assert audit(replace(data, charges=changed(data.charges, place, value=best * (1 + 1e-6)))) != []


def test_a_verdict_that_the_epochs_do_not_support_is_found() -> None:
    """Values raised in the charges make a better in every seed; the epochs say that the two are equal."""
    data = simulated_study({"a": [0.5] * 7, "b": [0.5] * 7})
    rows = [{**row, "value": row["value"] + 0.1 * (row["run"][0] == "a")} for row in data.charges.to_pylist()]
    problems = audit(replace(data, charges=pa.Table.from_pylist(rows, schema=data.charges.schema)))
    assert "methods a (a) and b (b): the comparison reports a better, but the epochs give equivalent" in problems


def test_epochs_without_the_metric_cause_no_complaint(study: tuple[Path, StudyData]) -> None:
    _, data = study
    metric = data.definition["metric"]
    assert audit(replace(data, epochs=data.epochs.drop_columns([metric]))) == []


def test_the_command_reports_an_audit_without_problems(study: tuple[Path, StudyData]) -> None:
    uri, _ = study
    answer = hpo("verify", uri)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == "every ledger, order, incumbent and comparison follows from the epochs\n"
