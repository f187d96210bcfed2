"""The training that all sides of bench_peers run: one trial of the synthetic curves. Imports no other library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainables.curves import Curves

RATES = (1e-4, 0.1)
OPTIMIZERS = ("adam", "sgd", "rmsprop", "adadelta")


def trial(config: dict[str, Any], epochs: int, seconds: float) -> Curves:
    """Returns a trial whose epochs sleep `seconds` each."""
    known = {name: config[name] for name in ("learning_rate", "optimizer")}
    return Curves(known, task={"data": {"seconds": seconds}}, seed=0, max_epochs=epochs)


def accuracies(config: dict[str, Any], epochs: int, seconds: float) -> Iterator[float]:
    """Yields the validation accuracy after each epoch."""
    training = trial(config, epochs, seconds)
    for _ in range(epochs):
        yield training.train_epoch()["val_accuracy"]
