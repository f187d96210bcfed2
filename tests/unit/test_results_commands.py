"""The commands on stores, as a user types them: several studies as tasks, exports, formats."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpo.cli.app import app
from tests.synthetic_study import played, write_study

FORMATS = {"table": "Mean val_accuracy by task", "json": '"tasks": [', "csv": "method,runs,mean", "markdown": "| method |",
           "latex": r"\toprule"}  # fmt: skip


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("results")
    for name in ("clothes", "digits"):
        write_study(str(folder), played(name, methods=("grid", "random"), seeds=(0, 1), budget=64))
    return str(folder)


def typed(*arguments: object) -> str:
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


@pytest.mark.parametrize("format", FORMATS)
def test_all_studies_are_compared_as_tasks_in_every_format(uri: str, format: str) -> None:
    text = typed("compare", uri, "--all", "--format", format)
    assert FORMATS[format] in text
    assert text == typed("compare", uri, "--study", "clothes", "--study", "digits", "--format", format)


def test_the_winner_of_every_run_in_every_format(uri: str) -> None:
    rows = list(csv.DictReader(typed("compare", uri, "--all", "--runs", "--format", "csv").splitlines()))
    assert [(row["run"], row["task"]) for row in rows[:2]] == [("grid/0", "clothes"), ("grid/1", "clothes")]
    assert len(rows) == 8
    assert all(float(row["optimism"]) == float(row["validation"]) - float(row["test"]) for row in rows)
    text = typed("compare", uri, "--study", "digits", "--runs", "--format", "markdown")
    assert all(f"| {method}/{seed} |" in text for method in ("grid", "random") for seed in (0, 1))


def test_the_difference_that_matters_is_named_on_the_command_line(uri: str) -> None:
    for chosen in (("--study", "digits"), ("--all",)):
        found = json.loads(typed("compare", uri, *chosen, "--difference", "0.5", "--format", "json"))
        assert (found["difference"], found["point"]) == ("0.5", 0.5)
        share = json.loads(typed("compare", uri, *chosen, "--difference", "2 %", "--format", "json"))
        assert share["difference"] == "2 %"
        assert share["point"] == pytest.approx(0.02 * sum(m["mean"] for m in share["methods"]) / 2)
    assert '"difference": null' in typed("compare", uri, "--study", "digits", "--format", "json")
    refused = CliRunner().invoke(app, ["compare", uri, "--study", "digits", "--difference", "little"])
    assert "difference must be a number above 0 in the metric's unit" in str(refused.exception)


def test_tasks_are_reported_as_one_page(uri: str, tmp_path: Path) -> None:
    assert typed("compare", uri, "--all", "--format", "html", "-o", tmp_path / "tasks.html") == ""
    page = (tmp_path / "tasks.html").read_text()
    assert "<title>clothes, digits" in page
    assert f"hpo compare {uri} --study clothes --study digits --format html" in page
    assert f"hpo run digits.yaml --store {uri}" in page


def test_importance_over_tasks(uri: str) -> None:
    assert "Importance over 2 tasks" in typed("importance", uri, "--all")
    found = json.loads(typed("importance", uri, "--all", "--format", "json"))
    assert [one["study"] for one in found] == ["clothes", "digits"]
    (one,) = json.loads("[" + typed("importance", uri, "--study", "digits", "--format", "json") + "]")
    assert one == found[1]


def test_a_picture_shows_one_study(uri: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["compare", uri, "--all", "--picture", str(tmp_path / "curves.svg")])
    assert answer.exit_code == 2
    assert not (tmp_path / "curves.svg").exists()
    typed("compare", uri, "--study", "digits", "--picture", tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")


def test_an_export_names_its_files(uri: str, tmp_path: Path) -> None:
    paths = typed("export", uri, tmp_path / "out", "--study", "digits").splitlines()
    tables = ("epochs", "charges", "failures", "run_failures", "trials", "runs", "exams")
    assert [Path(path).name for path in paths] == [f"{table}.csv" for table in tables]
    with (tmp_path / "out" / "charges.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 64


def test_a_study_that_is_not_complete_says_what_became_of_it(tmp_path: Path) -> None:
    write_study(str(tmp_path), played("short", methods=("random",), seeds=(0,), budget=64), charges=20)
    told = "Stopped: its driver ended before every run was over."
    for format in ("table", "markdown", "latex"):
        assert told in typed("compare", tmp_path, "--format", format)
    typed("compare", tmp_path, "--format", "html", "-o", tmp_path / "short.html")
    assert told in (tmp_path / "short.html").read_text()
    assert json.loads(typed("compare", tmp_path, "--format", "json"))["states"] == {"short": "stopped"}


def test_a_complete_study_needs_no_word(uri: str) -> None:
    assert "states" not in json.loads(typed("compare", uri, "--all", "--format", "json"))
    assert "complete: " not in typed("compare", uri, "--all")
