"""The errors by which a trainable says what ended a trial, or that the study's input cannot be used."""

from __future__ import annotations

from hpo.errors import HpoError


class InvalidConfig(HpoError):
    """An impossible configuration: the trial fails with the reason, the study goes on."""


class Diverged(HpoError, ArithmeticError):
    """The loss became NaN or infinite in `epoch` (1-based)."""

    def __init__(self, epoch: int, metric: str = "loss", value: float = float("nan")) -> None:
        super().__init__(epoch, metric, value)
        self.epoch = epoch
        self.metric = metric
        self.value = value

    def __str__(self) -> str:
        return (
            f"{self.metric} must stay finite, but it became {self.value} in epoch {self.epoch}; lower the learning rate"
        )


class OutOfMemory(HpoError, MemoryError):
    """The configuration needs more host or GPU memory than there is."""


class BadTrainable(HpoError):
    """A trainable that is not there, or is no class."""


class BadData(HpoError):
    """The study's data cannot be used: the user's to put right."""


class BadWeights(BadData):
    """The study's weights cannot be used: missing, unreadable, or of another model."""
