"""The multilayer perceptron of paper 002 on tables of two features: a whole trainable in one file, and no image task.

Its space is conditional: `units_3` and `activation_3` exist only where `layers` is at least 3 (see the presets
paper002-synthetic-08, -09, -10).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from hpo.text import meant, shown
from trainables import (
    costs,
    tabular,
    uncompiled,  # noqa: F401  # optimizers without a second's import
)
from trainables.checking import check_values, in_section, values_of
from trainables.checkpoint import pack_optimizer, read, unpack_optimizer, write
from trainables.errors import BadStudy, Diverged, InvalidConfig, UnknownHyperparameter
from trainables.measures import confusion, measures
from trainables.sections import Data, Share
from trainables.tabular import Rows, Table
from trainables.task import Task

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": functional.elu,
    "exponential": torch.exp,
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "hinge": functional.multi_margin_loss,
    "squared_error": lambda z, y: functional.mse_loss(torch.softmax(z, 1), functional.one_hot(y, z.shape[1]).float()),
}
DEFAULTS: dict[str, Any] = {
    "layers": 2, "units": 64, "activation": "relu", "dropout": 0.0, "loss": "cross_entropy", "optimizer": "adam",
    "learning_rate": 1e-3, "batch_size": 512,
}  # fmt: skip
_LAYERED = re.compile(r"(units|activation)_([1-9]\d?)")
METRICS = ("loss", "accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Shape:
    """A valid configuration: hidden layers as (units, activation) from the input on, and how they are trained."""

    hidden: tuple[tuple[int, str], ...]
    dropout: float
    loss: str
    optimizer: str
    learning_rate: float
    batch_size: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """Reads a configuration. Raises InvalidConfig for an unknown hyperparameter or an impossible value."""
        known = {**DEFAULTS, **{name: valid(name, value) for name, value in config.items()}}
        layers = known["layers"]
        for name in config:
            layered = _LAYERED.fullmatch(name)
            if layered and int(layered[2]) > layers:
                raise InvalidConfig(f"{name} exists only where layers >= {layered[2]}, but got layers={layers}")
        return cls(
            tuple(
                (known.get(f"units_{k}", known["units"]), known.get(f"activation_{k}", known["activation"]))
                for k in range(1, layers + 1)
            ),
            *(known[name] for name in ("dropout", "loss", "optimizer", "learning_rate", "batch_size")),
        )


class Mlp:
    """Trains on the table that `task.data` describes (see trainables.tabular).

    `config` may hold layers, units_K, activation_K, dropout, loss, optimizer, learning_rate and batch_size.
    """

    def __init__(self, config: Mapping[str, Any], *, task: Mapping[str, Any], seed: int, max_epochs: int) -> None:
        self.shape = Shape.of(config)
        given = Task.from_json(task)
        self.table = _table(Data.read(given.data), 1.0 if given.train_on == "full" else given.train_on)
        self.provenance = {
            "data_digest": self.table.digest, "data_counts": json.dumps(self.table.counts), "device": "cpu",
        }  # fmt: skip
        self.seed, self.epoch = seed, 0
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            sizes = [2, *(units for units, _ in self.shape.hidden), self.table.classes]
            self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.optimizer = OPTIMIZERS[self.shape.optimizer](self.linear.parameters(), lr=self.shape.learning_rate)

    @staticmethod
    @costs.price_alone
    def epoch_cost(config: Mapping[str, Any]) -> float:
        """Returns what an epoch costs, where 1 is one of the default configuration; an impossible one costs 1, too."""
        try:
            return _work(Shape.of(config)) / _work(Shape.of({}))
        except InvalidConfig:
            return 1.0

    @staticmethod
    def metrics(task: Task) -> tuple[str, ...]:
        """Returns the names of an epoch's metrics."""
        return (*METRICS, *(f"val_{name}" for name in METRICS))

    @staticmethod
    def check(task: Task, space: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        """Raises BadStudy for a hyperparameter that no configuration may have, or data that cannot be generated."""
        check_values(space, fixed, valid)
        layers = fixed.get("layers", DEFAULTS["layers"])
        most = (
            max(value for _, value in values_of(("space", "layers"), space["layers"])) if "layers" in space else layers
        )
        for section, names in (("space", space), ("fixed", fixed)):
            for name in names:
                layered = _LAYERED.fullmatch(name)
                if layered and int(layered[2]) > most:
                    message = f"{name} exists only where layers >= {layered[2]}, but layers is at most {most}"
                    raise BadStudy((section, name), message)
        with in_section("data"):
            tabular.sizes(Data.read(task.data))

    def train_epoch(self) -> dict[str, float]:
        """Trains one more epoch; returns loss, accuracy, macro precision, recall and f1, and the same with val_.

        `loss` is the configuration's own; `val_loss`, like `test_loss`, is cross-entropy. Raises Diverged.
        """
        self.epoch += 1
        generator = Generator().manual_seed(self.seed * 1_000_003 + self.epoch)  # order and dropout need no saving
        features, labels = _tensors(self.table.train)
        total, matrix = torch.zeros(()), torch.zeros(self.table.classes, self.table.classes, dtype=torch.int64)
        for rows in torch.randperm(len(labels), generator=generator).split(self.shape.batch_size):
            x, y = features[rows], labels[rows]
            logits = self._logits(x, generator)
            loss = LOSSES[self.shape.loss](logits, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(y)
            matrix += confusion(y, logits.detach().argmax(1), self.table.classes)
        mean = float(total) / len(labels)
        if not math.isfinite(mean):
            raise Diverged(self.epoch, value=mean)
        held_out, _ = self._evaluate(self.table.validation)
        return {"loss": mean, **measures(matrix), **{f"val_{name}": value for name, value in held_out.items()}}

    def test(self) -> dict[str, Any]:
        """Returns test_loss, test_accuracy, ... of the part that no method sees; `confusion` has the true classes as rows."""
        metrics, matrix = self._evaluate(self.table.test)
        return {**{f"test_{name}": value for name, value in metrics.items()}, "confusion": matrix.tolist()}

    def predict(self, features: tabular.Points) -> tabular.Labels:
        """Returns the classes [N] of features [N, 2], for decision surfaces and error rates (trainables.baselines)."""
        with torch.no_grad():
            return np.asarray(self._logits(torch.from_numpy(features)).argmax(1).numpy())

    def save(self, directory: str | Path) -> None:
        """Writes weights, optimizer and epoch, whole or not at all."""
        names = [name for name, _ in self.linear.named_parameters()]
        tensors, values = pack_optimizer(self.optimizer, names)
        state = {f"optimizer/{k}": v for k, v in tensors.items()} | {
            f"model/{k}": v for k, v in self.linear.state_dict().items()
        }
        write(directory, state, {"epoch": self.epoch, "optimizer": values})

    def load(self, directory: str | Path) -> None:
        """Continues from the state that `save` wrote."""
        tensors, values = read(directory)
        self.linear.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model/")})
        state = {k[10:]: v for k, v in tensors.items() if k.startswith("optimizer/")}
        unpack_optimizer(
            self.optimizer, [name for name, _ in self.linear.named_parameters()], state, values["optimizer"]
        )
        self.epoch = int(values["epoch"])

    def _logits(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """The logits [N, K]; with a generator as in training, with dropout drawn from it."""
        keep = 1 - self.shape.dropout
        for layer, (_, activation) in zip(self.linear, self.shape.hidden, strict=False):
            x = ACTIVATIONS[activation](layer(x))
            if generator is not None and keep < 1:
                x = x * (torch.rand(x.shape, generator=generator) < keep) / keep
        logits: Tensor = self.linear[-1](x)
        return logits

    def _evaluate(self, rows: Rows) -> tuple[dict[str, float], Tensor]:
        features, labels = _tensors(rows)
        with torch.no_grad():
            logits = torch.cat([self._logits(part) for part in features.split(65_536)])
            loss = float(functional.cross_entropy(logits, labels))  # whatever is trained: `loss` is a hyperparameter
            if not math.isfinite(loss):
                raise Diverged(self.epoch, "val_loss", loss)
            matrix = confusion(labels, logits.argmax(1), self.table.classes)
        return {"loss": loss, **measures(matrix)}, matrix


def _work(shape: Shape) -> float:
    """Returns the work of an epoch for each row, counted as `trainables.costs` counts, and never measured."""
    sizes = [2, *(units for units, _ in shape.hidden), 2]  # features and classes
    products, numbers = sum(a * b for a, b in pairwise(sizes)), sum(sizes[1:])
    steps = len(sizes) - 1 + len(shape.hidden) * (4 if shape.dropout else 1)  # what dropout does takes three
    moved = costs.MOVED * numbers * steps / (len(sizes) - 1)
    batch = (products + numbers) * costs.OPTIMIZER[shape.optimizer]
    batch += costs.CALL * (costs.CALLS + (1 + costs.BACKWARD) * steps)
    return (3 + costs.VALIDATION) * (products + moved) + batch / shape.batch_size


@lru_cache(maxsize=2)
def _table(data: Data, final: Share | None) -> Table:
    return tabular.load(data, final=final)


def _tensors(rows: Rows) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(rows.features), torch.from_numpy(rows.labels)


def valid(name: str, value: Any) -> Any:
    """Returns a hyperparameter's value as its type. Raises InvalidConfig: the name is unknown, or the value impossible."""
    layered = _LAYERED.fullmatch(name)
    kind = layered[1] if layered else name
    if kind not in DEFAULTS:
        names = ", ".join(sorted(DEFAULTS))
        raise UnknownHyperparameter(
            f"a hyperparameter must be {names} or units_K, activation_K, but got {shown(name)}{meant(name, DEFAULTS)}"
        )
    if kind in CHOICES:
        return _one_of(name, value, CHOICES[kind])
    if kind in ("layers", "units", "batch_size"):
        return _whole(name, value, low=0 if kind == "layers" else 1)
    return _number(name, value, high=1.0 if kind == "dropout" else math.inf)


CHOICES: dict[str, Mapping[str, Any]] = {"activation": ACTIVATIONS, "loss": LOSSES, "optimizer": OPTIMIZERS}


def _whole(name: str, value: Any, low: int) -> int:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value != int(value) or value < low:
        raise InvalidConfig(f"{name} must be a whole number >= {low}, but got {shown(value)}")
    return int(value)


def _number(name: str, value: Any, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < high:
        bound = f"in [0, {high:g})" if math.isfinite(high) else "finite and >= 0"
        raise InvalidConfig(f"{name} must be {bound}, but got {shown(value)}")
    return float(value)


def _one_of(name: str, value: Any, known: Mapping[str, Any]) -> str:
    if str(value) not in known:
        raise InvalidConfig(f"{name} must be one of {', '.join(known)}, but got {shown(value)}{meant(value, known)}")
    return str(value)
