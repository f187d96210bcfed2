"""PD1: learning rates and momentum of 24 large training tasks, from mnist to machine translation. Reads files.

As published: pd1_matched_phase1_results.jsonl.gz and pd1_unmatched_phase1_results.jsonl.gz, one training in a line. The pilot
(phase 0) drew from other ranges and is left out. A task is a data set, a model, an activation where it varies, and a batch
size. Each evaluation during training counts as an epoch, so that tasks differ in the lengths of their curves. A training
whose `status` is diverged failed where its curve ends; others that lack their last evaluations just end. `eval_time` counts as
the seconds of an epoch, as in Syne Tune.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.benchmarks.benchmark import Task
from hpo.replay.sources.table import CurvesError, Raw, matrix
from hpo.study.modes import Mode
from hpo.study.space import Float, SearchSpace

SPACE = SearchSpace({
    "lr_initial_value": Float(1e-5, 10.0, log=True),
    "lr_power": Float(0.1, 2.0),
    "lr_decay_steps_factor": Float(0.01, 0.99),
    "one_minus_momentum": Float(1e-3, 1.0, log=True),
})  # fmt: skip
HYPERPARAMETERS = (
    "hps.lr_hparams.initial_value", "hps.lr_hparams.power", "hps.lr_hparams.decay_steps_factor", "hps.opt_hparams.momentum",
)  # fmt: skip
METRICS = {
    "val_error_rate": "valid/error_rate",
    "val_ce_loss": "valid/ce_loss",
    "test_error_rate": "test/error_rate",
    "test_ce_loss": "test/ce_loss",
    "train_error_rate": "train/error_rate",
    "train_ce_loss": "train/ce_loss",
}
PHASE = "pd1_*matched_phase1_results.jsonl*"


@dataclass(frozen=True)
class Training:
    """One training: its configuration in the order of SPACE, its curves by metric, the seconds of an evaluation's epoch."""

    config: Sequence[float]
    curves: Mapping[str, Sequence[float]]
    seconds: float
    diverged: bool


class PD1:
    """PD1's files: the unpacked folder, or one of its .jsonl.gz files."""

    def __init__(self, path: Path) -> None:
        self._files = [path] if path.is_file() else sorted((*path.glob(PHASE), *path.glob(f"pd1/{PHASE}")))
        if not self._files:
            raise CurvesError(f"{path} must hold PD1's results, {PHASE}, but holds none; unpack pd1.tar.gz")

    def tasks(self) -> Sequence[str]:
        return sorted(self._trainings)

    def task(self, name: str) -> Task:
        known = self._trainings[name]
        metrics: dict[str, Mode] = {m: "min" for m in METRICS if any(one.curves.get(m) for one in known)}
        longest = max(len(curve) for one in known for curve in one.curves.values())
        return Task(name, SPACE, metrics, longest, drawn=True, epoch="the steps up to the next evaluation")

    def curves(self, name: str, metric: str) -> Raw:
        known = self._trainings[name]
        values = matrix([one.curves.get(metric, ()) for one in known])
        failed = np.array([one.diverged or not np.isfinite(one.curves.get(metric, ())).all() for one in known])
        seconds = np.array([one.seconds for one in known])
        return Raw(SPACE.names, [one.config for one in known], values, seconds, failed, trials=True)

    @cached_property
    def _trainings(self) -> dict[str, list[Training]]:
        found: dict[str, list[Training]] = {}
        for line in self._lines():
            row = json.loads(line)
            if all(isinstance(row.get(name), int | float) for name in HYPERPARAMETERS):
                found.setdefault(_task(row), []).append(_training(row))
        if not found:
            raise CurvesError(f"{self._files[0]} must hold trainings with {', '.join(HYPERPARAMETERS)}, but holds none")
        return found

    def _lines(self) -> Iterator[str]:
        for file in self._files:
            with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as stream:
                yield from stream


def _task(row: Mapping[str, Any]) -> str:
    parts = (row["dataset"], row["model"], row.get("hps.activation_fn"), f"batch_size_{row['hps.batch_size']}")
    return "_".join(str(part) for part in parts if part)


def _training(row: Mapping[str, Any]) -> Training:
    *config, momentum = (float(row[name]) for name in HYPERPARAMETERS)
    curves = {name: _numbers(row.get(key)) for name, key in METRICS.items()}
    passed = _numbers(row.get("eval_time"))
    seconds = float(np.nanmean(passed)) if np.isfinite(passed).any() else 1.0
    return Training((*config, 1 - momentum), curves, seconds, row.get("status") == "diverged")


def _numbers(values: Any) -> list[float]:
    """Returns a curve as numbers; what a training did not evaluate at its end is left out."""
    found = [np.nan if value is None else float(value) for value in (values if isinstance(values, list) else ())]
    return found[: max((i + 1 for i, value in enumerate(found) if np.isfinite(value)), default=0)]
