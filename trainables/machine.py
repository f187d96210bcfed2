"""The device that tensors are computed on, with their precision, memory layout and normalization."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor

from trainables.errors import ProcessFault
from trainables.pretrained import Normalization

DRIVER = Path("/proc/driver/nvidia/version")  # of NVIDIA, where its kernel module is loaded
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
KEPT_FREED = 2**30  # bytes that the C library may keep between two arrays

# cuBLAS reads it when it starts, long before a trial may ask for deterministic algorithms; of two sizes that it takes for
# them, the one that Hopper has anyway.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@dataclass(frozen=True)
class Machine:
    """A device with the layout (channels last or not) and precision (bf16 autocast or float32) of a trial."""

    device: torch.device
    channels_last: bool
    bf16: bool
    normalization: Normalization
    deterministic: bool = False

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

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Runs the block on this process's own stream of a GPU, and by deterministic algorithms where they are asked for.

        Steps cannot be recorded on a GPU's default stream.
        """
        with _deterministic() if self.deterministic else nullcontext():
            if self.device.type != "cuda":
                yield
                return
            caller, own = torch.cuda.current_stream(self.device), _stream(self.device)
            own.wait_stream(caller)
            with torch.cuda.stream(own):
                yield
            caller.wait_stream(own)

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


def chosen_device() -> torch.device:
    """Returns the GPU where this process sees one, else the CPU.

    Raises ProcessFault where CUDA does not start on a machine with a driver, for a process that was given a GPU: it must
    not train on the CPU instead without a word.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if given not in ("", "-1") and DRIVER.exists():
        raise ProcessFault(f"CUDA must start in a process that was given the GPU {given}, but it finds none")
    return torch.device("cpu")


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """This process's stream of a device: one for all its trials, because libraries keep memory for each stream."""
    return torch.cuda.Stream(device)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Lends torch its deterministic algorithms."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    convolutions = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = convolutions


@contextmanager
def lent_generators(device: torch.device, seed: int) -> Iterator[None]:
    """Runs torch's global generators from `seed` until exit, then restores their state."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@cache
def keep_freed_memory() -> None:
    """Lets the C library keep freed memory for the arrays that follow, until `give_back_memory`.

    By default it returns large arrays to the system at once, which has to clear the same pages anew in every step: on a CPU
    that is a quarter to a third of a step's time.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for threshold in (MMAP_THRESHOLD, TRIM_THRESHOLD):
            library.mallopt(threshold, KEPT_FREED)


def give_back_memory() -> None:
    """Returns freed memory to the system, where the C library can: other workers of the node may need it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
