"""YAHPO Gym's surrogates: neural networks in ONNX files that answer any configuration of a scenario. Reads files.

As published (yahpo_data): a folder for each scenario with config_space.json, encoding.json and model.onnx, and
global_statistics/instance_target_statistics.csv with the best values that a random search found. Needs onnxruntime, which the
extra `yahpo` brings, and not YAHPO's package. Where the fidelity is an epoch, epochs are the scenario's: those of its lcbench
count one before training and one after it, 52 in all. Where it is the share of the training set, an epoch adds a twentieth.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.benchmarks.yahpo_scenarios import SCENARIOS, SHARES, Scenario
from hpo.replay.sources.table import CurvesError
from hpo.study.space import Choice, Condition, Config, Domain, Float, Int, SearchSpace, Value
from hpo.study.values import digest
from hpo.text import one_line

SPACE, ENCODING, MODEL = "config_space.json", "encoding.json", "model.onnx"
STATISTICS = "global_statistics/instance_target_statistics.csv"
NOTHING = "#na#"  # how the encoding calls a choice that does not exist


class Yahpo:
    """YAHPO's files: the folder yahpo_data, or that of one scenario."""

    def __init__(self, path: Path) -> None:
        inside = [path] if (path / SPACE).exists() else sorted(file.parent for file in path.glob(f"*/{SPACE}"))
        known = [folder for folder in inside if folder.name in SCENARIOS and (folder / MODEL).exists()]
        self._folders = {folder.name: Surrogate(folder) for folder in known}
        if not known:
            raise CurvesError(
                f"{path} must hold {SPACE}, {ENCODING} and {MODEL} of a scenario ({', '.join(SCENARIOS)}), but holds none"
            )

    @cached_property
    def _places(self) -> dict[str, tuple[Surrogate, str]]:
        return {f"{name}/{task}": (one, task) for name, one in self._folders.items() for task in one.tasks}

    def tasks(self) -> Sequence[str]:
        return tuple(self._places)

    def task(self, name: str) -> Task:
        surrogate, task = self._places[name]
        return surrogate.task(name, task)

    def curves(self, name: str, metric: str) -> Curve:
        surrogate, task = self._places[name]
        return surrogate.curves(task, metric)


