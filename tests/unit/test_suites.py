"""Suites: one study over several tasks, replayed into a real store that goes on, verifies and bundles like a live one's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hpo
from hpo import cli, store
from hpo.errors import HpoError, StudyError
from hpo.results.audit import audit
from hpo.storage.place import place
from hpo.store import StoreError, seal
from hpo.study import suite
from hpo.study.study import Study

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "hpo" / "replay" / "recorded" / "paper000.yaml"
CURVES = PAPER.with_suffix(".csv")
MODELS = ["ResNet50", "VGG-16", "Inception", "EfficientNetB0"]
SUITE = """
study: lands
trainable: curves
data: {noise: 0}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
  optimizer: {type: choice, values: [adam, sgd]}
budget: {epochs: 24, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
seeds: [0, 1]
store: out
tasks:
  hills: {data: {landscape: hills}}
  dales: {data: {landscape: dales}, budget: {epochs: 16}}
"""
RECORDED = """
study: recorded
trainable: curves
budget: {epochs: 36, max_epochs: 6}
methods: [random, {asha: {eta: 2}}, tpe]
seeds: [0, 1]
metric: val_accuracy
"""


def ended(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return left.value.code or 0, said.out, said.err


def written(folder: Path, text: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(text)
    return path


def rows(uri: object, study: str, table: str, *order: str) -> list[dict[str, Any]]:
    found = getattr(store.read(str(uri), study), table).to_pylist()
    return sorted(found, key=lambda row: [str(row[name]) for name in order])


def whole(uri: object) -> None:
    """Asserts that every study of the store is sealed, and follows from its epochs."""
    for name in store.studies(str(uri)):
        assert seal.made(place(str(uri)), name)
        assert not store.verify(str(uri), name)
        assert not audit(store.read(str(uri), name))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a suite that was replayed: four models, three methods, seeds 0 and 1."""
    path = tmp_path_factory.mktemp("paper") / "store"
    hpo.replay(hpo.Suite.load(PAPER, MODELS, methods=["grid", "random", "tpe"], seeds=[0, 1]), CURVES, store=path)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curves of two tasks, one configuration with an inactive hyperparameter, one curve that fails, one that just ends."""
    rng, found = np.random.default_rng(0), []
    for task in ("one", "two"):
        for i in range(40):
            sgd = i % 2
            config = {
                "lr": float(10 ** rng.uniform(-4, -1)),
                "optimizer": "sgd" if sgd else "adam",
                "size": 2 ** (i % 4),
            }
            momentum = round(float(rng.uniform(0, 1)), 6) if sgd else None
            top, length = float(rng.uniform(0.5, 1)), {3: 3, 4: 2}.get(i, 6)
            for epoch in range(1, length + 1):
                value = None if (i, epoch) == (3, 3) else top * epoch / (epoch + 1)
                found.append(
                    {
                        "task": task,
                        "epoch": epoch,
                        "val_accuracy": value,
                        "seconds": 1.0 + i,
                        "momentum": momentum,
                        **config,
                    }
                )
    names = ("lr", "optimizer", "size", "momentum")
    columns = {(f"config_{name}" if name in names else name): [row[name] for row in found] for name in found[0]}
    path = tmp_path_factory.mktemp("table") / "curves.parquet"
    pq.write_table(pa.table(columns), path)
    return path


# -- the file -----------------------------------------------------------------------------------------------------


def test_each_task_changes_the_study_and_keeps_the_rest(tmp_path):
    found = suite.load(written(tmp_path, SUITE), kind=Study)
    assert isinstance(found, suite.Suite)
    assert (found.name, list(found.tasks), found.store) == ("lands", ["hills", "dales"], "out")
    hills, dales = found.studies
    assert (hills.study, hills.suite) == ("lands.hills", "lands")
    assert (dict(hills.data), dict(dales.data)) == (
        {"noise": 0, "landscape": "hills"},
        {"noise": 0, "landscape": "dales"},
    )
    assert (hills.budget.epochs, dales.budget.epochs, dales.budget.max_epochs) == (24, 16, 4)
    assert hills.digest != dales.digest
    assert list(suite.load(written(tmp_path, SUITE), kind=Study, tasks=["dales"]).tasks) == ["dales"]


def test_a_study_alone_has_the_definition_that_it_always_had(tmp_path):
    alone = Study.load(written(tmp_path, SUITE.split("tasks:")[0]))
    assert "suite" not in alone.definition
    assert suite.load(written(tmp_path, SUITE), kind=Study).tasks["hills"].definition["suite"] == "lands"


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("{data: {landscape: hills}}", "3", "13:3", "a task must map keys of the study to values, but got 3"),
        ("data: {landscape: hills}", "methods: [tpe]", "13:11", "must leave methods to the whole suite, but 'hills' sets it"),
        ("{data: {landscape: hills}}", "{dta: {}}", "13:11", "unknown key 'dta'; did you mean 'data'?"),
        ("epochs: 16", "epochs: 1", "14:3", "budget.max_epochs <= budget.epochs must hold"),
        ("landscape: dales}, budget: {epochs: 16}", "landscape: dales}, space: {learning_rate: {type: float, low: 2, high: 1}}",
         "14:45", "low <= high must hold"),
        ("low: 1.0e-4", "low: 1", "6:3", "low <= high must hold"),
        ("  dales:", "  hi&lls: {}\n  hi@lls:", "12:1", "must have names that differ in letters and digits, but got 'hi&lls'"),
        ("store: out", "suite: other", "11:1", "a study with tasks is a suite itself"),
        ("tasks:\n  hills: {data: {landscape: hills}}\n  dales: {data: {landscape: dales}, budget: {epochs: 16}}",
         "tasks: []", "12:1", "tasks must name at least one task, but names none"),
        ("tasks:\n  hills: {data: {landscape: hills}}\n  dales: {data: {landscape: dales}, budget: {epochs: 16}}",
         "tasks: [a, a]", "12:1", "tasks must differ"),
        ("tasks:\n  hills: {data: {landscape: hills}}\n  dales: {data: {landscape: dales}, budget: {epochs: 16}}",
         "tasks: [a, b]", "12:1", "tasks must differ in data, model, fixed or trainable to be trained, but 'a' and 'b' do not"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_task_is_told_with_its_place_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, old, new, place, says
):
    monkeypatch.chdir(tmp_path)
    assert old in SUITE
    path = written(tmp_path, SUITE.replace(old, new))
    for command in ("check", "run"):
        code, _, err = ended(capsys, command, path)
        assert (code, says in err) == (2, True), err
        assert f"suite.yaml:{place}: " in err, err
    assert [each.name for each in tmp_path.iterdir()] == ["suite.yaml"]


def test_a_suite_is_no_study_and_an_unknown_task_is_refused(tmp_path, capsys):
    path = written(tmp_path, SUITE)
    with pytest.raises(StudyError, match=r"suite.yaml:12:1: a file with tasks is a suite.*hpo.Suite.load"):
        hpo.Study.load(path)
    code, _, err = ended(capsys, "check", path, "--tasks", "hils")
    assert (code, "did you mean 'hills'?" in err) == (2, True), err
    with pytest.raises(StudyError, match="a suite must have tasks"):
        hpo.Suite.load("digits")


def test_the_plan_of_a_suite_says_what_tasks_share_and_where_they_differ(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = ended(capsys, "check", written(tmp_path, SUITE))
    assert (code, err) == (0, "")
    assert "2: hills, dales" in out
    assert out.count("metric") == 1
    assert "hills: 24 epochs per run" in out
    assert "dales: 16 epochs per run" in out
    assert str(hpo.Suite.load("suite.yaml").check()) == out.rstrip()


def test_a_suite_in_code_is_the_suite_of_its_file(tmp_path):
    study = hpo.Study.load(written(tmp_path, SUITE.split("tasks:")[0]))
    made = hpo.Suite(
        study,
        {
            "hills": {"data": {"landscape": "hills"}},
            "dales": {"data": {"landscape": "dales"}, "budget": {"epochs": 16}},
        },
    )
    read = hpo.Suite.load(written(tmp_path, SUITE))
    assert {t: (s.study, s.digest) for t, s in made.tasks.items()} == {
        t: (s.study, s.digest) for t, s in read.tasks.items()
    }
    with pytest.raises(StudyError, match=r"task 'hills': budget.max_epochs <= budget.epochs must hold"):
        hpo.Suite(study, {"hills": {"budget": {"epochs": 2}}})


# -- replays in a store -------------------------------------------------------------------------------------------


def test_a_replayed_suite_is_a_real_store(paper):
    assert store.studies(str(paper)) == sorted(f"paper000-tables.{model}" for model in MODELS)
    whole(paper)
    for model in MODELS:
        alone = hpo.replay(hpo.Study.load(PAPER, methods=["grid", "random", "tpe"], seeds=[0, 1]), CURVES, task=model)
        there = rows(paper, f"paper000-tables.{model}", "charges", "run", "order")
        mine = sorted(alone.data.charges.to_pylist(), key=lambda row: [str(row["run"]), str(row["order"])])
        assert [(r["run"], r["order"], r["trial"], r["at"], r["value"]) for r in there] == [
            (r["run"], r["order"], r["trial"], r["at"], r["value"]) for r in mine
        ]


def test_a_store_with_one_suite_is_compared_as_tasks(paper, capsys):
    code, out, err = ended(capsys, "compare", paper, "--format", "json")
    assert (code, err) == (0, "")
    assert {run["study"] for run in json.loads(out)["runs"]} == set(store.studies(str(paper)))
    assert ended(capsys, "compare", paper, "--study", "paper000-tables", "--format", "json")[1] == out
    assert ended(capsys, "compare", paper, "--all", "--format", "json")[1] == out
    alone = json.loads(ended(capsys, "compare", paper, "--study", "paper000-tables.VGG-16", "--format", "json")[1])
    assert alone["study"] == "paper000-tables.VGG-16"
    assert ended(capsys, "importance", paper)[0] == 0


def test_a_store_with_something_beside_a_suite_asks_which(tmp_path, capsys):
    for name in ("a", "b"):
        hpo.replay(hpo.Study.load(PAPER, methods=["grid"], seeds=[0], suite=name, study=f"{name}.x"), CURVES, task="VGG-16",
                   store=tmp_path)  # fmt: skip
    code, _, err = ended(capsys, "compare", tmp_path)
    assert (code, "--study must say which study" in err) == (2, True)
    assert ended(capsys, "compare", tmp_path, "--study", "b")[0] == 0


def test_a_bundle_of_a_replay_is_verified_and_replayed_again_but_never_trained(paper, tmp_path, capsys):
    bundle, name = tmp_path / "vgg.tar.gz", "paper000-tables.VGG-16"
    assert ended(capsys, "bundle", paper, "--study", name, "-o", bundle)[0] == 0
    code, out, _ = ended(capsys, "verify", bundle)
    assert (code, "byte by byte" in out) == (0, True)
    code, _, err = ended(capsys, "run", bundle, "--again", "--store", tmp_path / "again")
    assert (code, "was replayed over paper000.csv" in err) == (2, True)
    assert not (tmp_path / "again").exists()
    assert (
        ended(capsys, "replay", bundle, "--curves", CURVES, "--task", "VGG-16", "--store", tmp_path / "again")[0] == 0
    )
    code, out, _ = ended(capsys, "compare", bundle, tmp_path / "again")
    assert "All 6 values of val_accuracy are equal exactly" in out


def test_what_the_store_holds_is_not_played_again_and_more_is_added(tmp_path, capsys):
    words = (
        "replay",
        PAPER,
        "--curves",
        CURVES,
        "--tasks",
        "VGG-16,Inception",
        "--store",
        tmp_path / "s",
        "--processes",
        1,
    )
    assert ended(capsys, *words, "--methods", "grid", "--seeds", "0")[0] == 0
    files = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    code, _, err = ended(capsys, *words, "--methods", "grid", "--seeds", "0")
    assert (code, err.count("the store has all of it")) == (0, 2)
    assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()} == files
    assert ended(capsys, *words, "--methods", "grid,random", "--seeds", "0,1")[0] == 0
    whole(tmp_path / "s")
    assert len(rows(tmp_path / "s", "paper000-tables.VGG-16", "runs")) == 4
    code, _, err = ended(capsys, *words, "--methods", "grid", "--seeds", "0")
    assert (code, err.count("the store has all of it")) == (0, 2)
    whole(tmp_path / "s")


def test_a_command_with_fewer_methods_and_other_seeds_leaves_the_runs_that_are_there(tmp_path):
    for methods, seeds in ((["grid", "random"], [0]), (["random"], [0, 1]), (["grid", "random"], [1])):
        hpo.replay(hpo.Suite.load(PAPER, MODELS[:1], methods=methods, seeds=seeds), CURVES, store=tmp_path / "store")
        whole(tmp_path / "store")
    (name,) = store.studies(str(tmp_path / "store"))
    runs = rows(tmp_path / "store", name, "runs", "run")
    assert [(row["run"], row["status"]) for row in runs] == [
        ("grid/0", "complete"), ("grid/1", "complete"), ("random/0", "complete"), ("random/1", "complete"),
    ]  # fmt: skip


def test_the_number_of_processes_changes_nothing(table, tmp_path):
    path = written(tmp_path, RECORDED)
    for processes in (1, 2):
        found = hpo.replay(
            path, table, tasks="all", space="from-table", store=tmp_path / str(processes), processes=processes
        )
        assert list(found) == ["recorded.one", "recorded.two"]
    memory = hpo.replay(path, table, tasks="all", space="from-table")
    for name in found:
        for what, order in (
            ("charges", ("run", "order")),
            ("trials", ("run", "number")),
            ("runs", ("run",)),
            ("epochs", ("trial", "epoch")),
        ):
            one, two = (rows(tmp_path / str(n), name, what, *order) for n in (1, 2))
            assert one == two
            assert _plain(one) == _plain(getattr(memory[name].data, what).to_pylist())


def _plain(found: list[dict[str, Any]]) -> list[str]:
    return sorted(str(sorted(row.items())) for row in found)


KILLED = """
import os, signal, sys
from hpo import cli
from hpo.store import StudyWriter
add, count = StudyWriter.add, [0]
def dying(self, tables):
    add(self, tables)
    count[0] += 1
    if count[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
StudyWriter.add = dying
cli.main(sys.argv[1:])
"""


def test_a_killed_replay_goes_on_where_it_was(tmp_path, paper, capsys):
    words = ["replay", str(PAPER), "--curves", str(CURVES), "--tasks", ",".join(MODELS), "--methods", "grid,random,tpe",
             "--seeds", "0,1", "--store", str(tmp_path / "s"), "--processes", "1"]  # fmt: skip
    left = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, capture_output=True, timeout=60)
    assert left.returncode == -signal.SIGKILL
    first, second = (f"paper000-tables.{model}" for model in MODELS[:2])
    assert store.studies(str(tmp_path / "s")) == sorted([first, second])
    assert len(rows(tmp_path / "s", second, "runs")) == 3, "one of two seeds"
    code, _, err = ended(capsys, *words)
    assert (code, f"{first}: the store has all of it" in err) == (0, True)
    whole(tmp_path / "s")
    for model in MODELS:
        name = f"paper000-tables.{model}"
        assert rows(tmp_path / "s", name, "charges", "run", "order") == rows(paper, name, "charges", "run", "order")
        assert rows(tmp_path / "s", name, "runs", "run") == rows(paper, name, "runs", "run")


def test_processes_end_with_the_one_that_shares_out_the_parts(tmp_path, table):
    """An interrupt ends them with one sentence; a kill leaves none behind."""
    path = written(tmp_path, RECORDED.replace("seeds: [0, 1]", f"seeds: {list(range(400))}"))
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        words = ["replay", path, "--curves", table, "--tasks", "all", "--space", "from-table", "--store", tmp_path / "s",
                 "--processes", "2"]  # fmt: skip
        running = subprocess.Popen(
            [sys.executable, "-m", "hpo.cli", *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        while not list((tmp_path / "s").glob("*/runs/current.parquet")) or _count(tmp_path / "s") < (
            1 if code == 130 else 30
        ):
            assert running.poll() is None, running.communicate()
        os.kill(running.pid, number)
        _, err = running.communicate(timeout=60)  # until nobody holds its pipes: no process is left
        assert running.returncode == code
        if code == 130:
            assert err.count("hpo: ") == 1
            assert "stopped by SIGINT; what was done is in the store; to continue: hpo replay" in err
            assert "Traceback" not in err


def _count(path: Path) -> int:
    return len({row["seed"] for name in store.studies(str(path)) for row in rows(path, name, "runs")})


def test_trained_and_replayed_results_never_share_a_study(tmp_path, paper, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("replay", PAPER, "--curves", CURVES, "--tasks", "VGG-16", "--methods", "grid,random,tpe", "--seeds", "0,1")
    files = {path: path.read_bytes() for path in paper.rglob("*") if path.is_file()}
    for more in (("--failures", "0.5"), ("--between", "surrogate"), ("--times", "declared")):
        code, _, err = ended(capsys, *words, "--store", paper, *more)
        assert (code, "its curves, --between, --times or weather were others" in err) == (2, True), err
    study = Study.load(PAPER, methods=["grid"], seeds=[0], study="paper000-tables.VGG-16", suite="paper000-tables")
    with pytest.raises(
        StoreError, match=r"were replayed over paper000.csv and are to be trained now; take another store"
    ):
        store.StudyWriter.check(str(paper), study=study.study, definition=study.definition, digest=study.digest)
    code, _, err = ended(capsys, "refine", paper, "--study", "paper000-tables.VGG-16")
    assert (code, "must be refined over recorded curves; name them with --curves" in err) == (2, True)
    assert {path: path.read_bytes() for path in paper.rglob("*") if path.is_file()} == files


def test_a_replayed_winner_is_refined_over_the_curves(tmp_path, capsys):
    hpo.replay(hpo.Suite.load(PAPER, ["ResNet50"], methods=["grid", "random"], seeds=[0]), CURVES, store=tmp_path)
    words = ("refine", tmp_path, "--curves", CURVES, "--task", "ResNet50", "--format", "json", "--seeds", "0")
    code, out, err = ended(capsys, *words)
    assert code == 0, err
    refined = json.loads(out)
    assert refined["changes"]
    assert all(change["gain"] <= 0 for change in refined["changes"]), "grid search found the best of all"
    suites = [store.read(str(tmp_path), name).definition.get("suite") for name in store.studies(str(tmp_path))]
    assert suites == ["paper000-tables", None], "the refinement of a task is no task"
    whole(tmp_path)


@pytest.mark.parametrize("weather", [{"failures": 0.3}, {"preemptions": 0.3, "stragglers": 0.5}])
def test_a_replay_in_rough_weather_adds_up(table, tmp_path, weather):
    path = written(tmp_path, RECORDED)
    hpo.replay(
        path, table, tasks=["one"], space="from-table", store=tmp_path / "s", weather=hpo.replay.Weather(**weather)
    )
    whole(tmp_path / "s")
    data = store.read(str(tmp_path / "s"), "recorded.one")
    assert data.failures.num_rows > (0 if "failures" in weather else -1)
    assert (max(data.epochs["attempt"].to_pylist()) > 0) == ("preemptions" in weather)


def test_a_live_store_is_replayed_into_another_that_decides_the_same(tmp_path):
    from without_ray import dispatching, play_to_the_end

    study = hpo.Study.load(written(tmp_path, SUITE.split("tasks:")[0] + "early_stopping: {patience: 1}\n"))
    live = study.stored_in(tmp_path / "live")
    play_to_the_end(dispatching(live))
    found = hpo.replay(live, tmp_path / "live", store=tmp_path / "again")
    whole(tmp_path / "again")
    live_rows = rows(tmp_path / "live", "lands", "charges", "run", "order")
    assert [
        (r["run"], r["trial"], r["epoch"], r["value"]) for r in rows(found.store, "lands", "charges", "run", "order")
    ] == [(r["run"], r["trial"], r["epoch"], r["value"]) for r in live_rows]
    ends = {(r["trial"], r["epoch"]) for r in rows(tmp_path / "live", "lands", "epochs") if r["ended"]}
    assert {(r["trial"], r["epoch"]) for r in rows(found.store, "lands", "epochs") if r["ended"]} == ends


# -- a space from a table -----------------------------------------------------------------------------------------


def test_a_tables_configurations_are_candidates_and_answered_exactly(table, tmp_path, capsys):
    words = (
        "replay",
        written(tmp_path, RECORDED),
        "--curves",
        table,
        "--space",
        "from-table",
        "--store",
        tmp_path / "s",
    )
    code, _, err = ended(capsys, *words, "--tasks", "all")
    assert code == 0, err
    assert err.count("0 by the nearest recorded configuration") == 2
    assert "warning: one: 1 of the 40 recorded curves end before epoch 6 and did not fail" in err
    data = store.read(str(tmp_path / "s"), "recorded.one")
    space = data.definition["space"]
    assert space["momentum"]["if"] == {"optimizer": ["sgd"]}
    assert space["size"] == {"type": "choice", "values": [1, 2, 4, 8]}
    assert (space["lr"]["type"], space["lr"]["log"], len(space["candidates"])) == ("float", True, 40)
    random = [row["trial"] for row in data.trials.to_pylist() if row["run"] == "random/0"]
    assert len(random) == len(set(random))
    whole(tmp_path / "s")
    code, _, err = ended(capsys, *words, "--tasks", "one")
    assert (code, "recorded.one: the store has all of it" in err) == (0, True), "whichever tasks are asked for"


def test_a_study_file_may_take_its_space_from_the_table(table, tmp_path, capsys):
    path = written(
        tmp_path, RECORDED + "space: {candidates: from-table, size: {type: int, low: 1, high: 16, log: true}}\n"
    )
    code, out, err = ended(capsys, "replay", path, "--curves", table, "--task", "two", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["study"] == "recorded"
    assert "0 by the nearest recorded configuration" in err
    for command in ("check", "run"):
        code, _, err = ended(capsys, command, path)
        assert (code, "only `hpo replay --curves` has" in err) == (2, True)


def test_what_a_space_cannot_be_taken_from_is_refused(table, tmp_path, capsys, paper):
    path = written(tmp_path, RECORDED)
    for curves, more, says in (
        (paper, (), "needs a file of recorded curves"),
        (table, (), "--task must name one of"),
        (table, ("--task", "thre"), "but got 'thre'; valid: one, two"),
        (table, ("--tasks", "one,thre"), "--task must name one of"),
        (table, ("--task", "one", "--tasks", "two"), "give one of them"),
        (table, ("--tasks", "all", "--sweep", "workers=1"), "leave --tasks and --store out"),
    ):
        code, _, err = ended(capsys, "replay", path, "--curves", curves, "--space", "from-table", *more)
        assert (code, says in err) == (2, True), (more, err)
    holes = pq.read_table(table).to_pylist()
    for row in holes:
        row["config_momentum"] = None if row["config_lr"] > 0.01 else row["config_momentum"]
    pq.write_table(pa.Table.from_pylist(holes), tmp_path / "holes.parquet")
    code, _, err = ended(
        capsys, "replay", path, "--curves", tmp_path / "holes.parquet", "--task", "one", "--space", "from-table"
    )
    assert (code, "describe the space in the study file" in err) == (2, True), err
    with pytest.raises(HpoError, match="need a study file"):
        hpo.replay(hpo.Study.load("digits"), table, space="from-table")


# -- Python -------------------------------------------------------------------------------------------------------


def test_results_of_a_suite_compare_its_tasks(paper):
    found = hpo.replay(
        hpo.Suite.load(PAPER, MODELS, methods=["grid", "random", "tpe"], seeds=[0, 1]), CURVES, store=paper
    )
    assert found["VGG-16"].name == found["paper000-tables.VGG-16"].name == "paper000-tables.VGG-16"
    assert found.compare().to_json() == hpo.replay(
        hpo.Suite.load(PAPER, MODELS, methods=["grid", "random", "tpe"], seeds=[0, 1]), CURVES
    ).compare().to_json()  # fmt: skip
    with pytest.raises(StoreError, match="did you mean 'VGG-16'"):
        found["VGG16"]
