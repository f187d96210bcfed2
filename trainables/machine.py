"""The device that tensors are computed on, with their precision, memory layout and normalization."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from trainables.pretrained import Normalization


@dataclass(frozen=True)
class Machine:
    """A device with the layout (channels last or not) and precision (bf16 autocast or float32) of a trial."""

    device: torch.device
    channels_last: bool
    bf16: bool
    normalization: Normalization

    @property
    def name(self) -> str:
        """The GPU's name, or cpu."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type

    @property
    def chunk(self) -> int:
        """Images in one forward pass without gradients: a constant, so that every process computes the same bits."""
        return 256 if self.device.type == "cuda" else 16

    @property
    def format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift [1, 3, 1, 1] that turn a byte into a normalized value."""
        mean, std = (torch.tensor(v, device=self.device) for v in (self.normalization.mean, self.normalization.std))
        return (1 / (255 * std)).reshape(1, -1, 1, 1), (-mean / std).reshape(1, -1, 1, 1)

    def prepare(self, images: Tensor) -> Tensor:
        """Returns images, uint8 [N, 3, S, S] on any device, as normalized float32 of the same shape on this one."""
        scale, shift = self._affine
        batch = images.to(self.device, non_blocking=True).to(torch.float32, memory_format=self.format)
        return batch.mul_(scale).add_(shift)


@contextmanager
def lent_generators(device: torch.device, seed: int) -> Iterator[None]:
    """Runs torch's global generators from `seed` until exit, then restores their state."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def give_back_memory() -> None:
    """Returns freed memory to the system, where the C library can: other workers of the node may need it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
