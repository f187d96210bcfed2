"""The package as `pip install hpo-arena` gives it: what it holds, where it is installed, what it says without an extra."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import dist
import pytest

from hpo.errors import EXTRAS
from hpo.files import unpack

ROOT = Path(__file__).parents[2]
OPTIONAL = ("torch", "torchvision", "torchgen", "functorch", "safetensors", "timm", "boto3", "botocore", "aiohttp")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel of this tree."""
    return dist.built(tmp_path_factory.mktemp("dist"))


def installed(folder: Path, wheel: Path, without: tuple[str, ...] = ()) -> Command:
    """Installs the wheel, alone, into a new environment that also sees this one's packages; returns how to run `hpo` there.

    `without`: the modules that it does not see.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    seen = [folder / f"seen{number}" for number, _ in enumerate(_libraries())]
    for library, links in zip(_libraries(), seen, strict=True):
        links.mkdir()
        for entry in library.iterdir():
            if entry.suffix != ".pth" and entry.name.partition(".")[0].partition("-")[0] not in without:
                (links / entry.name).symlink_to(entry)
    (site / "beside.pth").write_text("".join(f"{links}\n" for links in seen))
    (folder / "empty").mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HPO_", "COV"))}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python.parent / "hpo", *arguments], cwd=folder / "empty", env={**clean, "HOME": str(folder)},
            capture_output=True, text=True, check=False, timeout=110,
        )  # fmt: skip

    return run


def _libraries() -> list[Path]:
    return [Path(name) for name in dict.fromkeys(sys.path) if name.endswith("site-packages")]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory, packages: tuple[Path, Path]) -> Command:
    return installed(tmp_path_factory.mktemp("everything"), packages[1])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, packages: tuple[Path, Path]) -> Command:
    """As without any extra."""
    return installed(tmp_path_factory.mktemp("base"), packages[1], OPTIONAL)


# -- what the files hold --------------------------------------------------------------------------------------------


def test_wheel_and_sdist_hold_the_packages_their_data_and_the_licences_and_nothing_else(
    packages: tuple[Path, Path],
) -> None:
    assert list(dist.problems(*packages)) == []
    held = dist.in_wheel(packages[1])
    needed = {"hpo/study/presets/digits.yaml", "hpo/report/templates/report.css", "hpo/service/pages/built/study.js"}
    assert needed | {"hpo/py.typed", "trainables/weights/digits_net.safetensors"} <= held
    assert not [name for name in held if name.startswith(("tests/", "docs/"))]


def test_the_sdist_builds_the_same_wheel(packages: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(packages[0]) as archive:
        unpack(archive, tmp_path)
    _, again = dist.built(tmp_path / "dist", next(tmp_path.iterdir()))
    assert again.read_bytes() == packages[1].read_bytes()


def test_a_file_too_many_or_too_few_is_named(packages: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    known = dist.ours()
    monkeypatch.setattr(dist, "ours", lambda: known - {"hpo/text.py"} | {"hpo/lost.css"})
    said = "\n".join(dist.problems(*packages))
    assert "must hold hpo/lost.css, but does not" in said
    assert "must not hold hpo/text.py" in said


# -- installed --------------------------------------------------------------------------------------------------------


def test_the_installed_package_works_from_an_empty_folder(everything: Command) -> None:
    assert "Compare hyperparameter optimization methods" in everything("--help").stdout
    assert "digits" in everything("studies").stdout
    checked = everything("check", "digits")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "image_classifier digits digits_net" in checked.stdout


def test_without_extras_the_package_lists_checks_and_trains(base: Command) -> None:
    assert base("methods").returncode == 0
    study = "study: s\ntrainable: curves\nspace: {x: {type: float, low: 0, high: 1}}\n"
    where = Path(base("--help").args[0]).parents[2] / "empty" / "s.yaml"
    where.write_text(f"{study}budget: {{epochs: 8, max_epochs: 4}}\nmethods: [random]\n")
    done = base("run", "s.yaml", "--store", "results", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert base("compare", "results").returncode == 0
    assert base("verify", "results").returncode == 0


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("check", "digits"), "torch"),
        (("check", "paper002-synthetic-08"), "torch"),
        (("models",), "torch"),
        (("datasets",), "torch"),
        (("compare", "s3://bucket/prefix"), "s3"),
        (("jobs", "--address", "http://127.0.0.1:1"), "cluster"),
    ],
)
def test_a_feature_whose_extra_is_missing_names_it_in_one_sentence(
    base: Command, command: tuple[str, ...], extra: str
) -> None:
    done = base(*command)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.rstrip().endswith(f"pip install 'hpo-arena[{extra}]'")


def test_every_extra_that_a_message_names_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) | {"cluster"} <= set(extras)


# -- what names the version -------------------------------------------------------------------------------------------


def test_the_citation_and_the_changelog_know_the_version_and_it_stands_nowhere_else() -> None:
    assert f"\nversion: {dist.version()}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {dist.version()}\n" in (ROOT / "CHANGELOG.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dynamic"] == ["version"]
    assert "version" not in project
