"""What the service answers, from tables with known contents: filters, order, curves, failures, pages of the list."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest
from without_ray import dispatching, play_to_the_end

from hpo import store
from hpo.results.brief import ALONE, EARLY, FAILED, brief
from hpo.results.compare import compare
from hpo.results.standing import current
from hpo.service.answers import definitions, failing, progress, runs
from hpo.service.answers import study as whole
from hpo.service.answers.columns import Trials, trials
from hpo.service.answers.curves import curves
from hpo.service.answers.listing import Asked, listed
from hpo.service.answers.selecting import chosen
from hpo.service.answers.trial import trial as one_trial
from hpo.service.answers.trials import page, parallel
from hpo.service.problems import Problem
from hpo.store import StudyData
from hpo.study.study import Study
from tests.simulated import simulated_study
from tests.synthetic_study import synthetic_study

STRANGE = '<b>"löss"</b>, a:b\u202e'

CONDITIONAL = """
study: conditional
trainable: curves
data: {{folds: 1}}
space:
  optimizer: {{type: choice, values: [adam, sgd]}}
  momentum: {{type: float, low: 0.1, high: 0.9, if: {{optimizer: sgd}}}}
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
  seed: {{type: int, low: 1, high: 8}}
  cost: {{type: choice, values: [0.1, 0.35, 1.0]}}
