"""Errors by which a trainable reports why a trial ended, or that the study's input cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.errors import HpoError


class InvalidConfig(HpoError):
    """An impossible configuration: the trial fails with the reason, the study continues."""


class UnknownHyperparameter(InvalidConfig):
    """A configuration with a hyperparameter that the trainable does not have."""


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

    The process ends, and another one trains the trial. A trial whose third process meets the same fault is to blame, and
    fails.
    """


class BadTrainable(HpoError):
    """A trainable that does not exist or is not a class, or a task that is not one."""


class BadStudy(HpoError):
    """A study that cannot work as written, whatever is tried: `location` is the path of keys to the mistake in its file."""

    def __init__(self, location: Sequence[str | int], message: str) -> None:
        super().__init__(location, message)
        self.location = tuple(location)
        self.message = message

    def __str__(self) -> str:
        return self.message


class NotHere(BadStudy):
    """What the study names is missing on this machine, but another may have it: a file, an installed package."""


class BadData(HpoError):
    """The study's data cannot be used; the user must correct the study."""


class BadWeights(BadData):
    """The study's weights cannot be used: they are missing, unreadable, or another model's."""
