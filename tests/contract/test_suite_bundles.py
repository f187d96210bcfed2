"""Bundles of a suite: one archive of all its tasks' studies, verified, unpacked, changed, and run again."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from without_ray import dispatching, play_to_the_end

from hpo import store
from hpo.bundle import check_new, make, studies_in, verify
from hpo.cli.options import load_study
from hpo.cli.run import print_results
from hpo.errors import HpoError
from hpo.files import unpack
from hpo.storage.archive import MANIFEST, ArchivePlace, sealed, write_archive
from hpo.study import suite
from hpo.study.study import Study
from hpo.study.suite import Suite

SUITE = """
study: lands
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 12, max_epochs: 4}
methods: [random, {asha: {eta: 2, label: halving}}]
seeds: [0, 1]
tasks:
  hills: {data: {landscape: hills}}
  dales: {data: {landscape: dales}, budget: {epochs: 16}}
"""
NAMES = ["lands.dales", "lands.hills"]


def played(path: Path, uri: str) -> str:
    """Plays the suite without a cluster; returns its store."""
    found = suite.load(str(path), kind=Study, store=uri)
    assert isinstance(found, Suite)
    for study in found.studies:
        play_to_the_end(dispatching(study, environment={"command": f"hpo run lands.yaml --store {uri}"}))
    return uri


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("lands") / "lands.yaml"
    found.write_text(SUITE)
    return found


@pytest.fixture(scope="module")
def results(path: Path) -> str:
    return played(path, str(path.parent / "store"))


@pytest.fixture(scope="module")
def bundle(results: str, path: Path) -> Path:
    make(results, None, path.parent / "b.tar.gz")
    return path.parent / "b.tar.gz"


def test_a_suite_by_its_name_or_as_the_stores_only_one_is_a_bundle_of_all_its_studies(
    results: str, bundle: Path, tmp_path: Path
) -> None:
    make(results, "lands", tmp_path / "named.tar.gz")
    assert (tmp_path / "named.tar.gz").read_bytes() == bundle.read_bytes()
    where = ArchivePlace(str(bundle))
    assert (where.manifest["suite"], sorted(where.manifest["studies"])) == ("lands", NAMES)
    assert "study" not in where.manifest
    for name in NAMES:
        assert {f"{name}/study.json", f"{name}/seal.json", f"tasks/{name}/study.yaml"} <= where.contents.keys()
    page = where.contents["README.md"].decode()
    assert "8 runs (2 tasks, 2 methods, 2 seeds), each with a budget of 16 epochs or 12 epochs" in page
    assert all(f"hpo compare BUNDLE NEW --study {name}" in page for name in NAMES)


def test_a_suite_of_one_task_is_the_bundle_of_its_study(path: Path, tmp_path: Path) -> None:
    found = suite.load(str(path), kind=Study, store=str(tmp_path / "store"))
    assert isinstance(found, Suite)
    play_to_the_end(dispatching(found.tasks["hills"]))
    for name in ("lands", "lands.hills", None):
        make(str(tmp_path / "store"), name, tmp_path / "one.zip")
        assert ArchivePlace(str(tmp_path / "one.zip")).manifest["study"] == "lands.hills"
    with pytest.raises(HpoError, match=r"has no 'dales'; there are: lands\.hills"):
        make(str(tmp_path / "store"), "dales", tmp_path / "none.zip")


def test_a_study_of_a_suite_is_a_bundle_of_its_own(results: str, tmp_path: Path) -> None:
    make(results, "lands.hills", tmp_path / "one.zip")
    where = ArchivePlace(str(tmp_path / "one.zip"))
    assert where.manifest["study"] == "lands.hills"
    assert "study.yaml" in where.contents
    assert not verify(str(tmp_path / "one.zip")).problems


def test_it_is_verified_compared_and_reported_as_the_store_that_it_was_made_of(
    results: str, bundle: Path, tmp_path: Path, typed: Any
) -> None:
    code, out, err = typed("verify", bundle)
    assert (code, err) == (0, "")
    assert out.startswith("lands: every file is as the manifest says")
    assert out.endswith("are derived again, byte by byte\n")
    contents = ArchivePlace(str(bundle)).contents
    with tarfile.open(bundle) as archive:
        unpack(archive, tmp_path / "unpacked")
    assert store.studies(str(tmp_path / "unpacked")) == NAMES
    assert typed("verify", tmp_path / "unpacked")[0] == 0
    for source in (results, bundle, tmp_path / "unpacked"):
        code, out, _ = typed("compare", source, "--format", "json")
        assert (code, json.loads(out)) == (0, json.loads(contents["comparison.json"]))
        code, *_ = typed("compare", source, "--format", "html", "-o", tmp_path / "r.html")
        page = (tmp_path / "r.html").read_text()
        assert (code, all(name in page for name in NAMES)) == (0, True)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("comparison.json", "comparison.json: "),
        ("tasks/lands.hills/comparison.json", "tasks/lands.hills/comparison.json: "),
        ("tasks/lands.dales/study.yaml", "tasks/lands.dales/study.yaml holds another study than study.json"),
    ],
)
def test_what_was_changed_is_named_with_its_task_although_the_manifest_fits_it(
    bundle: Path, tmp_path: Path, name: str, named: str
) -> None:
    where = ArchivePlace(str(bundle))
    files = {n: c for n, c in where.contents.items() if n != MANIFEST}
    if name.endswith(".json"):
        found = json.loads(files[name])
        found["methods"][0]["mean"] *= 1.01
        files[name] = json.dumps(found).encode()
    else:
        files[name] = files[name].replace(b"0.0001", b"0.0002")
    about = {n: where.manifest[n] for n in ("suite", "studies", "made_with", "hidden")}
    write_archive(tmp_path / "forged.zip", sealed(files, about))
    assert any(problem.startswith(named) for problem in verify(str(tmp_path / "forged.zip")).problems)


def test_a_lost_file_of_a_task_is_named(bundle: Path, tmp_path: Path) -> None:
    contents = dict(ArchivePlace(str(bundle)).contents)
    for name in ("tasks/lands.hills/methods.json", "lands.dales/study.json"):
        write_archive(tmp_path / "b.zip", {n: c for n, c in contents.items() if n != name})
        assert f"{name} is missing" in verify(str(tmp_path / "b.zip")).problems


def test_a_suite_with_a_study_that_does_not_add_up_is_no_bundle(path: Path, tmp_path: Path) -> None:
    uri = played(path, str(tmp_path / "store"))
    part = next((tmp_path / "store" / "lands.hills" / "charges").glob("*.parquet"))
    part.unlink()
    with pytest.raises(HpoError, match=r"lands\.hills"):
        make(uri, None, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_it_is_run_again_as_a_suite_or_some_of_its_tasks(
    results: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = load_study(str(bundle), store=str(tmp_path / "new"))
    assert isinstance(again, Suite)
    assert list(again.tasks) == ["dales", "hills"]
    for study in again.studies:
        play_to_the_end(dispatching(study))
    comparison = print_results(list(again.studies), str(bundle), "table", again=True)
    assert sorted(comparison.tasks) == NAMES
    out = capsys.readouterr().out
    assert all(name in out for name in NAMES)
    chosen = studies_in(str(bundle), ["hills"])
    assert isinstance(chosen, Suite)
    assert [study.study for study in chosen.studies] == ["lands.hills"]
    with pytest.raises(HpoError, match="--tasks must name tasks of the suite lands, but got 'hill'"):
        studies_in(str(bundle), ["hill"])
    check_new(str(bundle), str(tmp_path / "new"))
    with pytest.raises(HpoError, match="another store than the one that the bundle was made of"):
        check_new(str(bundle), results)


def test_a_replayed_suite_is_replayed_again_from_its_bundle(
    path: Path, results: str, tmp_path: Path, typed: Any
) -> None:
    assert typed("replay", path, "--curves", results, "--store", tmp_path / "replayed")[0] == 0
    assert typed("bundle", tmp_path / "replayed", "-o", tmp_path / "b.zip")[0] == 0
    code, _, err = typed("run", tmp_path / "b.zip", "--again", "--store", tmp_path / "new")
    assert (code, "was replayed over" in err) == (2, True)
    assert typed("replay", tmp_path / "b.zip", "--curves", results, "--store", tmp_path / "new")[0] == 0
    assert store.studies(str(tmp_path / "new")) == NAMES
    code, out, _ = typed("compare", tmp_path / "b.zip", tmp_path / "new", "--study", "lands.hills", "--format", "json")
    assert code == 0
    assert all(run["same_winner"] for run in json.loads(out)["runs"]), out
