"""The report agrees with the tables, and equal data make equal pictures."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from hpo.report import canvas, end_labels, palette, plots, save_picture, series, svg, write_tasks
from hpo.report.comparison_section import bands, comparison_section
from hpo.report.comparison_tables import render_comparison
from hpo.report.exam_section import exams
from hpo.report.html import page
from hpo.report.looks import method_looks, ranked
from hpo.report.pair_tables import pair_tables
from hpo.report.record_section import command_of, environment, environment_table, ledger, ledger_table, study_yaml
from hpo.report.trials_section import failures
from hpo.results.compare import compare, compare_many
from hpo.results.importance import importance
from hpo.results.standing import current, derived
from hpo.store import read, schema
from hpo.study.environment import node
from hpo.study.study import Study
from hpo.text import cut
from tests.synthetic_study import CLASSES, played, synthetic_study, write_study


@pytest.fixture(scope="module")
def data():
    return synthetic_study(budget=64, seeds=(0, 1, 2))


@pytest.fixture(scope="module")
def comparison(data):
    return compare(data)


@pytest.fixture(scope="module")
def html(data, comparison):
    return page(data, comparison, None, command="hpo run 'a study.yaml' --store <results>")


def test_the_verdict_comes_first_and_is_the_comparisons(html, comparison):
    body = html[html.index("<body>") :]
    assert f'id="verdict">{comparison.verdict}</p>' in body
    assert body.index("verdict") < body.index("<table")
    assert "Undecided" in comparison.verdict


def test_the_command_is_shown_verbatim_and_escaped(html):
    assert "hpo run &#39;a study.yaml&#39; --store &lt;results&gt;" in html


def test_equal_data_make_equal_pages(data, comparison, html):
    assert page(data, comparison, None, command="hpo run 'a study.yaml' --store <results>") == html


def test_names_from_the_store_never_become_markup(data):
    hostile = "<script>alert(1)</script>"
    failed = data.trials.to_pylist()
    failed[0] |= {"status": "failed", "kind": "error", "reason": hostile}
    kinds = {"learning_rate": "float", "dropout": "float", "optimizer": "str", "finetuned_layers": "str"}
    changed = replace(
        data, name=hostile, environment={hostile: hostile}, trials=schema.to_table("trials", failed, kinds)
    )
    text = page(changed, compare(changed), None, command=hostile)
    assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_study_without_any_row_makes_a_page(data):
    empty = {table: schema.to_table(table, [], {}) for table in schema.TABLES}
    begun = replace(data, environment={}, **empty)
    text = page(begun, compare(begun), None, command="hpo run x.yaml")
    assert "no run is complete yet" in text
    assert "No epoch has been charged yet" in text


def test_the_ledger_counts_what_was_trained_and_what_again(data):
    text = ledger(data).parts[0].text
    attempts = data.epochs.column("attempt").to_pylist()
    assert attempts.count(1) == 2
    assert f"{data.charges.num_rows:,} epochs were charged to 12 runs, and {attempts.count(0):,} were trained" in text
    assert "After faults, 2 were trained again" in text
    assert "Every run used exactly its budget." in text


def test_the_ledger_of_an_unfinished_study_follows_its_charges(tmp_path):
    tables = played("begun", budget=96, seeds=(0, 1, 2))
    write_study(str(tmp_path), tables, charges=700)
    unfinished = read(str(tmp_path))
    assert unfinished.runs.num_rows == 0
    section = ledger(unfinished)
    assert section.parts[0].text.startswith("700 epochs were charged to 8 runs, and ")
    assert section.parts[0].text.endswith(
        "7 of 8 runs used exactly the budget; 1 has some of it left. 4 runs of the study have not begun."
    )
    rows = {row[0]: row for row in ledger_table(unfinished).rows}
    assert rows["bayesian/1"][:4] == ("bayesian/1", "partial", 96, 28)
    assert rows["grid/2"][:5] == ("grid/2", "partial", 96, 96, 96)  # three seeds of grid share every epoch
    text = page(unfinished, compare(unfinished), None, command="hpo run x.yaml")
    assert "No trial has a value" not in text
    assert "Learning curves of bayesian" in text


def test_what_the_charges_tell_is_what_the_snapshot_of_a_finished_study_says(data):
    assert current(data) is data
    again = derived(data)
    for table in ("runs", "trials"):
        said, told = getattr(data, table).to_pylist(), getattr(again, table).to_pylist()
        skipped = "train_seconds"  # made up in these tables
        assert [{k: v for k, v in row.items() if k != skipped} for row in told] == [
            {k: v for k, v in row.items() if k != skipped} for row in said
        ]
    seconds = {(r["trial"], r["epoch"]): r["seconds"] for r in data.epochs.to_pylist()}
    expected = sum(seconds[c["trial"], c["epoch"]] for c in data.charges.to_pylist() if c["run"] == "asha/1")
    assert again.runs.to_pylist()[-2]["train_seconds"] == pytest.approx(expected)


def test_an_older_snapshot_is_brought_up_to_date(data):
    runs = [{**row, "charged_epochs": 3, "incumbent_value": 0.1, "status": "partial"} for row in data.runs.to_pylist()]
    trials = [{**row, "epochs": 1, "status": "running"} for row in data.trials.to_pylist()[:5]]
    kinds = {"learning_rate": "float", "dropout": "float", "optimizer": "str", "finetuned_layers": "str"}
    old = replace(data, runs=schema.to_table("runs", runs, {}), trials=schema.to_table("trials", trials, kinds))
    now = current(old)
    assert [row["incumbent_value"] for row in now.runs.to_pylist()] == data.runs["incumbent_value"].to_pylist()
    assert now.runs["charged_epochs"].to_pylist() == [64] * 12
    trained = [row for row in data.trials.to_pylist() if row["epochs"]]
    assert now.trials.num_rows == len(trained)
    configs = {row["trial"]: row["config_learning_rate"] for row in trained}
    assert all(row["config_learning_rate"] == configs[row["trial"]] for row in now.trials.to_pylist())


def test_validation_and_exam_stand_in_one_table_of_pairs(data, comparison):
    only, *others = pair_tables(comparison)
    assert [table.title for table in others] == []
    assert only.title == "Every pair of methods in val_accuracy and in test_accuracy"
    assert len(only.rows) == len(comparison.tests) == 6
    keys = [column.key for column in only.columns]
    assert [row[keys.index("exam_difference")] for row in only.rows] == [t.difference for t in comparison.test_tests]
    assert [row[keys.index("difference")] for row in only.rows] == [t.difference for t in comparison.tests]
    folds = [part for part in comparison_section(comparison, method_looks(comparison)).parts if part.kind == "folded"]
    assert [part.title for part in folds] == [f"{only.title} (6 rows)"]


def test_the_exam_says_how_many_tests_were_taken(data):
    text = exams(data, palette.looks(["grid", "random", "bayesian", "asha"])).parts[0].text
    trials = {row["trial"] for row in data.exams.to_pylist()}
    assert f"The winners of 12 runs, chosen by validation, are {len(trials)} different trainings." in text
    assert f"{len(trials)} tests of models as their runs left them and {len(trials)} further tests of" in text


def test_of_many_methods_the_best_have_names_at_their_lines_and_the_others_are_folded():
    names = [f"method-{i:02d}-of-many" for i in range(12)]
    data = synthetic_study(methods=tuple(names), budget=32, seeds=(0,))
    found = compare(data)
    looks = method_looks(found)
    best = ranked(found)[:6]
    assert {name for name, look in looks.items() if look.top} == set(best)
    text = page(data, found, None, command="hpo run x.yaml")
    curves = text[text.index('id="anytime"') : text.index('id="comparison"')]
    assert all((f">{cut(name, end_labels.LONGEST)}<" in curves) == (name in best) for name in names)
    assert "The best 6 methods are in colour, the other 6 in grey." in text
    assert "Learning curves of the other 6 methods" in text
    assert "Confusion matrices of the other 6 methods" in text


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([], []),
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.5, 0.4, 0.5], [0.45, 0.35, 0.55]),
        ([1.0, 1.0], [0.9, 1.0]),
        ([0.0, 0.02, 0.3], [0.0, 0.1, 0.3]),
    ],
)
def test_names_at_the_ends_of_lines_keep_apart_and_inside(places, expected):
    found = end_labels.spread(places, 0.1)
    assert found == pytest.approx(expected, abs=0.051 if len(places) == 3 and places[0] == 0.5 else 1e-9)
    assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(sorted(found)))


def test_a_legend_has_as_many_columns_as_its_text_leaves_room_for():
    short, long = canvas._columns(["a"] * 8, 420), canvas._columns(["a_rather_long_name_of_a_method"] * 8, 420)
    assert (short, long) == (4, 1)


def test_failures_are_listed_once_with_their_reason():
    data = synthetic_study(budget=96, seeds=range(6))
    section = failures(data)
    failed = {row["trial"] for row in data.failures.to_pylist()}
    assert failed
    assert section.parts[0].text.startswith(f"{len(failed)} of ")
    assert section.parts[1].html.count("the loss is nan at epoch 1, batch 17") == len(failed)


def test_the_exam_shows_train_validation_and_test_of_every_run(data):
    parts = exams(data, palette.looks(["grid", "random", "bayesian", "asha"])).parts
    table = parts[1].html
    assert all(f">{name}<" in table for name in ("train", "validation", "test accuracy", "test F1"))
    for run in data.runs.to_pylist():
        assert run["run"] in table
        assert f"{run['incumbent_value']:.4f}" in table
    matrices = "".join(parts[-1].cells)
    assert all(f'<th scope="row">{name}</th>' in matrices for name in CLASSES)


def test_the_environment_names_the_data_and_the_command_is_the_one_that_started_the_study(data):
    known = {
        "python": "3.11",
        "command": "hpo run a.yaml",
        "trained_on": {"data_digest": ["ab", "cd"], "device": ["cpu"]},
    }
    stored = replace(data, environment=known)
    table = environment(stored).parts[0].html
    assert "trained on: data digest" in table
    assert "ab, cd" in table
    assert "hpo run" not in table
    assert command_of(stored, "results") == "hpo run a.yaml"
    assert command_of(data, "my results") == "hpo run clothing-mobilenet.yaml --store 'my results'"


def test_the_resolved_study_is_a_study_file(data, tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(study_yaml(data))
    again = Study.load(path)
    assert again.budget.epochs == 64
    assert [method.label for method in again.methods] == ["grid", "random", "bayesian", "asha"]


def test_curves_omit_epochs_trained_again_and_axes_follow_the_space(data):
    curves = series.curves(data)
    assert all(len(curve) <= 16 and all(map(math.isfinite, curve)) for curve in curves.values())
    axes = series.axes(data)
    assert axes["learning_rate"].place(1e-4) == 0
    assert axes["learning_rate"].place(0.03) == 1
    assert series.place(axes["finetuned_layers"], "all") == 3
    assert math.isnan(series.place(axes["dropout"], None))


def test_rungs_are_the_epochs_at_which_a_schedule_left_trials(data):
    rows = series.trials(data)
    assert series.rungs(rows, "asha")[0] == 1
    assert series.rungs(rows, "random") == []


@pytest.mark.parametrize("count", [9, 10, 11])
def test_thinning_keeps_the_winners_and_no_more_than_it_may(data, count):
    rows = series.trials(data)[:count]
    kept = series.thinned(rows, {rows[4].trial}, most=10)
    assert len(kept) <= 11
    assert rows[4] in kept
    if count <= 10:
        assert kept == rows


def test_a_band_is_the_mean_of_its_steps_and_one_run_has_no_interval():
    found = bands({"a": [((1, 0.0), (3, 1.0), (4, 1.0)), ((2, 0.5), (4, 0.5))], "b": [((1, 0.25), (2, 0.5))], "c": []})
    assert list(found) == ["a", "b"]
    assert found["a"].x.tolist() == [2, 3, 4]
    assert found["a"].mean.tolist() == [0.25, 0.75, 0.75]
    assert np.all(found["a"].low < found["a"].mean)
    assert found["b"].low is None


def test_inline_svg_follows_the_page(data):
    look = palette.looks(["grid"])
    band = plots.Band(np.array([1.0, 2, 3]), np.array([0.1, 0.5, 0.6]))
    figure = plots.anytime({"grid": band}, look, metric="val_accuracy", x_label="epochs")
    text = svg.inline(figure, "one", "What it <shows>", {"mean-grid": "grid & nothing else"})
    root = ElementTree.fromstring(text)
    assert root.tag == "svg"
    assert root.find("title").text == "What it <shows>"
    assert "var(--method-0)" in text
    assert palette.METHODS[0].light not in text
    assert not re.search(r"#[0-9a-f]{6}\b", text)
    assert all(element.get("id", "one-").startswith("one-") for element in root.iter())
    assert [e.find("title").text for e in root.iter("g") if e.get("id") == "one-mean-grid"] == ["grid & nothing else"]
    assert "val_accuracy" in [element.text for element in root.iter("text")]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_picture_is_the_same_file_each_time(comparison, tmp_path, suffix):
    first = save_picture(comparison, tmp_path / f"a.{suffix}")
    second = save_picture(comparison, tmp_path / f"b.{suffix}")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 3000
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a.{suffix}", f"b.{suffix}"]


def test_a_loss_is_drawn_with_its_better_end_on_top(data):
    lower = replace(data, definition=data.definition | {"mode": "min"})
    axes, _ = series.coordinates(lower)
    assert axes[-1].low > axes[-1].high
    assert axes[-1].place(axes[-1].high) == 1


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (("garden.leaves", "garden.seeds"), "garden, 2 tasks"),
        (("my.own.a", "my.own.b", "my.own.c"), "my.own, 3 tasks"),
        (("clothes", "digits"), "clothes, digits"),
        (("garden.leaves", "digits"), "garden.leaves, digits"),
        (("a", "b", "c", "d"), "4 tasks"),
        (("garden.leaves",), "garden.leaves"),
    ],
)
def test_a_suite_is_named_once_and_has_a_row_a_task(names, title):
    found = compare_many([synthetic_study(name, methods=("random", "asha"), budget=32, seeds=(0, 1)) for name in names])
    assert found.title == title
    for short in (True, False):
        text = render_comparison(found, "table", width=100, short=short)
        assert f"{title}: val_accuracy after 32 charged epochs per run" in text
        means = text.partition("Mean val_accuracy by task\n")[2]
        assert means.startswith("task") == (len(names) > 1)
        assert all(re.search(rf"^{re.escape(name)} +0\.\d+ +0\.\d+", means, re.M) for name in names if means)


@pytest.mark.parametrize("format", ["table", "csv", "markdown", "latex", "html", "json"])
def test_every_format_names_every_method(comparison, format):
    text = render_comparison(comparison, format, width=100)
    assert all(method in text for method in ("grid", "random", "bayesian", "asha"))
    if format not in ("csv", "json"):
        assert "Undecided" in text


def test_studies_are_reported_as_tasks(tmp_path):
    studies = [synthetic_study(name, budget=64, seeds=(0, 1)) for name in ("clothes", "digits")]
    comparison = compare_many(studies)
    found = {study.name: importance(study, pairs=False) for study in studies}
    path = write_tasks(studies, comparison, found, tmp_path / "tasks.html", command="hpo compare S --all")
    page = path.read_text()
    assert comparison.verdict.replace("<", "&lt;") in page
    for title in ("Mean val_accuracy by task", "Importance over 2 tasks", "digits: ledger of every run",
                  "digits: environment of the study",
                  "clothes: train, validation and test of every winner", "Best value so far",
                  "Interquartile means over", "Normalized scores by task", "Probability of improvement"):  # fmt: skip
        assert title in page
    assert page.count("<svg") == 4
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    means = comparison.methods[1].task_means
    assert set(means) == {"clothes", "digits"}
    assert f"{means['digits']:.4f}" in page


def test_the_environment_names_each_kind_of_node_once_with_how_many_there_are():
    told = []
    for host, cpus in (("a", 8), ("b", 8), ("c", 64)):
        about = json.loads(node())
        told.append(json.dumps({**about, "host": host, "cpus": cpus}))
    data = synthetic_study()
    table = environment_table(
        replace(data, environment={"python": "3", "trained_on": {"node": [*told, "no json", "[1]"]}})
    )
    rows = [row for row in table.rows if str(row[0]).endswith(("node", "nodes"))]
    assert [row[0] for row in rows] == ["2 nodes", "1 node"]
    assert "8 CPUs" in str(rows[0][1])
    assert "torch 2" in str(rows[1][1])
    assert not any("host" in str(row) for row in table.rows)
