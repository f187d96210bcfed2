"""The report agrees with the tables, and equal data make equal pictures."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from hpo.report import palette, plots, save_picture, series, svg, write_tasks
from hpo.report.comparison_section import bands
from hpo.report.comparison_tables import render_comparison
from hpo.report.exam_section import exams
from hpo.report.html import page
from hpo.report.record_section import command_of, environment, ledger, study_yaml
from hpo.report.trials_section import failures
from hpo.results.compare import compare, compare_many
from hpo.results.importance import importance
from hpo.store import schema
from hpo.study.study import Study
from tests.synthetic_study import CLASSES, synthetic_study


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
