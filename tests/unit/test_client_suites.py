"""A suite through a service: listed, compared, its report and its bundle, in Python and by `hpo --service URL`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from without_ray import dispatching, play_to_the_end

import hpo
from hpo import store
from hpo.cli.app import main
from hpo.client import NotFound
from hpo.study import suite
from hpo.study.study import Study
from hpo.study.suite import Suite
from tests.serving import context, serving

SUITE = """
study: lands
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 12, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
seeds: [0, 1]
tasks:
  hills: {data: {landscape: hills}}
  dales: {data: {landscape: dales}}
"""
NAMES = ["lands.dales", "lands.hills"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service of a store with the suite, and with a study beside it."""
    folder = tmp_path_factory.mktemp("lands")
    (folder / "lands.yaml").write_text(SUITE)
    (folder / "alone.yaml").write_text(SUITE[: SUITE.index("tasks:")].replace("lands", "alone"))
    found = suite.load(str(folder / "lands.yaml"), kind=Study, store=str(folder / "results"))
    assert isinstance(found, Suite)
    for study in (*found.studies, Study.load(folder / "alone.yaml", store=str(folder / "results"))):
        play_to_the_end(dispatching(study))
    with serving(context(folder / "results", folder / "cache")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the tokens of whoever runs the tests alone, and the working folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("HPO_SERVICE", "HPO_SERVICE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def ended(*words: str) -> int:
    """Runs `hpo` in this process; returns its exit code."""
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def test_a_suite_has_its_studies_their_comparison_report_and_bundle(url: str, tmp_path: Path) -> None:
    with hpo.connect(url) as client:
        lands = client.suite("lands")
        assert list(lands) == NAMES
        assert list(lands.compare().tasks) == NAMES
        report = lands.report(tmp_path / "lands.html").read_text()
        assert all(name in report for name in NAMES)
        assert sorted(store.studies(str(lands.bundle(tmp_path / "lands.tar.gz")))) == NAMES
        with pytest.raises(NotFound, match="must be named, but it has none of the name seas"):
            client.suite("seas")


def test_commands_take_a_suites_name(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--service", url, "bundle", "lands", "-o", "lands.tar.gz") == 0
    assert sorted(hpo.open("lands.tar.gz")) == NAMES
    assert ended("verify", "lands.tar.gz") == 0
    assert ended("--service", url, "bundle", "lands.hills", "-o", "one.tar.gz") == 0
    assert store.studies("one.tar.gz") == ["lands.hills"]
    assert ended("--service", url, "report", "lands") == 0
    assert "lands.dales" in (tmp_path / "lands.html").read_text()
    assert ended("--service", url, "report", "lands.hills", "alone") == 0
    assert "alone" in (tmp_path / "2-studies.html").read_text()
    assert ended("--service", url, "report", "lands.hills") == 0
    assert (tmp_path / "lands.hills.html").exists()
    capsys.readouterr()
    assert ended("--service", url, "bundle", "seas", "-o", "seas.tar.gz") == 2
    assert "seas" in capsys.readouterr().err
    assert not (tmp_path / "seas.tar.gz").exists()
