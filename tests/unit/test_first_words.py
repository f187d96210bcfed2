"""What a newcomer meets first: `hpo` alone, `hpo --version`, and what the Tab key offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo import __version__, cli
from hpo.cli.app import GROUPS, app
from hpo.cli.completing import USUAL, a_model, a_study, some_methods
from hpo.cli.options import errors
from trainables import backbones


def ended(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def test_hpo_alone_says_what_to_do_first_and_names_every_command(capsys):
    code, out, err = ended(capsys)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    first = lines[lines.index("First:") + 1 :][:3]
    assert [line.split("  ")[1] for line in first] == ["hpo run digits", "hpo init FOLDER", "hpo doctor"]
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 20
    listed = set(out.replace(",", " ").split())
    assert {command.callback.__name__ for command in app.registered_commands} <= listed
    assert len(app.registered_commands) == sum(map(len, GROUPS.values()))


def test_version(capsys):
    code, out, err = ended(capsys, "--version")
    assert (code, err) == (0, "")
    assert out.startswith(f"hpo {__version__} (Python 3.")


@pytest.mark.parametrize("wrong", ["--versoin", "chekc"])
def test_what_is_no_command_is_still_refused(capsys, wrong):
    code, out, err = ended(capsys, wrong)
    assert (code, out) == (2, "")
    assert wrong in err


@pytest.mark.parametrize("command", [["check", "digits"], ["methods"], ["studies"], ["doctor"]])
def test_a_terminal_gets_whole_words_and_a_pipe_whole_lines(capsys, monkeypatch, command):
    _, piped, _ = ended(capsys, *command)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = ended(capsys, *command)
    assert max(map(len, out.splitlines())) <= 60
    if command != ["doctor"]:  # which counts free bytes, and wraps its findings everywhere
        assert out.split() == piped.split()
        assert max(map(len, piped.splitlines())) > 60


def test_a_sentence_breaks_between_words_but_keeps_what_is_to_be_typed_on_a_line(capsys, monkeypatch):
    sentence = "hpo: stopped by SIGINT with 9 epochs charged; to continue: hpo run a-study.yaml --no-report --workers 2"
    monkeypatch.setenv("COLUMNS", "40")
    errors.print(sentence)
    assert capsys.readouterr().err == f"{sentence}\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    errors.print(sentence)
    assert capsys.readouterr().err.splitlines() == [
        "hpo: stopped by SIGINT with 9 epochs",
        "charged; to continue:",
        "hpo run a-study.yaml --no-report --workers 2",
    ]


def test_studies_are_completed_by_presets_files_and_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in ("mine.yaml", "mine.txt", ".hidden.yaml", "mine/deep.yml", "done.tar.gz"):
        (tmp_path / name).write_text("")
    assert a_study("dig") == ["digits"]
    assert a_study("mi") == ["mine/", "mine.yaml"]
    assert a_study("mine/") == ["mine/deep.yml"]
    assert a_study(f"{tmp_path}/don") == [f"{tmp_path}/done.tar.gz"]
    assert ".hidden.yaml" not in a_study("")
    assert a_study("nowhere/x") == []


def test_methods_are_completed_after_each_comma():
    assert "bayesian" in some_methods("b")
    assert some_methods("grid,rand") == ["grid,random"]
    assert not any(found.split(",").count("grid") > 1 for found in some_methods("grid,"))


def test_the_models_that_are_offered_exist():
    assert set(USUAL) <= set(backbones.names())
    assert a_model("mobilenet_v2") == ["mobilenet_v2"]


@pytest.fixture
def on_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `hpo` is this project's, as in an activated .venv, and the home folder is a new one."""
    program = tmp_path / "bin" / "hpo"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hpo.cli "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def test_bash_completes_commands_options_presets_and_methods(on_path, tmp_path):
    script = """
        hpo --install-completion >/dev/null
        source ~/.bashrc
        for typed in "hpo docto" "hpo run digi" "hpo run digits --meth" "hpo run digits --methods grid,rando"; do
            COMP_WORDS=($typed); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            $(complete -p hpo | sed 's/.*-F \\([^ ]*\\).*/\\1/') hpo
            echo "${COMPREPLY[*]}"
        done
    """
    done = subprocess.run([shutil.which("bash"), "-c", script], env=on_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["doctor", "digits", "--methods", "grid,random"], done.stderr


@pytest.mark.parametrize(("shell", "file"), [("zsh", ".zfunc/_hpo"), ("fish", ".config/fish/completions/hpo.fish")])
def test_the_scripts_of_other_shells_are_put_where_they_look(on_path, tmp_path, shell, file):
    """The shells themselves may be missing here: a link to bash under their name asks for its own script."""
    (tmp_path / "bin" / shell).symlink_to(Path(shutil.which("bash")).resolve())
    command = [str(tmp_path / "bin" / shell), "-c", "hpo --install-completion; true"]
    subprocess.run(command, env=on_path, capture_output=True, text=True, check=True)
    assert f"_HPO_COMPLETE=complete_{shell}" in (tmp_path / file).read_text()


@pytest.mark.parametrize(
    ("shell", "typed", "offered"), [("zsh", "hpo run digi", "digits"), ("fish", "hpo docto", "doctor")]
)
def test_the_answers_are_in_the_form_of_each_shell(on_path, shell, typed, offered):
    asked = {**on_path, "_HPO_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": typed,
             "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    done = subprocess.run(["hpo"], env=asked, capture_output=True, text=True, check=False)
    assert offered in done.stdout