budget: {{cost: 7.25, max_epochs: 4}}
methods: [random, {{asha: {{eta: 2}}}}]
seeds: [0, 1]
parallelism: 2
store: {store}
"""


@pytest.fixture(scope="module")
def data() -> StudyData:
    return synthetic_study(seeds=(0, 1), budget=64)


@pytest.fixture(scope="module")
def table(data: StudyData) -> Trials:
    return trials(data)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    """A study with a conditional hyperparameter, one that is named as a column, and a budget in cost, played in full."""
    folder = tmp_path_factory.mktemp("conditional")
    (folder / "study.yaml").write_text(CONDITIONAL.format(store=folder / "store"))
    study = Study.load(folder / "study.yaml")
    play_to_the_end(dispatching(study))
    return store.read(study.store)


# -- trials -------------------------------------------------------------------------------------------------------


def rows(table: Trials, *where: str, search: str = "", sort: str = "") -> list[dict[str, Any]]:
    return chosen(table, where, search, sort).to_pylist()


def test_conditions_hold_together(table: Trials) -> None:
    everything = table.table.to_pylist()
    expected = [r for r in everything if r["method"] == "asha" and (r["best_value"] or 0) > 0.5]
    assert 0 < len(expected) < len(everything)
    assert rows(table, "method:eq:asha", "best_value:gt:0.5") == expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("epochs:ge:4", lambda r: r["epochs"] >= 4),
        ("epochs:lt:4", lambda r: r["epochs"] < 4),
        ("epochs:ne:4", lambda r: r["epochs"] != 4),
        ("number:le:2.5", lambda r: r["number"] <= 2),
        ("method:in:asha,grid", lambda r: r["method"] in ("asha", "grid")),
        ("seed:in:1", lambda r: r["seed"] == 1),
        ("best_value:eq:", lambda r: r["best_value"] is None),
        ("reason:ne:", lambda r: r["reason"] is not None),
        ("reason:has:LOSS IS", lambda r: "loss is" in (r["reason"] or "")),
        ("best_value:gt:0.4", lambda r: r["best_value"] is not None and r["best_value"] > 0.4),
        ("status:ne:failed", lambda r: r["status"] != "failed"),
        ("learning_rate:lt:1e-3", lambda r: r["learning_rate"] < 1e-3),
        ("worker:eq:node-1", lambda r: r["epochs"] > 0),
    ],
)
def test_a_condition_lets_through_what_meets_it(table: Trials, condition: str, holds: Any) -> None:
    everything = table.table.to_pylist()
    expected = [r for r in everything if holds(r)]
    assert rows(table, condition) == expected
    assert expected, "a condition that lets nothing through proves nothing"


@pytest.mark.parametrize(
    ("where", "sort", "said"),
    [
        ("lerning_rate:eq:1", "", "did you mean 'learning_rate'"),
        ("learning_rate:is:1", "", "one of eq, ne, lt, le, gt, ge, in, has as operator"),
        ("learning_rate:gt:much", "", "learning_rate must be compared with a number, but got 'much'"),
        ("epochs:gt:nan", "", "compared with a number"),
        ("nothing", "", "must begin with a column and a colon"),
        ("", "-valu", "sort must name a column, but got 'valu'"),
    ],
)
def test_a_wrong_condition_is_refused_in_a_sentence(table: Trials, where: str, sort: str, said: str) -> None:
    with pytest.raises(Problem, match=said) as refused:
        chosen(table, [where] if where else [], "", sort)
    assert refused.value.status == 422


def test_the_order_is_by_several_columns_with_empty_cells_last(table: Trials) -> None:
    found = rows(table, sort="method,-best_value")
    assert [r["method"] for r in found] == sorted(r["method"] for r in found)
    for method in ("asha", "random"):
        values = [r["best_value"] for r in found if r["method"] == method]
        known = [value for value in values if value is not None]
        assert values == [*sorted(known, reverse=True), *[None] * (len(values) - len(known))]


def test_a_search_finds_text_in_any_column(table: Trials) -> None:
    one = table.table.to_pylist()[3]
    assert {r["trial"] for r in rows(table, search=one["trial"].upper())} == {one["trial"]}
    assert {r["optimizer"] for r in rows(table, search="RMSPROP")} == {"rmsprop"}
    assert not rows(table, search="no such text")


def test_a_page_is_cut_from_the_order(data: StudyData, table: Trials) -> None:
    matched = chosen(table, ["method:eq:random"], "", "-best_value")
    answer = page(table, matched, 2, 3)
    assert (answer["total"], answer["matched"], answer["offset"]) == (data.trials.num_rows, matched.num_rows, 2)
    names = [column["name"] for column in answer["columns"]]
    assert [dict(zip(names, row, strict=True)) for row in answer["rows"]] == matched.to_pylist()[2:5]
    assert page(table, matched, 10**6, 3)["rows"] == []
    described = {column["name"]: column for column in answer["columns"]}
    assert described["optimizer"]["values"] == ["adadelta", "adam", "rmsprop", "sgd"]
    assert described["learning_rate"]["log"]
    assert described["learning_rate"]["low"] >= 1e-4
    assert not described["epochs"]["hyperparameter"]


def test_strange_names_and_values_are_columns_and_cells_like_others(data: StudyData) -> None:
    renamed = [STRANGE if name == "config_dropout" else name for name in data.trials.column_names]
    strange = replace(
        data,
        trials=data.trials.rename_columns([f"config_{n}" if n == STRANGE else n for n in renamed]),
        definition={**data.definition, "space": {STRANGE: {"type": "float", "low": 0.01, "high": 0.4}}},
    )
    found = trials(strange)
    assert STRANGE in [column.name for column in found.columns]
    assert rows(found, f"{STRANGE}:gt:0.3") == [r for r in found.table.to_pylist() if r[STRANGE] > 0.3]
    assert json.dumps(page(found, found.table, 0, 10), allow_nan=False)


def test_a_hyperparameter_that_is_named_as_a_column_keeps_apart(conditional: StudyData) -> None:
    found = trials(conditional)
    names = [column.name for column in found.columns]
    assert names.count("seed") == 1
    assert "config_seed" in names
    assert [c.label for c in found.columns if c.name == "config_seed"] == ["seed"]
    assert all(1 <= r["config_seed"] <= 8 for r in rows(found))
    assert all((r["momentum"] is None) == (r["optimizer"] == "adam") for r in rows(found))


def test_a_study_without_a_trial_has_an_empty_table(data: StudyData) -> None:
    names = ("epochs", "charges", "trials", "runs", "failures", "exams")
    empty = replace(data, **{name: getattr(data, name).slice(0, 0) for name in names})
    found = trials(empty)
    assert page(found, chosen(found, ["method:eq:asha"], "x", "-best_value"), 0, 5)["rows"] == []
    assert parallel(empty, found, 10)["rows"] == []
    assert curves(empty, 10)["curves"] == []
    assert progress.anytime_curves(empty, "epochs")["methods"] == []
    assert [run["status"] for run in runs.run_list(empty)] == ["waiting"] * 8
    assert runs.ledger(empty)["runs"] == []


# -- curves -------------------------------------------------------------------------------------------------------


def test_parallel_coordinates_are_thinned_and_keep_the_winners(data: StudyData, table: Trials) -> None:
    everything = parallel(data, table, 10_000)
    few = parallel(data, table, 5)
    best = {row["trial"] for row in everything["rows"] if row["best"]}
    assert best == set(data.runs["incumbent_trial"].to_pylist())
    assert len(few["rows"]) < len(everything["rows"]) == everything["total"] == few["total"]
    assert {row["trial"] for row in few["rows"] if row["best"]} == best
    optimizer = [d["name"] for d in everything["dimensions"]].index("optimizer")
    names = everything["dimensions"][optimizer]["values"]
    known = {(r["trial"], r["run"]): r for r in rows(table)}
    for row in everything["rows"]:
        assert names[int(row["values"][optimizer])] == known[row["trial"], row["run"]]["optimizer"]
        assert row["values"][-1] == known[row["trial"], row["run"]]["best_value"]


def test_a_hyperparameter_that_a_trial_does_not_have_has_no_place(conditional: StudyData) -> None:
    found = parallel(conditional, trials(conditional), 100)
    places = {d["name"]: i for i, d in enumerate(found["dimensions"])}
    adam = found["dimensions"][places["optimizer"]]["values"].index("adam")
    for row in found["rows"]:
        missing = row["values"][places["momentum"]] != row["values"][places["momentum"]]
        assert missing == (row["values"][places["optimizer"]] == adam)


def test_curves_are_what_the_runs_were_charged_for_with_rungs_and_pauses(conditional: StudyData) -> None:
    answer = curves(conditional, 1000)
    charged: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in conditional.charges.to_pylist():
        charged.setdefault((row["run"], row["trial"]), []).append((row["epoch"], row["value"]))
    found = {(c["run"], c["trial"]): list(zip(c["epochs"], c["values"], strict=True)) for c in answer["curves"]}
    assert found == {key: sorted(values) for key, values in charged.items()}
    halved = [c for c in answer["curves"] if c["run"].startswith("asha")]
    assert all(c["rungs"] == [e for e in (1, 2) if e <= c["epochs"][-1]] for c in halved)
    paused = [c for c in halved if c["status"] == "paused"]
    assert paused
    assert all(c["pauses"][-1] == c["epochs"][-1] for c in paused)
    promoted = [c for c in halved if c["epochs"][-1] > 1]
    assert promoted
    assert all(c["promotions"] == [e for e in (1, 2) if e < c["epochs"][-1]] for c in promoted)
    assert all(not c["promotions"] for c in answer["curves"] if c["run"].startswith("random"))


def test_curves_can_be_of_some_trials_of_a_run_and_of_another_metric(data: StudyData) -> None:
    run = data.runs.to_pylist()[1]
    answer = curves(data, 5, trials=[run["incumbent_trial"]], run=run["run"], metric="val_loss")
    (curve,) = answer["curves"]
    assert (curve["trial"], curve["run"], curve["best"]) == (run["incumbent_trial"], run["run"], True)
    stored = {r["epoch"]: r["val_loss"] for r in data.epochs.to_pylist() if r["trial"] == curve["trial"]}
    assert dict(zip(curve["epochs"], curve["values"], strict=True)).items() <= stored.items()
    with pytest.raises(Problem, match="did you mean 'val_loss'"):
        curves(data, 5, metric="val_los")
    few = curves(data, 3)
    assert few["total"] > len(few["curves"]) >= 3
    assert {c["run"] for c in few["curves"] if c["best"]} == set(data.runs["run"].to_pylist())


@pytest.mark.parametrize("over", ["epochs", "cost", "seconds"])
def test_anytime_curves_end_at_the_best_value_over_whatever(conditional: StudyData, over: progress.Over) -> None:
    answer = progress.anytime_curves(conditional, over)
    best = {row["run"]: row["incumbent_value"] for row in conditional.runs.to_pylist()}
    assert {run["run"]: run["steps"][-1][1] for run in answer["runs"]} == best
    assert answer["budget"] == (7.25 if over == "cost" else None)
    for method in answer["methods"]:
        values = [best[run] for run in best if run.startswith(method["method"])]
        assert method["value"] == pytest.approx(sum(values) / len(values))
        assert method["runs"] == len(values)
        assert method["x"] == sorted(method["x"])
        assert method["low"][-1] <= method["value"] <= method["high"][-1]


def test_curves_over_cost_need_costs(data: StudyData) -> None:
    with pytest.raises(Problem, match="need a trainable that declares what epochs cost") as refused:
        progress.anytime_curves(data, "cost")
    assert refused.value.status == 409


def test_a_trial_tells_who_asked_for_it_and_what_was_trained_again(data: StudyData) -> None:
    again = data.epochs.filter(pa.compute.greater(data.epochs["attempt"], 0)).to_pylist()
    found = one_trial(data, again[0]["trial"])
    assert [(a["epoch"], a["attempt"]) for a in found["attempts"]] == [(r["epoch"], 1) for r in again]
    assert len(found["curve"]["epoch"]) == found["epochs"] == max(found["curve"]["epoch"])
    shared = next(t for t in data.trials["trial"].to_pylist() if data.trials["trial"].to_pylist().count(t) > 1)
    asked = one_trial(data, shared)["runs"]
    assert len(asked) > 1
    for run in asked:
        orders = [r["order"] for r in data.charges.to_pylist() if (r["run"], r["trial"]) == (run["run"], shared)]
        assert (run["first_order"], run["last_order"]) == (min(orders), max(orders))
    failed = data.failures.to_pylist()[0]
    assert one_trial(data, failed["trial"])["failure"]["reason"] == failed["reason"]
    with pytest.raises(Problem, match="has no 'nothing'"):
        one_trial(data, "nothing")


# -- runs, failures, the record -----------------------------------------------------------------------------------


def test_runs_and_ledger_of_a_budget_in_cost_count_cost(conditional: StudyData) -> None:
    found = current(conditional)
    for run in runs.run_list(found):
        assert (run["budget_epochs"], run["budget_cost"], run["status"]) == (None, 7.25, "complete")
        assert run["charged_cost"] <= 7.25
    ledger = runs.ledger(found)
    assert ledger["unit"] == "cost"
    assert [row["charged"] for row in ledger["runs"]] == [run["charged_cost"] for run in runs.run_list(found)]


def test_failures_are_grouped_by_reason(data: StudyData) -> None:
    schema = data.failures.schema
    made = [
        {"study": "s", "trial": f"t{i}", "epoch": 0, "kind": "error", "reason": f"cannot read '/data/{i}.png'"} for i in range(30)
    ]  # fmt: skip
    made.append({"study": "s", "trial": "u", "epoch": 1, "kind": "diverged", "reason": STRANGE})
    found = failing.failures(replace(data, failures=pa.Table.from_pylist(made, schema=schema)))
    assert [(g["count"], g["kind"], len(g["trials"])) for g in found["groups"]] == [
        (30, "error", 20),
        (1, "diverged", 1),
    ]
    assert found["total"] == 31
    assert found["groups"][1]["reason"] == STRANGE


def test_the_space_tells_conditions(conditional: StudyData) -> None:
    found = {entry["name"]: entry for entry in whole.space(conditional.definition)}
    assert found["momentum"]["condition"] == {"optimizer": ["sgd"]}
    assert found["learning_rate"]["condition"] is None
    assert found["learning_rate"]["log"]
    assert found["optimizer"]["values"] == ["adam", "sgd"]


def test_a_plan_imports_no_code_of_the_study(conditional: StudyData) -> None:
    assert definitions.plan(definitions.loaded(conditional, allow_code=False), {})["methods"]
    for change in ({"trainable": "evil:Class"}, {"methods": [{"name": "evil:make", "label": "evil", "options": {}}]}):
        evil = replace(conditional, definition={**conditional.definition, **change})
        with pytest.raises(Problem, match="needs its own code, evil:") as refused:
            definitions.loaded(evil, allow_code=False)
        assert refused.value.status == 409


# -- the verdict in a few words -----------------------------------------------------------------------------------

APART = {"asha": [0.9 + i / 100 for i in range(7)], "random": [0.8 - i / 100 for i in range(7)]}
MIDDLE = [0.85, 0.86, 0.84, 0.85, 0.86, 0.84, 0.85]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (APART, "asha better than random"),
        ({**APART, "grid": [v - 0.3 for v in APART["random"]]}, "asha better than all others"),
        ({name: values[:3] for name, values in APART.items()}, "undecided: 31 more seeds"),
        ({"asha": APART["asha"]}, ALONE),
    ],
)
def test_the_verdict_is_said_in_a_few_words(values: dict[str, list[float]], said: str) -> None:
    found = brief(compare(simulated_study(values)))
    assert found == said
    assert len(found.split()) <= 5


def test_a_verdict_waits_for_complete_runs_and_tells_that_all_failed() -> None:
    comparison = compare(simulated_study(APART))
    begun = replace(comparison, methods=tuple(replace(m, runs=0) for m in comparison.methods))
    assert brief(begun) == EARLY
    assert brief(replace(comparison, failure="all 3 trials failed: x")) == FAILED


# -- the list -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    word: str


@dataclass(frozen=True)
class Line:
    """As much of a summary as the list looks at."""

    study: str
    owner: str | None = None
    state: Word = Word("running")
    updated: float | None = 1.0
    suite: str | None = None
    archived: bool = False
    task: str = "digits"
    trainable: str = "curves"
    metric: str = "val_accuracy"
    methods: tuple[str, ...] = ("asha",)
    began: float | None = None
    progress: float = 0.5
    best: Any = None

    def to_json(self) -> dict[str, Any]:
        return {"study": self.study}


def names(lines: list[Line], **asked: Any) -> list[str]:
    return [one["study"] for one in listed(lines, Asked(**asked))["studies"]]


def test_the_list_filters_and_sorts() -> None:
    lines = [
        Line("b", "ada", Word("failed"), 3.0), Line("a", "bob", Word("running"), 5.0), Line("c", None, Word("complete"), None),
        Line("d", "ada", archived=True), Line("e", "ada", Word("running"), 3.0, suite="cloth", methods=("Grüße",)),
    ]  # fmt: skip
    assert names(lines) == ["a", "b", "e", "c"]
    assert names(lines, sort="updated") == ["b", "e", "a", "c"]
    assert names(lines, sort="-name") == ["e", "c", "b", "a"]
    assert names(lines, sort="state") == ["a", "e", "b", "c"]
    assert names(lines, archived=True) == ["d"]
    assert names(lines, state=("failed", "complete")) == ["b", "c"]
    assert names(lines, owner="ada", search="DIGITS asha") == ["b"]
    assert names(lines, search="grüße") == ["e"]
    assert names(lines, suite="cloth") == ["e"]
    answer = listed(lines, Asked(state=("failed",)))
    assert answer["counts"] == {"failed": 1, "running": 2, "complete": 1}
    assert answer["total"] == 1
    assert (answer["owners"], answer["suites"]) == (["ada", "bob"], ["cloth"])


@pytest.mark.parametrize("sort", ["-updated", "updated", "name", "-name", "owner", "progress"])
def test_pages_show_each_study_once_although_studies_come_and_go(sort: str) -> None:
    lines = [
        Line(f"s{i:02}", [None, "ada", "bob"][i % 3], updated=None if i % 7 == 0 else float(i % 5)) for i in range(40)
    ]
    seen: list[str] = []
    cursor = None
    while True:
        answer = listed(lines, Asked(sort=sort, limit=7, cursor=cursor))
        seen += [one["study"] for one in answer["studies"]]
        cursor = answer["next"]
        if cursor is None:
            break
        lines = [line for line in lines if line.study != seen[-1]]  # the last one of the page goes
        lines.append(Line(f"x{len(seen)}", "zoe", updated=1.5))  # and another comes
    old = [name for name in seen if name.startswith("s")]
    assert sorted(old) == [f"s{i:02}" for i in range(40)]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("cursor", ["x", "", "bm9wZQ", "é", "W10", "eyJhIjoxfQ"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Problem, match="cursor must"):
        listed([Line("a")], Asked(cursor=cursor))
    other = listed([Line("a"), Line("b")], Asked(sort="name", limit=1))["next"]
    with pytest.raises(Problem, match="belong to the order -updated"):
        listed([Line("a")], Asked(cursor=other))
