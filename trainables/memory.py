"""The memory that this process takes of the device it trains on, so that trials can be packed."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

CONTEXT_BYTES = 600 * 10**6  # CUDA itself takes them of a GPU for each process; its allocator does not count them


class Gpu:
    """The GPU that this process sees first, whichever it uses at the moment."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        properties = cuda.get_device_properties(0)
        self.device = f"gpu-{getattr(properties, 'uuid', os.environ.get('CUDA_VISIBLE_DEVICES', '0'))}"
        self.total = int(properties.total_memory)

    def reset(self) -> None:
        """Restarts `peak` here."""
        self._cuda.reset_peak_memory_stats(0)

    def peak(self) -> int:
        """Returns the most bytes taken since `reset`."""
        return int(self._cuda.max_memory_reserved(0)) + CONTEXT_BYTES

    def release(self) -> None:
        """Returns unused memory to the device."""
        gc.collect()
        self._cuda.empty_cache()


class Cpu:
    """This machine's memory, or the part that its control group allows; the process's resident memory counts."""

    device = "cpu"

    def __init__(self) -> None:
        self.total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        with suppress(OSError, ValueError):
            self.total = min(self.total, int(Path("/sys/fs/cgroup/memory.max").read_text()))

    def reset(self) -> None:
        """Restarts `peak` here, where the kernel allows it."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        """Returns the most bytes taken since `reset`."""
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def release(self) -> None:
        """Returns unused memory to the device."""
        gc.collect()
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def release_unused() -> None:
    """Returns the GPU memory that this process no longer uses; does nothing where CUDA has not started."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def memory() -> Gpu | Cpu:
    """Returns the memory of the device that this process trains on."""
    import torch

    return Gpu(torch.cuda) if torch.cuda.is_available() else Cpu()
