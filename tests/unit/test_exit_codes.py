"""The door of the command line: which exception becomes which sentence and which exit code."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cluster.job import JobError
from hpo import __version__, cli
from hpo.cli import catalogue
from hpo.errors import InterruptedStudy, StudyError, StudyFailed
from hpo.storage.errors import Unreachable
from tests.synthetic_study import played, write_study


def ended(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A function that makes `hpo studies` raise an exception; the temporary folder is the test's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def breaks(error: BaseException) -> None:
        def presets():
            raise error

        monkeypatch.setattr(catalogue, "presets", presets)

    return breaks


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (StudyError("a study must be good"), 2, "hpo: a study must be good\n"),
        (Unreachable("the store must answer"), 2, "hpo: the store must answer\n"),
        (JobError("a job must have a name"), 2, "hpo: a job must have a name\n"),
        (StudyFailed("no trial trained"), 1, "hpo: the study failed: no trial trained\n"),
        (InterruptedStudy("interrupted; to continue: hpo run x"), 130, "hpo: interrupted; to continue: hpo run x\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_of_ours_is_one_sentence_and_its_exit_code(capsys, broken, tmp_path, monkeypatch, error, code, says):
    monkeypatch.delenv("HPO_STORE_AWAY", raising=False)
    broken(error)
    assert ended(capsys, "studies") == (code, "", says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_is_no_error(unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hpo.cli", "studies"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_any_other_exception_is_a_bug_with_its_traceback_in_a_file(capsys, broken, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hpo", "studies"])
    broken(ValueError("crossed wires\nand more lines"))
    code, out, err = ended(capsys, "studies")
    assert (code, out) == (70, "")
    assert len(err.splitlines()) == 1
    found = re.fullmatch(
        r"hpo: this is a bug in hpo: ValueError: crossed wires; please report it with the traceback in (\S+)\n", err
    )
    assert found
    path = Path(found[1])
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.startswith(f"hpo studies\nhpo {__version__}, Python 3.")
    assert "Traceback (most recent call last)" in text
    assert "in presets" in text
    assert text.endswith("ValueError: crossed wires\nand more lines\n")


def test_a_bug_whose_traceback_cannot_be_written_shows_it(capsys, broken, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    broken(RuntimeError())
    code, out, err = ended(capsys, "studies")
    assert (code, out) == (70, "")
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1] == (
        "hpo: this is a bug in hpo: RuntimeError; please report it with the traceback above"
    )


@pytest.mark.parametrize(
    "words", [("--format", "csv", "-o", "a.csv"), ("--format", "html", "-o", "a.html"), ("--picture", "a.svg")]
)
def test_a_file_that_cannot_be_written_is_bad_input_and_no_bug(capsys, tmp_path, words):
    write_study(str(tmp_path / "store"), played("digits", methods=("grid",), seeds=(0,), budget=16))
    (tmp_path / "file").write_text("no folder")
    code, out, err = ended(capsys, "compare", tmp_path / "store", *words[:-1], tmp_path / "file" / words[-1])
    assert (code, out) == (2, "")
    assert f"{'--picture' if words[-2] == '--picture' else '--output'} must be a file that can be written, but " in err
    assert len(err.splitlines()) == 1


def test_a_picture_in_an_unknown_format_is_refused(capsys, tmp_path):
    code, out, err = ended(capsys, "compare", tmp_path, "--picture", "curves.gif")
    assert (code, out) == (2, "")
    assert err == "hpo: --picture must end in .svg, .png or .pdf, but got curves.gif\n"


@pytest.mark.parametrize("command", ["compare", "importance"])
def test_an_output_that_is_a_folder_is_refused_before_the_store_is_read(capsys, tmp_path, command):
    code, out, err = ended(capsys, command, tmp_path / "none", "-o", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"hpo: --output must be a file that can be written, but {tmp_path} is not: it is a folder\n"


def test_neither_markup_nor_emoji_is_interpreted(capsys, broken):
    broken(StudyError("study.yaml:100:3: [red]a[/red] :smile:"))
    assert ended(capsys, "studies")[2] == "hpo: study.yaml:100:3: [red]a[/red] :smile:\n"
    for path in (path for room in ("hpo", "cluster", "trainables") for path in Path(room).rglob("*.py")):
        for made in re.findall(r"\bConsole\(.*\)", path.read_text()):
            assert "markup=False, emoji=False" in made, path


STUCK = """
import sys, threading
from hpo.cli import app

def command(**_):
    threading.Thread(target=threading.Event().wait).start()
    raise app.InterruptedStudy("stopped by SIGINT")

app.app, app.LEAVE_SECONDS, sys.argv = command, 1.0, ["hpo"]
app.main()
"""


def test_no_thread_of_a_librarys_keeps_the_process_from_ending_when_all_is_said():
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "hpo: stopped by SIGINT\n")


IDLE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from hpo.cli import app

def command(**_):
    global pool
    pool = ThreadPoolExecutor()
    pool.submit(print, "done").result()

app.app, app.LEAVE_SECONDS, sys.argv = command, 1000.0, ["hpo"]
app.main()
"""


def test_threads_that_have_nothing_to_do_hold_up_nothing():
    done = subprocess.run([sys.executable, "-c", IDLE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
