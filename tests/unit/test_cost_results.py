"""What is shown and checked of a finished study under a budget in cost: verification, comparison, report, live page, bundle."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from without_ray import dispatching, play_to_the_end

from hpo import store
from hpo.bundle.held import Held
from hpo.bundle.pages import readme
from hpo.replay import from_store, replay
from hpo.report import html
from hpo.report.comparison_tables import render_comparison
from hpo.report.record_section import ledger_table
from hpo.results.compare import compare
from hpo.results.standing import current
from hpo.service.answers.progress import anytime_curves
from hpo.service.answers.runs import run_list
from hpo.store import StudyData
from hpo.store.verify import check
from hpo.study.study import Study

STUDY = """
study: dear
trainable: curves
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
  cost: {{type: choice, values: [0.1, 0.35, 1.0]}}
budget: {{{budget}, max_epochs: 4}}
methods: [random, asha]
seeds: [0, 1]
store: {store}
"""


def made(folder: Path, budget: str) -> tuple[Study, StudyData]:
    (folder / "dear.yaml").write_text(STUDY.format(budget=budget, store=folder / "store"))
    study = Study.load(folder / "dear.yaml")
    play_to_the_end(dispatching(study))
    assert store.verify(study.store) == []
    return study, store.read(study.store)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, StudyData]:
    return made(tmp_path_factory.mktemp("dear"), "cost: 7.25")


def with_value(table: pa.Table, column: str, value: Any) -> pa.Table:
    rows = table.to_pylist()
    rows[0][column] = value
    return pa.Table.from_pylist(rows, schema=table.schema)


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("charges", "cost", 0.100001, "epochs of its trial 0 cost differently"),
        ("charges", "cost", None, "a charge does not say what its epoch cost"),
        ("charges", "cost", 70.0, "was charged, more than its budget of 7.25"),
        ("runs", "charged_cost", 7.000001, "but its row has 7.000001"),
        ("runs", "budget_cost", 7.5, "its row has the budget in cost 7.5, but the study has 7.25"),
        ("runs", "budget_epochs", 24, "its row has the budget 24, but the study has None"),
        ("runs", "reason", None, " of 7.25 charged and gives no reason"),
    ],
)  # fmt: skip
def test_verification_names_what_does_not_add_up(finished, table: str, column: str, value: object, said: str) -> None:
    data = finished[1]
    if column == "reason":
        rows = [{**row, "reason": None} for row in data.runs.to_pylist()]
        after = pa.Table.from_pylist(rows, schema=data.runs.schema)
        assert any(row["reason"] for row in data.runs.to_pylist())
    else:
        after = with_value(getattr(data, table), column, value)
    assert any(said in problem for problem in check(replace(data, **{table: after}), ended=True))


def test_the_comparison_has_curves_over_epochs_cost_and_seconds(finished) -> None:
    data = finished[1]
    found = compare(data).to_json()
    assert (found["budget_epochs"], found["budget_cost"], found["budgets"]) == (None, 7.25, {"dear": None})
    costs = dict(zip(data.runs["run"].to_pylist(), data.runs["charged_cost"].to_pylist(), strict=True))
    for run in found["runs"]:
        assert (run["budget_epochs"], run["budget_cost"]) == (None, 7.25)
        assert run["charged_cost"] == costs[f"{run['method']}/{run['seed']}"] == run["anytime_cost"][-1][0] <= 7.25
        assert [value for _, value in run["anytime_cost"]] == [value for _, value in run["anytime"]]
        assert run["anytime"][-1][0] == run["charged_epochs"]
        assert run["anytime_seconds"]
        height = run["area"]
        assert min(v for _, v in run["anytime_cost"]) <= height <= run["anytime_cost"][-1][1]
    by_method = {method["method"]: method["charged_cost"] for method in found["methods"]}
    assert by_method["asha"] == pytest.approx(math.fsum(costs[f"asha/{seed}"] for seed in (0, 1)), abs=1e-9)
    assert "after a charged cost of 7.25 per run" in render_comparison(compare(data), "markdown")


def test_a_study_under_a_budget_in_epochs_has_curves_over_cost_where_epochs_cost_differently(tmp_path: Path) -> None:
    study, data = made(tmp_path, "epochs: 16")
    assert data.charges["cost"].null_count == len(data.charges), "this driver was given no costs"
    assert [run.anytime_cost for run in compare(data).runs] == [()] * 4
    again = replay(study, data=from_store(study.store, study)).data
    assert {run.charged_cost is not None for run in compare(again).runs} == {True}
    assert {row["budget_cost"] for row in again.runs.to_pylist()} == {None}


def test_the_report_draws_the_curves_over_cost_first_and_counts_the_ledger_in_cost(finished) -> None:
    data = finished[1]
    page = html.page(data, compare(data), None, command="hpo run dear.yaml")
    places = [page.index(f"so far over {what}") for what in ("charged cost", "charged epochs", "time")]
    assert places == sorted(places)
    assert "a cost of 7.25, at most 4 epochs per trial" in page
    assert {"budget_cost", "charged_cost"} <= {column.key for column in ledger_table(data).columns}
    assert "budget_epochs" not in {column.key for column in ledger_table(data).columns}


def test_the_service_the_bundle_and_an_old_snapshot_tell_the_cost(finished) -> None:
    data = finished[1]
    curves = {run["run"]: run["steps"] for run in anytime_curves(data, "cost")["runs"]}
    stored = {row["run"]: row["charged_cost"] for row in data.runs.to_pylist()}
    for run in run_list(data):
        assert (run["budget_epochs"], run["budget_cost"]) == (None, 7.25)
        assert run["charged_cost"] == stored[run["run"]] == curves[run["run"]][-1][0]
    assert "each with a budget of a cost of 7.25" in readme(
        Held.among([data]), [data], "requirements.txt", "A verdict."
    )
    old = current(replace(data, runs=data.runs.slice(0, 0)))
    columns = ["run", "charged_cost", "budget_cost", "budget_epochs"]
    by_run = [sorted(each.runs.select(columns).to_pylist(), key=lambda r: r["run"]) for each in (old, data)]
    assert by_run[0] == by_run[1]


def test_a_replay_at_another_cost_is_exact_too(finished) -> None:
    study = finished[0]
    played = replay(study, data=from_store(study.store, study), budget=3)
    assert {run.ledger.budget for run in played.runs} == {3_000_000}
    assert all(run.reason or run.ledger.spent for run in played.runs)
    assert played.data.definition["budget"] == {"cost": 3.0, "max_epochs": 4}
