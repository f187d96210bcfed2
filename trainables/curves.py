"""Synthetic learning curves: an exact trainable whose epochs cost nothing. Pure but for its naps; no torch, no data.

For trying methods, drivers and clusters: every metric is a function of (configuration, seed, epoch) alone, the same in
every process. The landscape is smooth in the numeric hyperparameters, so that a searcher can learn it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from hpo.errors import HpoError
from hpo.files import write_whole
from hpo.text import nearest, shown
from trainables.checking import values
from trainables.errors import BadData, BadStudy, Diverged, InvalidConfig
from trainables.sections import Data
from trainables.task import Task

CHANCE = 0.1  # accuracy before the first epoch
DECADES = 4.0  # a numeric hyperparameter's effect repeats after so many powers of ten


@dataclass(frozen=True)
class Landscape:
    """The `data` section of a study of curves."""

    landscape: str = "0"  # which one
    noise: float = 1.0  # of the seed and of each epoch, 0 for none
    seconds: float = 0.0  # how long an epoch sleeps, times the configuration's `cost`
    fail: tuple[Mapping[str, Any], ...] = ()  # partial configurations that raise InvalidConfig
    fail_share: float = 0.0  # this share of all configurations raises InvalidConfig too
    diverge_share: float = 0.0  # this share diverges in an epoch between the second and the last

    @classmethod
    def check(cls, data: Mapping[str, Any]) -> None:
        """Raises BadStudy for an unknown key or a number out of range."""
        known = [key.name for key in fields(cls)]
        others = [key.name for key in fields(Data)]  # a study of images that is tried as curves keeps its section
        for name in data:
            if name not in (*known, *others):
                raise BadStudy(("data", name), f"unknown key {shown(name)} in data; {nearest(name, known)}")
        try:
            cls.read(data)
        except BadData as error:
            raise BadStudy(("data", str(error).split()[0]), f"data.{error}") from None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Landscape:
        """Reads the section. Raises BadData for a number out of range."""
        fail = data.get("fail") or ()
        if not isinstance(fail, list | tuple) or not all(isinstance(part, Mapping) for part in fail):
            raise BadData(f"fail must be a list of partial configurations, but got {shown(fail)}")
        return cls(
            str(data.get("landscape", 0)),
            _number(data, "noise", 1.0),
            _number(data, "seconds", 0.0),
            tuple(fail),
            _number(data, "fail_share", 0.0, high=1.0),
            _number(data, "diverge_share", 0.0, high=1.0),
        )


class Curves:
    """Power-law learning curves towards an asymptote that depends on the configuration.

    accuracy(e) = a - (a - 0.1) (1 + e / tau)^-rate; asymptote a, onset tau and rate are drawn from the landscape, so
    that curves cross. Any search space will do. The hyperparameter `cost`, where there is one, is an epoch's price
    in ticks. The study's `data` section holds the fields of `Landscape`.
    """

    def __init__(self, config: Mapping[str, Any], *, task: Mapping[str, Any], seed: int, max_epochs: int) -> None:
        asked = Landscape.read(Task.from_json(task).data)
        self.config = dict(config)
        self.seed = seed
        self.epoch = 0
        self.noise = asked.noise
        self.seconds = asked.seconds * self.epoch_cost(config)
        self._refuse(asked)
        self.asymptote, self.onset, self.rate = _shape(self.config, asked.landscape)
        self.diverges_in = 0
        if max_epochs > 1 and self._draw("diverges", asked.landscape) < asked.diverge_share:
            self.diverges_in = 2 + int(self._draw("in", asked.landscape) * (max_epochs - 1))

    @staticmethod
    def epoch_cost(config: Mapping[str, Any]) -> float:
        """Returns the virtual time of an epoch in ticks: the configuration's `cost`, 1 by default."""
        return _number(config, "cost", 1.0, error=InvalidConfig)

    @staticmethod
    def metrics(task: Task) -> tuple[str, ...]:
        """Returns the names of an epoch's metrics."""
        return ("loss", "accuracy", "val_loss", "val_accuracy")

    @staticmethod
    def check(task: Task, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        """Raises BadStudy for a `cost` that no configuration may have, or an impossible landscape. Any space will do."""
        for place, value in values("cost", space, fixed):
            try:
                Curves.epoch_cost({"cost": value})
            except InvalidConfig as error:
                raise BadStudy(place, str(error)) from None
        Landscape.check(task.data)

    def train_epoch(self) -> dict[str, float]:
        """Returns the next epoch's metrics. Raises Diverged in the epoch in which the configuration diverges."""
        if self.seconds:
            time.sleep(self.seconds)
        if self.epoch + 1 == self.diverges_in:
            raise Diverged(self.epoch + 1)
        self.epoch += 1
        train = self._accuracy("train", bonus=0.4)
        held_out = self._accuracy("validation")
        return {
            "loss": _loss(train),
            "accuracy": train,
            "val_loss": _loss(held_out),
            "val_accuracy": held_out,
        }

    def test(self) -> dict[str, float]:
        """Returns the metrics of the held-out part after the last trained epoch."""
        accuracy = self._accuracy("test")
        return {"test_loss": _loss(accuracy), "test_accuracy": accuracy}

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes curves.json, whole or not at all."""
        write_whole(Path(directory) / "curves.json", json.dumps({"epoch": self.epoch}).encode())

    def load(self, directory: str | os.PathLike[str]) -> None:
        """Continues from the epoch that `save` wrote."""
        self.epoch = int(json.loads((Path(directory) / "curves.json").read_text())["epoch"])

    def _refuse(self, asked: Landscape) -> None:
        for part in asked.fail:
            if all(name in self.config and self.config[name] == value for name, value in part.items()):
                raise InvalidConfig(f"a configuration must not have {dict(part)}, but got {self.config}")
        if self._draw("fails", asked.landscape) < asked.fail_share:
            raise InvalidConfig(f"{self.config} is one of the {asked.fail_share:.0%} of configurations that fail here")

    def _draw(self, *what: object) -> float:
        """A number in [0, 1) that depends on this configuration."""
        return _unit(sorted(self.config.items()), *what)

    def _accuracy(self, split: str, bonus: float = 0.0) -> float:
        top = self.asymptote + bonus * (1 - self.asymptote)  # the training split is learned better than the others
        clean = top - (top - CHANCE) * math.pow(1 + self.epoch / self.onset, -self.rate)
        luck = 0.01 * (2 * self._draw(split, self.seed) - 1)
        jitter = 0.004 * (2 * self._draw(split, self.seed, self.epoch) - 1)
        settled = 1 - math.pow(1 + self.epoch, -0.5)  # no noise before anything is learned
        return round(min(1.0, max(0.0, clean + self.noise * settled * (luck + jitter))), 9)


def _shape(config: Mapping[str, Any], landscape: str) -> tuple[float, float, float]:
    """Returns the curve's asymptote in (0.3, 0.98), onset in epochs, and rate."""
    quality = {name: _quality(name, value, landscape) for name, value in config.items() if name != "cost"}
    total = spread = 0.0
    for name, good in quality.items():
        weight = 0.2 + 0.8 * _unit("weight", landscape, name)
        total, spread = total + weight * good, spread + weight
    for a, b in combinations(sorted(quality), 2):
        weight = 0.3 * _unit("pair", landscape, a, b) / len(quality)
        total, spread = total + weight * quality[a] * quality[b], spread + weight
    good = total / spread if spread else 0.5
    paces = [_quality(name, value, landscape + "/speed") for name, value in config.items() if name != "cost"]
    speed = sum(paces) / len(paces) if paces else 0.5
    return 0.3 + 0.68 * good, 0.3 + 1.7 * (1 - speed), 0.7 + 0.8 * speed


def _quality(name: str, value: Any, landscape: str) -> float:
    """How good a hyperparameter's value is, in [0, 1]: smooth over magnitudes for numbers, a draw for names."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _unit("choice", landscape, name, str(value))
    magnitude = math.asinh(value * 1e4) / math.log(10)  # about log10(value) + 4.3, and smooth through 0
    best = DECADES * _unit("best", landscape, name)
    return 0.5 + 0.5 * math.cos(2 * math.pi * (magnitude - best) / DECADES)


def _loss(accuracy: float) -> float:
    """The cross-entropy of a classifier that is as certain as it is accurate."""
    return round(-math.log(max(accuracy, 1e-4)), 9)


def _unit(*what: object) -> float:
    """Draws a number in [0, 1) by hashing, so that it is the same in every process."""
    text = json.dumps(what, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _number(
    values: Mapping[str, Any], name: str, default: float, *, high: float = math.inf, error: type[HpoError] = BadData
) -> float:
    """Returns `values[name]` as a number in [0, high]; raises `error` for anything else."""
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        bound = f"in [0, {high:g}]" if math.isfinite(high) else ">= 0"
        raise error(f"{name} must be a number {bound}, but got {shown(value)}")
    return float(value)
