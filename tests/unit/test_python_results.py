"""Results in Python: tables for every library, the same comparison as the command's, the best trial, pictures, rich display."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import hpo
from hpo.cli.app import app

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "tests" / "recorded_stores" / "digits.tar.gz"
EVIL = "<script>alert(1)</script>"


def typed(*arguments: object) -> str:
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


@pytest.fixture(scope="module")
def digits() -> hpo.Results:
    return hpo.open(DIGITS)["digits"]


@pytest.fixture(scope="module")
def evil() -> hpo.Results:
    """A replay of a study in whose space a page could be attacked."""
    curves = hpo.Study(
        name="evil", trainable="curves", metric="val_accuracy", budget={"epochs": 64, "max_epochs": 4}, methods=["random"],
        space={"learning_rate": hpo.Float(1e-4, 0.1, log=True), EVIL: hpo.Choice([EVIL, "b"])}, seeds=[0, 1],
    )  # fmt: skip
    return hpo.replay(curves, table_of(curves))


def table_of(study: hpo.Study) -> hpo.Results:
    """Plays a study of synthetic curves in this process, as a store would hold it."""
    import tempfile

    from without_ray import dispatching, play_to_the_end

    with tempfile.TemporaryDirectory() as folder:
        play_to_the_end(dispatching(study.stored_in(f"{folder}/store")))
        return hpo.open(f"{folder}/store")[study.study]


# -- stores and tables --------------------------------------------------------------------------------------------


def test_a_store_is_a_mapping_of_its_studies() -> None:
    store = hpo.open(DIGITS)
    assert list(store) == ["digits"]
    assert len(store) == 1
    assert "digits" in store
    assert "digit" not in store
    assert store.get("digit") is None
    assert repr(store) == f"<Store {DIGITS}: digits>"
    with pytest.raises(hpo.HpoError, match=r"has no 'digit'; did you mean 'digits'\?$"):
        store["digit"]


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    assert repr(hpo.open(tmp_path)) == f"<Store {tmp_path}: no study>"
    with pytest.raises(KeyError, match="it holds no study"):
        hpo.open(tmp_path)["x"]


@pytest.mark.parametrize("name", ["epochs", "trials", "runs", "charges"])
def test_every_table_goes_into_every_library(digits: hpo.Results, name: str) -> None:
    import duckdb
    import polars

    table = rows = getattr(digits, name)
    arrow = table.to_arrow()
    assert len(table) == arrow.num_rows == len(table.to_pandas()) == len(table.to_polars()) == len(table.rows()) > 0
    assert table.columns == list(table.to_pandas().columns) == table.to_polars().columns
    assert polars.DataFrame(table).equals(table.to_polars())
    assert duckdb.sql("select count(*) from rows").fetchall() == [(len(rows),)]
    assert b"hpo_schema" in arrow.schema.metadata


def test_a_library_that_is_missing_is_named(digits: hpo.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(hpo.HpoError, match="pandas must be installed, but is not: pip install pandas"):
        digits.runs.to_pandas()


# -- what follows from them ---------------------------------------------------------------------------------------


def test_the_comparison_is_the_commands(digits: hpo.Results) -> None:
    found = digits.compare()
    assert found.to_json() == json.loads(typed("compare", DIGITS, "--format", "json"))
    assert f"{found!r}\n" == typed("compare", DIGITS)
    assert found.render("markdown") == typed("compare", DIGITS, "--format", "markdown")
    assert found is digits.compare()
    assert digits.compare(target=0.9, workers=2).to_json()["workers"] == 2
    assert found.table.to_pandas()["method"].tolist() == ["grid", "random", "bayesian", "asha"]
    assert len(found.pairs) == 6


def test_the_importance_is_the_commands(digits: hpo.Results) -> None:
    found = digits.importance(pairs=False)
    assert found.to_json() == json.loads(typed("importance", DIGITS, "--format", "json"))
    assert "optimizer mattered most" in repr(found)
    assert found.table.rows()[0]["name"] == "optimizer"


def test_a_replay_is_the_commands(digits: hpo.Results) -> None:
    played = hpo.replay("digits", curves=DIGITS, workers=8, budget=64)
    command = typed("replay", "digits", "--curves", DIGITS, "--workers", 8, "--budget", 64, "--format", "json")
    assert played.compare().to_json() == json.loads(command)
    assert "answered by their own curve" in played.answers
    again = hpo.replay("digits", digits, workers=8, budget=64)
    assert again.compare().to_json() == played.compare().to_json()


def test_the_best_trial_of_all_and_of_a_method(digits: hpo.Results) -> None:
    best, asha = digits.best(), digits.best(method="asha")
    values = {run["method"]: run["incumbent_value"] for run in digits.runs.rows() if run["method"] == "asha"}
    assert best.value == max(run["incumbent_value"] for run in digits.runs.rows())
    assert asha.method == "asha"
    assert asha.value >= values["asha"]
    assert set(best.config) == {"learning_rate", "dropout", "optimizer", "finetuned_layers"}
    assert best.test is not None
    assert 0.8 < best.test["test_accuracy"] < 1
    with pytest.raises(hpo.HpoError, match="method must be one of grid, random, bayesian, asha, but got 'tpe'"):
        digits.best(method="tpe")
    with pytest.raises(hpo.HpoError, match="must hold the weights"):
        best.load()


def test_the_report_is_written_where_it_is_asked_for(evil: hpo.Results, tmp_path: Path) -> None:
    page = evil.report(tmp_path / "report.html").read_text()
    assert "recorded curves" in page
    assert EVIL not in page


def test_weights_that_an_exam_kept_give_its_result_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    import torch
    from without_ray import dispatching, play_to_the_end

    study = hpo.Study(
        name="tiny", data={"name": "digits", "train": 30, "validation": 50, "test": 50}, methods=["random"],
        model={"name": "digits_net", "weights": "DEFAULT"}, budget={"epochs": 4, "max_epochs": 2},
        space={"learning_rate": hpo.Float(1e-4, 0.03, log=True)}, store=tmp_path / "store",
        fixed={"batch_size": 8, "image_size": 32, "finetuned_layers": 4}, early_stopping={"patience": 2},
    )  # fmt: skip
    play_to_the_end(dispatching(study))
    checkpoints, winners = tmp_path / "winners", tmp_path / "store" / "tiny" / "winners"
    if checkpoints.exists():  # beside the store, where these helpers keep them
        checkpoints.rename(winners)
    best = hpo.open(tmp_path / "store")["tiny"].best()
    assert best.weights is not None
    assert Path(best.weights).stat().st_size > 1000
    tested = best.load().test()
    assert best.test is not None
    assert {name: tested[name] for name in best.test} == best.test
    model = best.model()
    assert not model.training
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


# -- pictures and display -----------------------------------------------------------------------------------------


def test_pictures_are_figures_that_show_themselves(digits: hpo.Results) -> None:
    for draw in (digits.plot.anytime, digits.plot.parallel, digits.plot.importance, digits.plot.curves):
        png, size = draw()._repr_png_()
        assert png.startswith(b"\x89PNG")
        assert size["width"] >= 400
    assert digits.plot.curves("asha").axes[0].get_title(loc="left") == "asha"
    with pytest.raises(hpo.HpoError, match="method must be one of"):
        digits.plot.curves("tpe")


def test_threads_draw_the_same_pictures_and_leave_matplotlibs_settings_alone(
    digits: hpo.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib

    def refuse(*settings: object) -> None:
        raise AssertionError("a figure was drawn with settings that other threads share")

    digits.compare(), digits.importance()
    monkeypatch.setattr(matplotlib, "rc_context", refuse)
    before, found = dict(matplotlib.rcParams), dict[int, tuple[bytes, ...]]()

    def draw(number: int) -> None:
        found[number] = (digits.plot.anytime()._repr_png_()[0], digits.plot.curves("random")._repr_png_()[0])

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert dict(matplotlib.rcParams) == before


def test_rich_display_escapes_what_a_study_names(evil: hpo.Results) -> None:
    import tempfile

    from hpo.api.study import Study

    study = Study(
        name="evil", trainable="curves", budget={"epochs": 8, "max_epochs": 4}, methods=["random"],
        space={EVIL: hpo.Choice([EVIL, "b"])}, owner=EVIL, store=EVIL,
    )  # fmt: skip
    shown: list[Any] = [
        study, study.check(), evil, evil.compare(), evil.best(), evil.trials, evil.epochs, evil.importance(),
        hpo.open(Path(tempfile.gettempdir()) / EVIL),
    ]  # fmt: skip
    for one in shown:
        html = one._repr_html_()
        assert "<script" not in html, type(one)
        assert html.count("<div") == html.count("</div>")
    assert any("&lt;script&gt;" in one._repr_html_() for one in shown)


def test_rich_display_takes_the_pages_colours(digits: hpo.Results) -> None:
    for one in (digits, digits.compare(), digits.best(), digits.runs, hpo.open(DIGITS)):
        html = one._repr_html_()  # type: ignore[attr-defined]
        colours = set(re.findall(r"#[0-9a-fA-F]{6}\b", html))
        assert colours <= {"#4c8fd6"}, "text and paper must be the page's: it may be light or dark"


def test_a_notebook_shows_the_sentence_of_an_error_and_no_traceback(tmp_path: Path) -> None:
    """What IPython prints for an uncaught error: nobody looks for a mistake in a study inside this project's code."""
    code = "import hpo\nhpo.open('nowhere')['digits']"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code], cwd=tmp_path, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)}, capture_output=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "NoSuchStudy: the study must be in the store, but nowhere has no 'digits'; it holds no study" in said
    assert "Traceback" not in said
    assert "stores.py" not in said
