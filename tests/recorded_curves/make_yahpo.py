"""Makes tests/recorded_curves/yahpo_data: one scenario in the layout of YAHPO Gym's data, with a surrogate that is a sum.

    python tests/recorded_curves/make_yahpo.py      (needs the package onnx)

The scenario's names and inputs are those of YAHPO Gym; everything else is made up. Its model adds up its inputs, each with a
weight of its own, so that every output tells which inputs reached the model: see WEIGHTS in tests/unit/test_public_benchmarks.py.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "yahpo_data"
TASKS = ["3", "11"]
KERNELS = ["linear", "polynomial", "radial"]
IMPUTE = ["impute.mean", "impute.median", "impute.hist"]
OUTPUTS = 9


def ranged(name: str, low: float, high: float, *, log: bool = False, whole: bool = False) -> dict[str, object]:
    kind = "uniform_int" if whole else "uniform_float"
    return {"name": name, "type": kind, "log": log, "lower": low, "upper": high, "default": high}


def choice(name: str, options: list[str]) -> dict[str, object]:
    return {"name": name, "type": "categorical", "choices": options, "default": options[0], "probabilities": None}


def main() -> None:
    scenario = FOLDER / "rbv2_svm"
    scenario.mkdir(parents=True, exist_ok=True)
    space = {
        "hyperparameters": [
            ranged("cost", 0.0001, 999.9999999999998, log=True),
            choice("kernel", KERNELS),
            choice("num.impute.selected.cpo", IMPUTE),
            ranged("repl", 1, 10, whole=True),
            choice("task_id", TASKS),
            ranged("tolerance", 0.0001, 2.0, log=True),
            ranged("trainsize", 0.03, 1.0),
            ranged("degree", 2, 5, whole=True),
            ranged("gamma", 0.0001, 1000.0, log=True),
        ],
        "conditions": [
            {"child": "degree", "parent": "kernel", "type": "EQ", "value": "polynomial"},
            {"child": "gamma", "parent": "kernel", "type": "IN", "values": ["radial"]},
        ],
        "forbiddens": [],
        "json_format_version": 0.2,
    }
    (scenario / "config_space.json").write_text(json.dumps(space, indent=1))
    codes = {
        name: {"#na#": 0, **{option: i for i, option in enumerate(sorted(options), 1)}}
        for name, options in (("kernel", KERNELS), ("num.impute.selected.cpo", IMPUTE), ("task_id", TASKS))
    }
    (scenario / "encoding.json").write_text(json.dumps(codes))
    weights = 10.0 ** -np.arange(OUTPUTS) * np.arange(1, 10)[:, None]
    nodes = [
        helper.make_node("Cast", ["x_cat"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["x_cont", "codes"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "weights"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sum",
        [
            helper.make_tensor_value_info("x_cat", TensorProto.INT32, ["batch_size", 3]),
            helper.make_tensor_value_info("x_cont", TensorProto.FLOAT, ["batch_size", 6]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", OUTPUTS])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, scenario / "model.onnx")
    statistics = FOLDER / "global_statistics"
    statistics.mkdir(exist_ok=True)
    with (statistics / "instance_target_statistics.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["metric", "statistic", "value", "scenario", "instance"])
        writer.writerows([["acc", "min", 0.25, "rbv2_svm", "3"], ["acc", "max", 99.5, "rbv2_svm", "3"]])


if __name__ == "__main__":
    main()
