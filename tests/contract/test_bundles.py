"""Bundles of a small study that was really played: derived again in a clean process, tampered with, repeated, compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import stores
import yaml
from without_ray import dispatching, play_to_the_end

from hpo import store
from hpo.bundle import Verification, make, studies_in, verify
from hpo.bundle.derived import COMPARISON, IMPORTANCE, REPORT
from hpo.errors import HpoError
from hpo.files import unpack
from hpo.results.repetition import repetition
from hpo.storage.archive import MANIFEST, ArchivePlace, sealed, write_archive
from hpo.storage.place import place
from hpo.store import layout, reader
from hpo.store.parquet import from_bytes, to_bytes
from hpo.study.sections import Track
from hpo.study.study import Study

ROOT = Path(__file__).parents[2]
STUDY = """
study: bundled
trainable: curves
data: {{fail_share: 0.1{data}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01]}}
  optimizer: {{type: choice, values: [adam, sgd]}}
budget: {{epochs: 24, max_epochs: 4}}
methods: [grid, random, {{asha: {{eta: 2, label: halving, parallelism: 2}}}}]
seeds: [0, 1, 2]
parallelism: 3
final: {{retrain: train, seeds: 2}}
store: {store}
"""
COMMAND = "hpo run study.yaml --store results"


def study(folder: Path, data: str = "") -> Study:
    (folder / "study.yaml").write_text(STUDY.format(store=folder / "store", data=data))
    return Study.load(folder / "study.yaml")


def played(folder: Path, data: str = "", **environment: Any) -> str:
    """Plays the study without a cluster; returns its store."""
    found = study(folder, data)
    play_to_the_end(dispatching(found, environment={"python": "3", "command": COMMAND, **environment}))
    return found.store


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> str:
    return played(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def bundle(results: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "b.tar.gz"
    assert [text for text in make(results, None, path) if "study.store" not in text] == []
    return path


def remade(bundle: Path, path: Path, **changed: bytes) -> Path:
    """Writes the bundle with other contents and a manifest that fits them, as a careful forger would."""
    where = ArchivePlace(str(bundle))
    names = {name.replace(".", "_").replace("/", "_"): name for name in where.contents}
    files = {**where.contents, **{names[name]: content for name, content in changed.items()}}
    del files[MANIFEST]
    about = {n: v for n, v in where.manifest.items() if n not in ("format", "version", "files", "digest_of_manifest")}
    write_archive(path, sealed(files, about))
    return path


# -- what it holds ------------------------------------------------------------------------------------------------


def test_the_same_store_gives_the_same_bytes_whatever_the_bundle_is_called(results: str, tmp_path: Path) -> None:
    for suffix in (".tar.gz", ".zip"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("first", "second"))
        make(results, None, first)
        make(results, "bundled", second)
        assert first.read_bytes() == second.read_bytes()
    assert ArchivePlace(str(tmp_path / "first.zip")).contents == ArchivePlace(str(tmp_path / "first.tar.gz")).contents


def test_it_holds_the_study_and_all_that_follows_from_it(results: str, bundle: Path) -> None:
    where = ArchivePlace(str(bundle))
    tables = {name: content for name, content in where.contents.items() if name.endswith(".parquet")}
    assert tables == {n: place(results).read(n) for t in store.read(results).__dataclass_fields__
                      if t in ("epochs", "charges", "failures", "run_failures", "trials", "runs", "exams")
                      for n in reader.files(place(results), "bundled", t)}  # fmt: skip
    methods = json.loads(where.contents["methods.json"])["methods"]
    assert [(m["label"], m["name"], m["parallelism"]) for m in methods] == [
        ("grid", "grid", 3), ("random", "random", 3), ("halving", "asha", 2),
    ]  # fmt: skip
    assert methods[2]["options_given"] == {"eta": 2}
    assert methods[2]["options"].items() >= {"eta": 2, "min_epochs": 1, "searcher": "random"}.items()
    assert json.loads(where.contents["environment.json"])["nodes"] == [
        {"host": "here", "processes": 1, "epochs": store.read(results).epochs.num_rows, "environment": "not known"}
    ]
    assert json.loads(where.contents["data-card.json"])["included"] == "no: a bundle holds no data"
    assert (where.contents["requirements.lock"], json.loads(where.contents["commands.json"])["results"]) == (
        (ROOT / "requirements.lock").read_bytes(), COMMAND,
    )  # fmt: skip
    citation = yaml.safe_load(where.contents["CITATION.cff"])
    assert (citation["cff-version"], citation["type"], citation["version"]) == (
        "1.2.0", "dataset", store.read(results).digest,
    )  # fmt: skip
    page = where.contents["README.md"].decode()
    assert all(text in page for text in ("hpo verify BUNDLE", "hpo run BUNDLE --again --store NEW", COMMAND))
    assert len(page.splitlines()) < 60


def test_the_commands_in_it_make_its_files_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = ArchivePlace(str(bundle)).contents
    commands = json.loads(contents["commands.json"])
    for name in (COMPARISON, IMPORTANCE, REPORT):
        code, *_ = typed(*commands[name].replace("BUNDLE", str(bundle)).split()[1:])
        assert (code, (tmp_path / name).read_bytes()) == (0, contents[name])


def test_unpacked_it_is_a_store(bundle: Path, tmp_path: Path) -> None:
    with tarfile.open(bundle) as archive:
        unpack(archive, tmp_path)
    assert store.studies(str(tmp_path)) == ["bundled"]
    assert store.verify(str(tmp_path)) == []
    assert Study.load(tmp_path / "study.yaml").digest == store.read(str(tmp_path)).digest


def test_authors_are_cited(results: str, tmp_path: Path, typed: Any) -> None:
    code, out, _ = typed(
        "bundle", results, "-o", tmp_path / "b.zip", "--author", "Meier, Anna", "--author", 'The "A" Team'
    )
    assert (code, out) == (0, f"{tmp_path / 'b.zip'}\n")
    found = yaml.safe_load(ArchivePlace(str(tmp_path / "b.zip")).contents["CITATION.cff"])
    assert found["authors"] == [{"family-names": "Meier", "given-names": "Anna"}, {"name": 'The "A" Team'}]


# -- verified -----------------------------------------------------------------------------------------------------


def clean(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line with nothing but a Python, an empty home and an empty working folder."""
    home, work = folder / "home", folder / "work"
    home.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    environment = {"PATH": os.defpath, "HOME": str(home), "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(home / "mpl")}
    return subprocess.run(
        [sys.executable, "-m", "hpo.cli", *arguments], cwd=work, env=environment, capture_output=True, text=True,
        timeout=110, check=False,
    )  # fmt: skip


def test_a_clean_process_without_the_data_derives_every_number_again(
    results: str, bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "moved.tar.gz"
    path.write_bytes(bundle.read_bytes())
    away = Path(results).rename(Path(results).with_name("away"))  # nothing is read from where it was made
    try:
        found = clean(tmp_path, "verify", str(path))
    finally:
        away.rename(results)
    assert (found.returncode, found.stderr) == (0, ""), found.stdout
    assert "comparison, importance and report are derived again, " in found.stdout
    assert list((tmp_path / "work").iterdir()) == []


def test_the_installation_that_made_it_derives_the_same_bytes(bundle: Path, typed: Any) -> None:
    code, out, err = typed("verify", bundle)
    assert (code, err) == (0, "")
    assert out.endswith("comparison, importance and report are derived again, byte by byte\n")


def broken(archive: Path) -> list[str]:
    try:
        return list(ArchivePlace(str(archive)).broken())
    except HpoError as error:  # a manifest that is none any more
        return [str(error)]


def test_every_changed_file_is_named(bundle: Path, tmp_path: Path) -> None:
    contents, forged = dict(ArchivePlace(str(bundle)).contents), tmp_path / "b.zip"
    changed = {name: content + b" " for name, content in contents.items()}
    changed[MANIFEST] = contents[MANIFEST].replace(b"e", b"E", 1)
    for name in changed:
        write_archive(forged, {**contents, name: changed[name]})
        assert [name in text for text in broken(forged)] == [True], name
    write_archive(forged, {**changed, MANIFEST: contents[MANIFEST]})
    problems = verify(str(forged)).problems
    assert [name for name in changed if name != MANIFEST and not any(name in text for text in problems)] == []


@pytest.mark.parametrize("lost", ["space", "metric", "budget", "methods", "study"])
def test_a_head_that_is_not_whole_is_named_although_the_manifest_fits_it(
    bundle: Path, tmp_path: Path, lost: str, typed: Any
) -> None:
    head = json.loads(ArchivePlace(str(bundle)).contents["bundled/study.json"])
    del head["study"][lost]
    forged = remade(bundle, tmp_path / "b.zip", bundled_study_json=json.dumps(head).encode())
    code, out, _ = typed("verify", forged)
    assert (code, "study.json" in out) == (1, True), out


def number_changed(content: bytes, key: str) -> bytes:
    """Returns JSON in which the first method's number of that key differs in its seventh digit."""
    found = json.loads(content)
    found["methods"][0][key] *= 1 + 1e-7
    return json.dumps(found, indent=2).encode()


def test_a_changed_number_is_named_although_the_manifest_fits_it(bundle: Path, tmp_path: Path) -> None:
    contents = ArchivePlace(str(bundle)).contents
    forged = remade(bundle, tmp_path / "b.zip", comparison_json=number_changed(contents[COMPARISON], "mean"))
    (problem,) = verify(str(forged)).problems
    was = json.loads(contents[COMPARISON])["methods"][0]["mean"]
    assert problem == (
        f"comparison.json: methods[0].mean is {was * (1 + 1e-7)} in the bundle, but {was} follows from its tables"
    )


def test_a_changed_number_of_the_report_is_named(bundle: Path, tmp_path: Path) -> None:
    contents = ArchivePlace(str(bundle)).contents
    printed = f"{json.loads(contents[COMPARISON])['methods'][1]['mean']:.4f}"
    other = f"{float(printed) + 0.01:.4f}"
    page = contents[REPORT].decode()
    assert printed in page
    forged = remade(bundle, tmp_path / "b.zip", report_html=page.replace(printed, other).encode())
    problems = verify(str(forged)).problems
    assert problems
    assert all(text.startswith("report.html: after ") and f"{other!r}" in text for text in problems)


def test_a_changed_picture_of_the_report_is_named(bundle: Path, tmp_path: Path) -> None:
    page = ArchivePlace(str(bundle)).contents[REPORT].decode()
    start = page.index(' d="M') + 5
    forged = remade(bundle, tmp_path / "b.zip", report_html=f"{page[:start]} 9{page[start:]}".encode())
    problems = verify(str(forged)).problems
    assert problems
    assert all(text.startswith("report.html: after ") and "the drawing or style is " in text for text in problems)


def test_a_changed_epoch_is_named_although_manifest_and_seal_fit_it(bundle: Path, tmp_path: Path) -> None:
    where = ArchivePlace(str(bundle))
    (name,) = (n for n in where.contents if n.startswith("bundled/epochs/"))
    table = from_bytes(where.contents[name])
    values = table["val_accuracy"].to_pylist()
    values[0] += 0.001
    forged = table.set_column(table.column_names.index("val_accuracy"), "val_accuracy", pa.array(values))
    files = {**where.contents, name: to_bytes(forged)}
    del files[f"bundled/{layout.seal('bundled').rpartition('/')[2]}"]
    about = {"study": "bundled", "digest": where.manifest["digest"], "made_with": where.manifest["made_with"]}
    write_archive(tmp_path / "b.zip", sealed({n: c for n, c in files.items() if n != MANIFEST}, about))
    problems = verify(str(tmp_path / "b.zip")).problems
    assert any("run " in text and "bundled: " in text for text in problems), problems


def test_another_study_file_is_named(bundle: Path, tmp_path: Path, typed: Any) -> None:
    text = ArchivePlace(str(bundle)).contents["study.yaml"].decode()
    forged = remade(bundle, tmp_path / "b.zip", study_yaml=text.replace("epochs: 24", "epochs: 28").encode())
    problems = verify(str(forged)).problems
    assert "study.yaml holds another study than study.json" in problems
    assert "study.yaml: budget.epochs is 28 in the bundle, but 24 follows from its tables" in problems
    code, _, err = typed("run", forged, "--again", "--store", tmp_path / "new")
    assert (code, "study.yaml was changed; get the bundle again" in err) == (2, True)


def test_another_installation_is_noted_and_the_figures_hold_within_their_tolerance(
    bundle: Path, tmp_path: Path, typed: Any
) -> None:
    where = ArchivePlace(str(bundle))
    files = {name: content for name, content in where.contents.items() if name != MANIFEST}

    def verified(made_with: dict[str, str], **changed: bytes) -> Verification:
        about = {"study": "bundled", "digest": where.manifest["digest"], "made_with": made_with}
        names = {"comparison": COMPARISON, "report": REPORT}
        write_archive(tmp_path / "b.zip", sealed({**files, **{names[n]: c for n, c in changed.items()}}, about))
        return verify(str(tmp_path / "b.zip"))

    found = json.loads(files[COMPARISON])
    found["methods"][0]["mean"] *= 1 + 1e-12
    close = json.dumps(found, indent=2).encode()
    numpy = verified({**where.manifest["made_with"], "numpy": "1.0"}, comparison=close)
    assert (numpy.problems, numpy.exact) == ([], False)
    assert numpy.notes[0].startswith("this is not the installation that made the bundle: numpy was 1.0 and is ")
    assert numpy.sentence.endswith("within a relative 1e-09, printed numbers within their last digit")

    del found["methods"][0]["mean_rank"]  # a version that did not have it
    found["verdict"] = "In other words."
    older = json.dumps(found, indent=2).encode()
    version = verified({**where.manifest["made_with"], "hpo-arena": "0.0.9"}, comparison=older, report=b"<p>plain</p>")
    assert (version.problems, version.exact) == ([], False)
    assert "hpo-arena was 0.0.9 and is " in version.notes[0]
    assert (
        version.notes[1] == "report.html was laid out by another version; the figures behind it were compared instead"
    )
    found["methods"][0]["best"] += 0.5
    wrong = verified({**where.manifest["made_with"], "source": "f"}, comparison=json.dumps(found, indent=2).encode())
    assert [text.partition(" is ")[0] for text in wrong.problems] == ["comparison.json: methods[0].best"]
    code, out, err = typed("verify", tmp_path / "b.zip")
    assert (code, out.count("\n"), "note: this is not the installation" in err) == (1, 1, True)


# -- bad stores and private matters -------------------------------------------------------------------------------


def test_a_study_that_does_not_add_up_is_not_bundled(results: str, tmp_path: Path, typed: Any) -> None:
    shutil.copytree(results, tmp_path / "store")
    (path,) = (tmp_path / "store" / "bundled" / "epochs").iterdir()
    table = from_bytes(path.read_bytes())
    path.write_bytes(to_bytes(table.slice(1)))
    code, _, err = typed("bundle", tmp_path / "store", "-o", tmp_path / "b.zip")
    assert code == 2
    assert err.startswith("hpo: a study must add up before it is bundled, but bundled does not: ")
    assert "`hpo verify" in err
    assert not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bundle", "nowhere", "-o", "b.zip"), "a store must hold a study, but there is none in nowhere"),
        (("bundle", "{results}", "-o", "b.rar"), "must end in .tar.gz or .zip, but got b.rar"),
        (("bundle", "{results}", "--study", "other", "-o", "b.zip"), "has no 'other'; there are: bundled"),
        (("bundle", "{results}", "-o", "."), "--output must be a file that can be written, but . is not: it is a folder"),
        (("verify", "none.tar.gz"), "none.tar.gz must be readable, but: No such file"),
        (("run", "{bundle}"), "is a bundle, which only --again trains anew"),
        (("run", "{bundle}", "--again"), "--again needs --store NEW"),
        (("run", "{bundle}", "--again", "--store", "{bundle}"), "is a bundle, and nothing is written into one"),
        (("run", "{bundle}", "--again", "--store", "{results}"), "--again needs another store than the one"),
        (("run", "{bundle}", "--again", "--store", "new", "--budget", "48"), "--again needs the bundle's own budget"),
        (("run", "digits", "--again", "--store", "new"), "--again needs a bundle, a .tar.gz or .zip file, but got digits"),
        (("submit", "{bundle}"), "a job needs a study file or a preset"),
        (("refine", "{bundle}"), "is a bundle, and nothing is written into one"),
        (("compare", "{bundle}", "{results}", "--all"), "two stores are compared in one study"),
        (("compare", "{bundle}", "nowhere"), "nowhere has no 'bundled'; there is none"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_sentence_and_nothing_is_written(
    arguments: tuple[str, ...], said: str, results: str, bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, typed: Any,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = bundle.read_bytes()
    code, _, err = typed(*(text.format(results=results, bundle=bundle) for text in arguments))
    assert (code, said in err, err.count("\n")) == (2, True, 1), err
    assert (list(tmp_path.iterdir()), bundle.read_bytes() == before) == ([], True)


def test_home_folders_and_secrets_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Any) -> None:
    monkeypatch.setenv("HPO_SERVE_TOKEN", "correct-horse-battery")
    command = "hpo run /home/alice/study.yaml --store s3://key:pass@host/x --note correct-horse-battery"
    uri = played(tmp_path, command=command, image="registry/hpo@sha256:00ff")
    code, out, err = typed("bundle", uri, "-o", tmp_path / "b.zip")
    assert (code, out) == (0, f"{tmp_path / 'b.zip'}\n"), err
    assert "hidden in bundled/study.json, environment.command: home folders or secrets" in err
    for name, content in ArchivePlace(str(tmp_path / "b.zip")).contents.items():
        for secret in (b"alice", b"key:pass", b"correct-horse"):
            assert secret not in content, name
    kept = json.loads(ArchivePlace(str(tmp_path / "b.zip")).contents["commands.json"])["results"]
    assert kept == "hpo run ~/study.yaml --store s3://***@host/x --note ***"
    assert json.loads(ArchivePlace(str(tmp_path / "b.zip")).contents["environment.json"])["image"] == (
        "registry/hpo@sha256:00ff"
    )
    assert verify(str(tmp_path / "b.zip")).problems == []  # the seal is that of what the bundle holds
    assert store.verify(uri) == []  # and the store is as it was


def test_a_home_folder_on_which_trials_depend_is_refused_unless_it_is_accepted(tmp_path: Path, typed: Any) -> None:
    uri = played(tmp_path, ", root: /home/alice/photos")
    code, _, err = typed("bundle", uri, "-o", tmp_path / "b.zip")
    assert (code, (tmp_path / "b.zip").exists()) == (2, False)
    assert "study.data.root" in err
    assert "accept that with --keep-paths" in err
    assert typed("bundle", uri, "-o", tmp_path / "b.zip", "--keep-paths")[0] == 0
    assert verify(str(tmp_path / "b.zip")).problems == []


# -- repeated and compared ----------------------------------------------------------------------------------------


@pytest.fixture
def without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(studies: Sequence[Study], *, command: str, then: Callable[[], None], **_: Any) -> None:
        play_to_the_end(dispatching(*studies, environment={"command": command}))
        then()

    monkeypatch.setattr("hpo.live.session.play", play)


def test_trained_anew_it_gives_the_same_values_and_verdicts(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_a_cluster: None, typed: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = typed("run", bundle, "--again", "--store", "new", "--quiet", "--format", "json")
    found = json.loads(out)
    assert (code, found["equal"], len(found["runs"]), len(found["verdicts"])) == (0, True, 9, 6)
    assert all(run["difference"] == run["test_difference"] == 0 for run in found["runs"])
    assert all(run["same_winner"] for run in found["runs"])
    for first, second in ((bundle, "new"), ("new", bundle), (bundle, bundle)):
        code, out, _ = typed("compare", first, second)
        assert (code, out.startswith("All 9 values of val_accuracy are equal exactly. All 9 values of test_")) == (
            0,
            True,
        )
    make("new", None, tmp_path / "again.zip")
    assert json.loads(typed("compare", bundle, tmp_path / "again.zip", "--format", "json")[1])["equal"]
    for format in ("csv", "markdown", "latex", "html"):
        assert "halving/2" in typed("compare", bundle, "new", "--format", format)[1]


def test_a_part_of_it_may_be_trained_anew_first_and_the_rest_later(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_a_cluster: None, typed: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    again = ("run", bundle, "--again", "--store", "new", "--quiet", "--no-report", "--format", "json")
    found = json.loads(typed(*again, "--methods", "halving", "--seeds", "1")[1])
    assert [(run["method"], run["seed"], run["difference"]) for run in found["runs"]] == [("halving", 1, 0)]
    assert (found["equal"], len(found["only_before"])) == (False, 8)
    assert json.loads(typed(*again)[1])["equal"]


def test_what_the_first_run_was_tracked_by_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        STUDY.format(store=tmp_path / "store", data="") + "track: {mlflow: 'http://me:word@tracker:5000'}\n"
    )
    play_to_the_end(dispatching(Study.load(path), environment={"command": COMMAND}))
    hidden = make(str(tmp_path / "store"), None, tmp_path / "b.zip")
    assert "bundled/study.json, study.track.mlflow: home folders or secrets" in hidden
    assert studies_in(str(tmp_path / "b.zip")).track == Track()


def test_two_studies_are_not_two_runs_of_one(bundle: Path, tmp_path: Path, typed: Any) -> None:
    uri = played(tmp_path, ", noise: 2.0")
    code, _, err = typed("compare", bundle, uri)
    assert (code, "which differ in data.noise (None there, 2.0 here)" in err) == (2, True)
    data = store.read(str(bundle))
    elsewhere = {**data.definition, "data": {**data.definition["data"], "root": "/data"}}
    assert repetition(data, replace(data, definition=elsewhere)).equal  # the same data at another place


def test_commands_that_read_stores_read_bundles(bundle: Path, results: str, tmp_path: Path, typed: Any) -> None:
    for command in (("compare",), ("compare", "--format", "csv"), ("importance", "--pairs"), ("compare", "--all")):
        assert typed(command[0], bundle, *command[1:])[:2] == typed(command[0], results, *command[1:])[:2]
    assert typed("export", bundle, tmp_path / "tables")[0] == 0
    assert typed("check", bundle)[1].startswith("study       bundled")
    code, out, err = typed("replay", bundle, "--curves", bundle)
    assert (code, out.splitlines()[0]) == (0, typed("compare", results)[1].splitlines()[0])
    assert "trials answered by their own curve, 0 by the nearest" in err


def test_a_store_on_s3_gives_the_same_bundle(
    results: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Any
) -> None:
    uri = stores.uri("moto", tmp_path, monkeypatch)
    here, there = place(results), place(uri)
    for entry in here.files():
        there.replace(entry.name, here.read(entry.name) or b"")
    code, *_ = typed("bundle", uri, "-o", tmp_path / "b.tar.gz")
    assert (code, (tmp_path / "b.tar.gz").read_bytes()) == (0, bundle.read_bytes())
    assert verify(str(tmp_path / "b.tar.gz")).problems == []
    assert repetition(store.read(uri), store.read(str(bundle))).equal
