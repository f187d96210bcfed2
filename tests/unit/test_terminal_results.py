"""Results on a terminal: a first look that fits, everything on request, the curves where they can be drawn, what to ask next."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import sys
import tarfile
import termios
from pathlib import Path

import pytest
from synthetic_study import played, synthetic_study, write_study
from typer.testing import CliRunner

from hpo.cli.app import app
from hpo.cli.further import further
from hpo.files import unpack
from hpo.report.comparison_section import X_LABEL, epoch_bands
from hpo.report.comparison_tables import render_comparison
from hpo.report.importance_tables import render_importance
from hpo.report.looks import method_looks
from hpo.report.palette import METHODS, contrast
from hpo.report.tables import Column, Table, render_tables
from hpo.report.terminal_plot import GREY, MARKS, anytime
from hpo.results.compare import compare
from hpo.results.importance import has_enough, importance
from hpo.store import read
from hpo.study.study import Study

ROOT = Path(__file__).parents[2]
DEMONSTRATION = ROOT / "tests" / "recorded_stores" / "digits.tar.gz"
PICTURE, COLOUR = "Best val_accuracy so far", "\x1b[38;"
FOUR = ("grid", "random", "bayesian", "asha")
MANY = tuple(f"a_method_with_a_long_name{'_indeed' * (i % 3)}_{i}" for i in range(20))


@pytest.fixture(scope="module")
def few():
    return compare(synthetic_study(methods=FOUR, seeds=range(8), budget=64))


@pytest.fixture(scope="module")
def many():
    return compare(synthetic_study(methods=MANY, seeds=(0, 1), budget=32))


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("shown"))
    write_study(folder, played("digits", methods=("random", "asha"), seeds=(0, 1), budget=64))
    return folder


def words(text: str) -> set[str]:
    return {word for word in text.split() if set(word) != {"─"}}


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("methods", ["few", "many"])
def test_tables_fit_a_terminal_and_cut_no_word_and_no_number(request, methods, short, width):
    found = request.getfixturevalue(methods)
    text = render_comparison(found, "table", width=width, short=short, runs=True)
    assert max(map(len, text.splitlines())) <= width
    assert words(text) == words(render_comparison(found, "table", width=100_000, short=short, runs=True))


def test_the_first_look_at_four_methods_is_one_table_within_80_columns(few):
    verdict, table = render_comparison(few, "table", width=100_000, short=True).split("\n\n")
    assert verdict.split() == few.verdict.split()
    _, heads, rule, *rows = table.splitlines()
    assert heads.split("  ")[0] == "method"
    assert [row.split()[0] for row in rows[:4]] == list(FOUR)
    assert len(rule) <= 80
    assert "--all-tables" in table


@pytest.mark.parametrize("width", [80, 100])
def test_importance_fits_a_terminal(width):
    found = importance(synthetic_study(methods=("random",), budget=320), pairs=True, seed=0)
    text = render_importance(found, "table", width=width)
    assert max(map(len, text.splitlines())) <= width
    assert words(text) == words(render_importance(found, "table", width=100_000))


def test_headings_go_on_in_further_lines_before_a_table_is_cut_into_pieces():
    table = Table("T", (Column("m", "m", "text"), Column("a long heading", "a"), Column("b", "b")), (("x", 1.0, 2.0),))
    wide, narrow = (render_tables([table], "table", width=width).splitlines() for width in (40, 18))
    assert wide[1:] == ["m  a long heading       b", "─────────────────────────", "x          1.0000  2.0000"]
    assert narrow[1:] == ["    a long", "m  heading       b", "──────────────────", "x   1.0000  2.0000"]


# -- the command line -------------------------------------------------------------------------------------------------


def typed(*arguments: str) -> str:
    answer = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_everything_else_is_printed_on_request(uri: str) -> None:
    first, all_of_it = typed("compare", uri), typed("compare", uri, "--all-tables")
    for title in ("\nCost\n", "\nEvery pair of methods", "\nInterquartile means"):
        assert title not in first
        assert title in all_of_it
    assert first.split("\n\n")[0] == all_of_it.split("\n\n")[0]


@pytest.mark.parametrize("format", ["json", "csv", "markdown", "latex"])
def test_other_formats_have_everything_anyway(uri: str, format: str) -> None:
    assert typed("compare", uri, "--format", format) == typed("compare", uri, "--format", format, "--all-tables")


def on_terminal(*arguments: str, columns: int, **variables: str) -> str:
    """Returns what a command shows on a terminal."""
    env = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": f"{ROOT}", "PYTHONIOENCODING": "utf-8", **variables}
    for name in {"NO_COLOR", "COLUMNS", "FORCE_COLOR", "CI"} - set(variables):
        env.pop(name, None)
    child, terminal = pty.fork()
    if not child:
        os.execve(sys.executable, [sys.executable, "-m", "hpo.cli", *arguments], env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    told = b""
    try:
        while part := os.read(terminal, 65536):
            told += part
    except OSError:  # the other side is closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, told.decode()
    return told.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("columns", "variables"), [(80, {}), (100, {}), (80, {"NO_COLOR": "1"})])
def test_a_terminal_shows_the_curves_between_the_verdict_and_the_table(uri, columns, variables):
    told = on_terminal("compare", uri, columns=columns, **variables)
    verdict, picture, table = re.sub(r"\x1b\[[\d;]*m", "", told).split("\n\n")
    assert picture.startswith(PICTURE)
    assert all(
        re.search(rf"{mark} {name} 0\.\d{{4}}$", picture, re.M) for mark, name in (("●", "random"), ("■", "asha"))
    )
    assert (COLOUR in told) == (not variables)
    assert max(map(len, [*verdict.splitlines(), *picture.splitlines(), *table.splitlines()])) <= columns
    piped = typed("compare", uri)
    assert words(piped) == words(f"{verdict} {table}")


@pytest.mark.parametrize("columns", [80, 100])
def test_objectives_and_constraints_fit_a_terminal(uri, columns):
    asked = ("--objectives", "val_accuracy,loss", "--constraint", "loss<=1.5", "--all-tables")
    told = re.sub(r"\x1b\[[\d;]*m", "", on_terminal("compare", uri, *asked, columns=columns))
    assert max(map(len, told.splitlines())) <= columns
    for title in ("hypervolume in val_accuracy and loss", "Infeasible under", "the Pareto front of"):
        assert title in " ".join(told.split())


@pytest.mark.parametrize("arguments", [("--format", "json"), ("--output", "{folder}/table.txt")])
def test_no_picture_where_none_belongs(uri, tmp_path, arguments):
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert PICTURE not in on_terminal("compare", uri, *given, columns=100)
    assert not (tmp_path / "table.txt").exists() or PICTURE not in (tmp_path / "table.txt").read_text()


def test_no_picture_on_a_terminal_that_is_too_narrow(uri):
    assert PICTURE not in on_terminal("compare", uri, columns=50)


def test_the_demonstration_decides_something():
    """Of the recorded run of the preset as it is."""
    study, recorded = Study.load("digits"), read(str(DEMONSTRATION))
    found = compare(recorded)
    assert (len(found.methods), {m.runs for m in found.methods}) == (4, {len(study.seeds)})
    assert {run.charged_epochs for run in found.runs} == {study.budget.epochs}
    stored = {name: recorded.definition[name] for name in ("space", "budget", "data", "fixed", "methods", "seeds")}
    assert stored == {name: study.definition[name] for name in stored}, "record the demonstration anew"
    assert any(test.better for test in found.tests)
    assert " is better than " in found.verdict


def test_what_a_run_offers_next_runs_as_it_stands(tmp_path, monkeypatch):
    with tarfile.open(DEMONSTRATION) as archive:
        unpack(archive, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    study = Study.load("digits", store="results")
    offered = further([study], "digits", {"methods": "random,asha", "seeds": "0,1", "budget": None})
    commands = [line.strip() for line in offered.splitlines() if line.strip().startswith("hpo ")]
    assert len(commands) == 3
    for command in commands:
        assert typed(*shlex.split(command)[1:]).strip()
    assert "--methods random,asha --seeds 0,1" in offered
    assert max(map(len, further([study], "digits", {}).splitlines())) <= 80


def test_what_could_not_answer_is_not_offered(uri):
    study = Study.load("digits", store="new")
    assert "hpo replay" not in further([study], "digits.tar.gz", {})
    assert "hpo importance" not in further([study], "digits", {}, important=False)
    assert has_enough(read(uri))
    assert not has_enough(synthetic_study(methods=("random",), seeds=(0,), budget=32))


# -- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_every_curve_has_its_mark_and_every_name_is_whole(few, many, width):
    for found, names in ((few, FOUR), (many, [name for name, look in method_looks(many).items() if look.top])):
        looks = method_looks(found)
        drawn = anytime(epoch_bands(found), looks, metric=found.metric, x_label=X_LABEL, width=width)
        lines = drawn.plain.splitlines()
        assert max(map(len, lines)) <= width
        inside = "".join(line for line in lines if "┤" in line or "│" in line)
        for name in names:
            assert MARKS[looks[name].marker] in inside
            assert name in drawn.plain
    assert GREY in drawn.plain
    assert "14 other methods" in " ".join(lines[:2])


def test_colours_of_a_terminal_stand_out_from_light_and_from_dark():
    assert all(contrast(tint.between, paper) >= 3 for tint in METHODS for paper in ("#ffffff", "#000000"))
