"""Random numbers of an epoch: from the trial's seed and the epoch's number alone, so that epochs can be resumed."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Generator

from trainables.machine import lent_generators


@dataclass(frozen=True)
class Draws:
    """The random numbers of the epoch that follows `epoch` trained ones."""

    seed: int
    epoch: int

    def generator(self, purpose: str, step: int = 0) -> Generator:
        """Returns a new generator, the same for equal arguments."""
        return Generator().manual_seed(self._number(purpose, step))

    def lent(self, device: torch.device) -> AbstractContextManager[None]:
        """Lends torch's global generators to dropout, which knows no others, and restores them afterwards."""
        return lent_generators(device, self._number("dropout"))

    def _number(self, purpose: str, step: int = 0) -> int:
        text = f"{self.seed} {purpose} {self.epoch} {step}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
