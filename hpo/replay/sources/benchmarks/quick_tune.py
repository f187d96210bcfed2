"""Quick-Tune's meta-data: fine-tuning of 24 pretrained models on 86 image data sets. Reads files.

As published: folders micro, mini and extended with args.json ({run: settings}) and a file for each curve, such as
eval_top1.json ({data set: {run: [percentages]}}). Accuracies are given as shares, and seconds are those of training and
evaluating. A setting that is off is -1 or "None", flags are 0 and 1. The space is what the version's runs used: Quick-Tune
chose from lists, and some settings count only beside others. Curves of different lengths just ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.table import CurvesError, Raw, matrix
from hpo.study.modes import Mode
from hpo.study.space import Choice, SearchSpace, Value

VERSIONS = ("micro", "mini", "extended", "zap")
ARGS, TIMES = "args.json", ("train_time.json", "eval_time.json")
CURVES: Mapping[str, tuple[str, Mode, float]] = {
    "val_accuracy": ("eval_top1.json", "max", 0.01),
    "val_top5_accuracy": ("eval_top5.json", "max", 0.01),
    "val_loss": ("eval_loss.json", "min", 1.0),
    "train_loss": ("train_loss.json", "min", 1.0),
}
HYPERPARAMETERS = (
    "model", "opt", "sched", "lr", "batch_size", "pct_to_freeze", "linear_probing", "data_augmentation", "auto_augment",
    "random_augment", "trivial_augment", "ra_magnitude", "ra_num_ops", "mixup", "mixup_prob", "cutmix", "smoothing", "drop",
    "weight_decay", "layer_decay", "momentum", "opt_betas", "clip_grad", "warmup_epochs", "warmup_lr", "decay_epochs",
    "decay_rate", "patience_epochs", "amp", "stoch_norm", "bss_reg", "cotuning_reg", "delta_reg", "sp_reg",
)  # fmt: skip
OFF = -1


class QuickTune:
    """Quick-Tune's files: the folder of one version, or a folder that holds several."""

    def __init__(self, path: Path) -> None:
        inside = {"": path, **{version: path / version for version in VERSIONS}}
        self._versions = {name: Version(folder) for name, folder in inside.items() if (folder / ARGS).exists()}
        if not self._versions:
            raise CurvesError(f"{path} must hold {ARGS}, or a folder such as extended that does, but holds neither")

    def tasks(self) -> Sequence[str]:
        return tuple(self._places)

    def task(self, name: str) -> Task:
        version, dataset = self._places[name]
        return version.task(name, dataset)

    def curves(self, name: str, metric: str) -> Raw:
        version, dataset = self._places[name]
        return version.curves(dataset, metric)

    @cached_property
    def _places(self) -> dict[str, tuple[Version, str]]:
        """The data set behind each task's name: its last part where that is enough, after the version where there are several."""
        found: dict[str, tuple[Version, str]] = {}
        for label, version in self._versions.items():
            ends = [dataset.rpartition("/")[2] for dataset in version.datasets]
            for dataset, end in zip(version.datasets, ends, strict=True):
                short = end if ends.count(end) == 1 else dataset
                found[f"{label}/{short}" if len(self._versions) > 1 else short] = (version, dataset)
        return found


class Version:
    """One version of the meta-data: a folder of runs' settings and of curves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = cache(lambda name: json.loads((folder / name).read_text()))

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        return tuple(self._read(CURVES["val_accuracy"][0]))

    def task(self, name: str, dataset: str) -> Task:
        metrics = {metric: mode for metric, (file, mode, _) in CURVES.items() if (self._folder / file).exists()}
        longest = max(len(curve) for curve in self._read(CURVES["val_accuracy"][0])[dataset].values())
        return Task(name, self.space, metrics, longest, drawn=True, epoch="an epoch of fine-tuning")

    def curves(self, dataset: str, metric: str) -> Raw:
        file, _, unit = CURVES[metric]
        runs = {run: curve for run, curve in self._read(file)[dataset].items() if curve}
        for run in runs:
            if run not in self._args:
                raise CurvesError(
                    f"{self._folder / ARGS} must have the settings of run {run} of {dataset}, but has not"
                )
        values = matrix([_numbers(curve) for curve in runs.values()]) * unit
        names = self.space.names
        rows = [[self._values[name][place] for name in names] for place in map(self._rows.__getitem__, runs)]
        return Raw(names, rows, values, self._seconds(dataset, list(runs)), _broken(values, runs), trials=True)

    @cached_property
    def space(self) -> SearchSpace:
        """What the version's runs used of each hyperparameter; those that never vary are settings of all runs."""
        options = {name: _options(values) for name, values in self._values.items()}
        return SearchSpace({name: Choice(found) for name, found in options.items() if len(found) > 1})

    @cached_property
    def _args(self) -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = self._read(ARGS)
        return found

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {run: place for place, run in enumerate(self._args)}

    @cached_property
    def _values(self) -> dict[str, list[Value]]:
        known = [name for name in HYPERPARAMETERS if any(name in args for args in self._args.values())]
        return {name: _column([args.get(name) for args in self._args.values()]) for name in known}

    def _seconds(self, dataset: str, runs: Sequence[str]) -> Any:
        files = [self._read(name)[dataset] for name in TIMES if (self._folder / name).exists()]
        return np.array([sum(float(np.nanmean(_numbers(file[run]))) for file in files) or 1.0 for run in runs])


def _column(values: Sequence[Any]) -> list[Value]:
    """Returns a hyperparameter's values of all runs: numbers with -1 for those that are off, or texts with "None"."""
    given = [value for value in values if value not in (None, "None")]
    if given and all(isinstance(value, int | float) for value in given):
        whole = all(float(value).is_integer() for value in given)
        numbers = [OFF if value in (None, "None") else value for value in values]
        return [int(number) if whole else float(number) for number in numbers]
    return [str(value) for value in values]


def _options(values: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(sorted(set(values)))  # a column holds numbers or texts, never both


def _numbers(curve: Sequence[Any]) -> list[float]:
    return [np.nan if value is None else float(value) for value in curve]


def _broken(values: Any, runs: Mapping[str, Sequence[Any]]) -> Any:
    """Returns which curves hold a NaN: those trainings failed, the others ended."""
    lengths = np.array([len(curve) for curve in runs.values()])
    return (~np.isfinite(values) & (np.arange(values.shape[1]) < lengths[:, None])).any(axis=1)