class Surrogate:
    """One scenario: its space, the encoding of its choices, and its model, which is opened when it is asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.scenario: Scenario = SCENARIOS[folder.name]

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the opened model, which another process opens for itself."""
        return {name: value for name, value in vars(self).items() if name != "_session"}

    @property
    def tasks(self) -> tuple[str, ...]:
        if self.scenario.instance is None:
            return ("CIFAR10",)
        return tuple(str(choice) for choice in self._declared[self.scenario.instance]["choices"])

    def task(self, name: str, task: str) -> Task:
        grows = "an epoch of training" if self.scenario.fidelity == "epoch" else "a twentieth of the training set"
        return Task(name, self.space, self.scenario.metrics, len(self.levels), epoch=grows)

    def curves(self, task: str, metric: str) -> Curve:
        self._check()
        return Curve(self, task, metric, self._best(task, metric))

    def _check(self) -> None:
        """Opens the model and compares the files, so that broken ones are refused before a game begins."""
        inputs = {one.name: one.shape[-1] for one in self._session.get_inputs()}
        wanted = {"x_cat": len(self.scenario.choices), "x_cont": len(self.scenario.numbers)}
        if inputs != wanted:
            raise CurvesError(f"{self._folder / MODEL} must take {wanted}, as YAHPO's models do, but takes {inputs}")
        for name in self.scenario.choices:
            for option in self._declared[name]["choices"]:
                if str(option) not in self._codes.get(name, {}):
                    raise CurvesError(f"{self._folder / ENCODING} must encode {name}={option}, but does not")

    @cached_property
    def space(self) -> SearchSpace:
        """The hyperparameters that a study searches, with their conditions."""
        left_out = {self.scenario.instance, self.scenario.fidelity, *self.scenario.fixed}
        searched = {name: _domain(entry) for name, entry in self._declared.items() if name not in left_out}
        return SearchSpace(searched, _conditions(self._written.get("conditions", ())))

    @cached_property
    def levels(self) -> list[float]:
        """The fidelities of epochs 1, 2, ..."""
        entry = self._declared[self.scenario.fidelity]
        if self.scenario.fidelity == "epoch":
            return [float(epoch) for epoch in range(int(entry["lower"]), int(entry["upper"]) + 1)]
        return [epoch / SHARES for epoch in range(1, SHARES + 1)]

    def predict(self, task: str, config: Config) -> Any:
        """Returns the outputs of all epochs, shape [epochs, outputs]."""
        given: dict[str, Value] = {**config, **self.scenario.fixed}
        if self.scenario.instance is not None:
            given[self.scenario.instance] = task
        choices = [self._codes[name][str(given.get(name, NOTHING))] for name in self.scenario.choices]
        numbers = np.array([[float(given.get(name, 0.0)) for name in self.scenario.numbers]] * len(self.levels))
        numbers[:, self.scenario.numbers.index(self.scenario.fidelity)] = self.levels
        inputs = {
            "x_cat": np.tile(np.array(choices, dtype=np.int32), (len(self.levels), 1)),
            "x_cont": numbers.astype(np.float32),
        }
        predicted = np.asarray(self._session.run(None, inputs)[0], dtype=np.float64)
        if predicted.shape != (len(self.levels), len(self.scenario.outputs)):
            raise CurvesError(
                f"{self._folder / MODEL} must predict {', '.join(self.scenario.outputs)}, but gives {predicted.shape[1:]}"
            )
        return predicted

    @cached_property
    def _written(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self._folder / SPACE).read_text())
        return found

    @cached_property
    def _declared(self) -> dict[str, Mapping[str, Any]]:
        return {entry["name"]: entry for entry in self._written["hyperparameters"]}

    @cached_property
    def _codes(self) -> Mapping[str, Mapping[str, int]]:
        found: Mapping[str, Mapping[str, int]] = json.loads((self._folder / ENCODING).read_text())
        return found

    @cached_property
    def digest(self) -> str:
        found = hashlib.sha256()
        for name in (MODEL, ENCODING, SPACE):
            found.update((self._folder / name).read_bytes())
        return found.hexdigest()

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a curve takes a millisecond
        try:
            return onnxruntime.InferenceSession(
                str(self._folder / MODEL), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library's own classes share no other parent
            raise CurvesError(f"{self._folder / MODEL} must be an ONNX model, but: {one_line(error)}") from None

    def _best(self, task: str, metric: str) -> float:
        statistic = "max" if self.scenario.outputs[metric] == "max" else "min"
        wanted = (metric, statistic, self._folder.name, task)
        path = self._folder.parent / STATISTICS
        if not path.exists():
            return math.nan
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if (row["metric"], row["statistic"], row["scenario"], row["instance"]) == wanted:
                    return float(row["value"])
        return math.nan


@dataclass(frozen=True)
class Curve:
    """A metric of a task as a function of the configuration. See RecordedFunction."""

    surrogate: Surrogate
    task: str
    metric: str
    best: float
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        return f"yahpo's {self.task}"

    @property
    def epochs(self) -> int:
        return len(self.surrogate.levels)

    @property
    def digest(self) -> str:
        return digest([self.surrogate.digest, self.task, self.metric])

    def curve(self, config: Config) -> tuple[list[float], float]:
        """Returns the values of all epochs and the seconds of one."""
        self.surrogate.space.check(config)
        names = list(self.surrogate.scenario.outputs)
        predicted = self.surrogate.predict(self.task, config)
        seconds = max(0.0, float(predicted[-1, names.index(self.surrogate.scenario.seconds)])) / self.epochs
        values: list[float] = predicted[:, names.index(self.metric)].tolist()
        return values, seconds


def _domain(entry: Mapping[str, Any]) -> Domain:
    kind = entry["type"]
    if kind == "categorical":
        return Choice(tuple(entry["choices"]))
    if kind == "uniform_int":
        return Int(int(entry["lower"]), int(entry["upper"]), log=bool(entry["log"]))
    if kind == "uniform_float":
        low, high = (float(f"{entry[end]:.12g}") for end in ("lower", "upper"))  # 999.9999999999998 is 1,000
        return Float(low, high, log=bool(entry["log"]))
    if kind == "constant":
        return Choice((entry["value"],))
    raise CurvesError(
        f"the hyperparameters of config_space.json must be ranges or choices, but {entry['name']} is {kind}"
    )


def _conditions(written: Sequence[Mapping[str, Any]]) -> dict[str, Condition]:
    """Returns the conditions; those of one hyperparameter hold together."""
    found: dict[str, dict[str, tuple[Value, ...]]] = {}
    for condition in written:
        for part in condition["conditions"] if condition["type"] == "AND" else (condition,):
            if part["type"] not in ("EQ", "IN"):
                raise CurvesError(
                    f"the conditions of config_space.json must be EQ, IN or AND, but one is {part['type']}"
                )
            values = (part["value"],) if part["type"] == "EQ" else tuple(part["values"])
            found.setdefault(condition["child"], {})[part["parent"]] = values
    return dict(found)
