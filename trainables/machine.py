"""Where and in which form tensors are computed: device, precision, memory layout, normalization of images."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from trainables.backbones import Normalization


@dataclass(frozen=True)
class Machine:
    """A device with the layout (channels last or not) and precision (bf16 autocast or float32) of a trial."""

    device: torch.device
    channels_last: bool
    bf16: bool
    normalization: Normalization

    @property
    def name(self) -> str:
        """What computes: the GPU's name, or cpu."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type

    @property
    def chunk(self) -> int:
        """Images in one forward pass without gradients: always the same, so that whoever computes gets the same bits."""
        return 256 if self.device.type == "cuda" else 16

    @property
    def format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift [1, 3, 1, 1] that take a byte to a normalized value."""
        mean, std = (torch.tensor(v, device=self.device) for v in (self.normalization.mean, self.normalization.std))
        return (1 / (255 * std)).reshape(1, -1, 1, 1), (-mean / std).reshape(1, -1, 1, 1)

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 [N, 3, S, S], anywhere -> normalized float32 of the same shape on the device."""
        scale, shift = self._affine
        batch = images.to(self.device, non_blocking=True).to(torch.float32, memory_format=self.format)
        return batch.mul_(scale).add_(shift)

    def pack(self, value: Tensor) -> Tensor:
        """A step's output as rows that can be kept: in memory order, in a type that numpy has; still on the device."""
        rows = value.permute(0, 2, 3, 1) if value.dim() == 4 and self.channels_last else value
        rows = rows.contiguous()
        return rows.view(torch.int16) if rows.dtype == torch.bfloat16 else rows

    def unpack(self, rows: Tensor) -> Tensor:
        """What `pack` was given, on the device."""
        value = rows.view(torch.bfloat16) if rows.dtype == torch.int16 else rows
        value = value.to(self.device, non_blocking=True)
        return value.permute(0, 3, 1, 2) if value.dim() == 4 and self.channels_last else value


class lent_generators:
    """While it is open, torch's global generators run from `seed`; afterwards they are as they were."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self._fork = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        self._seed = seed

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error: object) -> None:
        self._fork.__exit__(*error)


def give_back_memory() -> None:
    """Returns freed memory to the system, where the C library can: other workers of the node may want it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
