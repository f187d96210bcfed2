"""README and documentation: every command is one that `hpo` takes, those that need no cluster run, every link leads."""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from docs.from_code.command_line import every, of_a_service
from hpo.cli.app import app
from hpo.files import unpack
from tests import documented
from tests.documented import PAGES, ROOT, Command

COMMANDS = [command for page in PAGES for command in documented.typed(page)]
SERVED = of_a_service()
APPLICATION = {**every(), **SERVED}
STUDIES = [(page, text) for page in PAGES for text in documented.blocks(page, ("yaml",)) if text.startswith("study:")]

# The one place that decides what runs here: every command but those that train on a Ray cluster, ask one, serve until they are
# interrupted, or judge the machine, if all that it reads is in HERE. tests/ray/test_tutorials.py types whole pages that train
# (documented.TYPED). Of the rest, which NEEDS names, the options are checked.
ELSEWHERE = {"run", "refine", "submit", "jobs", "logs", "stop", "serve", "doctor", "host add", "host remove"} | set(
    SERVED
)
HERE = {"results", "digits", "digits.tar.gz", "lab.csv", "mine.yaml", "paper001-cifar100"}
"""What `folder` below puts into the working folder, and the study of the recorded store, which also comes with the package."""

NEEDS = {
    "a bucket of S3": r".* s3://",
    "a cluster and its job server": r"submit |jobs |.* --address ",
    "a running service": r"--service ",
    "packages from a network": r"host (add|remove) ",
    "to run until it is interrupted": r"serve ",
    "the machine itself, which may have a problem": r"doctor$",
    "half an hour": r"replay recorded.yaml ",
}
"""What no test of pages gives to a command, and the commands that need it; tests of their own hold what these do."""


