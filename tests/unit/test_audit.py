"""Comparisons that do not follow from their epochs are found out, on the whole way and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from hpo.results.audit import audit, from_epochs
from hpo.results.compare import compare
from hpo.store import StudyData
from tests.conftest import hpo
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


def test_a_charge_with_another_value_changes_the_comparison(study: tuple[Path, StudyData]) -> None:
    _, data = study
    wrong = replace(data, charges=changed(data.charges, 0, value=0.999))
    method = data.charges["method"][0].as_py()
    problems = audit(wrong)
    assert any(text.startswith(f"run {method}/0: the comparison reports value 0.999, but the epochs") for text in problems)
    assert any(text.startswith(f"method {method}: the comparison reports mean 0.999") for text in problems)


@pytest.mark.parametrize(("column", "value"), [("shared_epochs", 5), ("wasted_epochs", 3), ("train_seconds", 1e6)])
def test_a_run_s_row_that_says_more_is_found(study: tuple[Path, StudyData], column: str, value: float) -> None:
    _, data = study
    wrong = replace(data, runs=changed(data.runs, 0, **{column: value}))
    assert any(column.replace("_", " ") in text for text in audit(wrong))


def test_sums_that_still_change_are_not_held_against_a_study_under_way(study: tuple[Path, StudyData]) -> None:
    _, data = study
    runs = changed(changed(data.runs, 0, shared_epochs=0), 1, status="partial")
    assert audit(replace(data, runs=runs)) == []


def test_the_command_says_so(study: tuple[Path, StudyData]) -> None:
    uri, _ = study
    answer = hpo("verify", uri)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == "every ledger, order, incumbent and comparison follows from the epochs\n"
