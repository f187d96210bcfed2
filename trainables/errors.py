"""Errors by which a trainable reports why a trial ended, or that the study's input cannot be used."""

from __future__ import annotations

from hpo.errors import HpoError


class InvalidConfig(HpoError):
    """An impossible configuration: the trial fails with the reason, the study continues."""


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


class ProcessFault(HpoError, RuntimeError):
    """This process cannot compute any more, through no fault of the configuration: a dead CUDA context, for example.

    The process ends, and another one trains the trial.
    """


class BadTrainable(HpoError):
    """A trainable that does not exist or is not a class, or a task that is not one."""


class BadData(HpoError):
    """The study's data cannot be used; the user must correct the study."""


class BadWeights(BadData):
    """The study's weights cannot be used: they are missing, unreadable, or another model's."""