def split(words: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the name of a command, which has two words in a group, and what follows it."""
    if words[0] == "--service":
        return " ".join(["--service", "URL", *words[2:3]]), list(words[3:])
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in APPLICATION), words[0])
    return name, list(words[len(name.split()) :])


def parsed(command: Command) -> dict[str, Any]:
    """Returns the arguments and options as the application reads them. Raises typer's errors for what it does not take."""
    name, rest = split(command.words)
    found: dict[str, Any] = APPLICATION[name].make_context(name, rest).params
    return found


def runs(command: Command) -> bool:
    """Whether the command can run here: it needs no cluster, and what it reads is at hand."""
    name, _ = split(command.words)
    if name in ELSEWHERE or name not in APPLICATION:
        return False
    if name == "token add":  # writes below the home folder, for whichever store
        return True
    given = parsed(command)
    read = [given.get(key) for key in ("store", "other", "study", "curves", "folder")]
    named = [each for some in read if some for each in (some if isinstance(some, list | tuple) else [some])]
    there = all(str(each) in HERE or str(each).startswith("hpo/replay/recorded/") for each in named)
    return there and not given.get("address")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacks the recorded digits study: what `hpo run digits` leaves."""
    folder = tmp_path_factory.mktemp("documented")
    shutil.copy(ROOT / "tests" / "recorded_stores" / "digits.tar.gz", folder)
    with tarfile.open(folder / "digits.tar.gz") as archive:
        unpack(archive, folder / "results")
    return folder


@pytest.fixture
def folder(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts into the working folder what the commands of the pages read."""
    for name in ("results", "digits.tar.gz"):
        (tmp_path / name).symlink_to(store / name)
    (tmp_path / "hpo").symlink_to(ROOT / "hpo")
    (tmp_path / "lab.csv").write_text(next(documented.blocks(ROOT / "docs/tutorials/adopt-a-study.md", ("csv",))))
    searcher = next(documented.blocks(ROOT / "docs/reference/methods.md", ("python",)))
    (tmp_path / "nearest_best.py").write_text(searcher)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_is_one_that_hpo_takes(command: Command) -> None:
    assert command.words[0].startswith("-") or parsed(command) or not split(command.words)[1]


ONCE = {
    (c.words, c.page if "mine.yaml" in c.words else None): c for c in COMMANDS if runs(c)
}  # mine.yaml is the page's


@pytest.mark.parametrize("command", ONCE.values(), ids=str)
def test_what_can_run_here_runs_as_it_stands(command: Command, folder: Path) -> None:
    own = next((text for page, text in STUDIES if page == command.page), "")  # the page's study, for mine.yaml
    (folder / "mine.yaml").write_text(own)
    answer = CliRunner().invoke(app, list(command.words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    named = [command.words[i + 1] for i, word in enumerate(command.words) if word in ("-o", "--picture")]
    assert answer.output.strip() or named
    assert all((folder / name).stat().st_size > 1000 for name in named)


@pytest.mark.parametrize(
    ("page", "command"), [("README.md", "compare results"), ("docs/gallery.md", "importance digits.tar.gz --pairs")]
)
def test_the_output_on_a_page_is_what_is_printed(page: str, command: str, folder: Path) -> None:
    answer = CliRunner().invoke(app, command.split(), env={"COLUMNS": "100"}, catch_exceptions=False)
    shown = next(documented.blocks(ROOT / page, ("text",))).splitlines()
    assert [line for line in shown if line not in answer.output.splitlines() and "report: " not in line] == []


def test_every_command_runs_in_a_test_or_needs_what_tests_of_pages_lack() -> None:
    run = {c.words for c in COMMANDS if runs(c) or str(c.page.relative_to(ROOT)) in documented.TYPED}
    rest = {" ".join(c.words): str(c) for c in COMMANDS if c.words not in run}
    assert [place for words, place in rest.items() if not any(re.match(form, words) for form in NEEDS.values())] == []
    assert [need for need, form in NEEDS.items() if not any(re.match(form, words) for words in rest)] == []
    names = {words[0] for words in run}
    assert {"compare", "importance", "replay", "verify", "bundle", "check", "run", "init", "refine"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_within_sentences_exist_with_their_options(page: Path) -> None:
    for text in documented.inline(page):
        name, rest = split(text.split())
        if name in ("COMMAND", "...") or name.startswith("-"):
            continue
        for each in name.rstrip(",").split("|"):
            assert each in APPLICATION, f"hpo {text}"
            known = {o for p in APPLICATION[each].params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            assert {re.split("[=,;]", word)[0] for word in rest if word.startswith("-") and len(word) > 1} <= known, (
                text
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for path, anchor in documented.links(page):
        if path.startswith("gallery/"):  # made by `make docs`, whose build is strict about links
            assert f"build/{path}" in (ROOT / "Makefile").read_text()
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {path}"
        assert not anchor or anchor in documented.anchors(target), f"{page.name}: {path}#{anchor}"


def test_links_between_the_site_and_files_outside_it_are_turned_into_links_of_the_site() -> None:
    from docs.from_code.outside import moved

    told = moved(
        "[a](aws/README.md) [c](../docker/README.md#x) [s](head.sh) [u](https://x.y) [h](#retries)", "deploy/README.md"
    )
    assert told == "[a](aws.md) [c](containers.md#x) s (`deploy/head.sh`) [u](https://x.y) [h](#retries)"
    assert moved("[d](../../deploy/README.md#retries)", "docs/how-to/s3.md") == "[d](clusters.md#retries)"
    assert moved("![p](../pictures/demo.svg)", "docs/explanation/asha.md") == "![p](../pictures/demo.svg)"


def test_commands_are_found_behind_variables_and_other_commands() -> None:
    page = ROOT / "deploy" / "README.md"
    found = documented.commands_of(
        ["A=1", "hpo", "run", "x", "--store", "y", "|", "head", "&&", ".venv/bin/hpo", "jobs", ";", "echo", "hpo"]
    )
    assert list(found) == [["run", "x", "--store", "y"], ["jobs"]]
    assert ("run", "clothing", "--store", "s3://bucket/results") in {c.words for c in documented.typed(page)}


@pytest.mark.parametrize(("page", "text"), STUDIES, ids=[str(page.relative_to(ROOT)) for page, _ in STUDIES])
def test_every_study_of_a_page_is_valid(page: Path, text: str, tmp_path: Path) -> None:
    from hpo.study import suite
    from hpo.study.study import Study

    (tmp_path / "study.yaml").write_text(text)
    found = suite.load(tmp_path / "study.yaml", kind=Study)
    assert all(study.definition["methods"] for study in ([found] if isinstance(found, Study) else found.studies))


def test_the_training_code_of_the_tutorial_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "docs" / "tutorials" / "your-training-code.md"
    code, check, *_ = documented.blocks(page, ("python",))  # test_function_trainables.py takes the others
    (tmp_path / "spirals.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    exec(check, {})
