"""CUDA graphs: work on a GPU that is recorded once for each shape of its inputs, then replayed by a single launch.

A step of fine-tuning is hundreds of small kernels, and a GPU finishes many of them sooner than Python launches the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hpo.text import one_line

log = logging.getLogger(__name__)

Work = Callable[..., None]
"""Takes tensors, and changes others that stay where they are. It must not wait for the GPU."""

Shapes = tuple[tuple[torch.Size, torch.dtype], ...]


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]  # where the graph reads them

    def play(self, given: tuple[Tensor, ...]) -> None:
        for mine, value in zip(self.inputs, given, strict=True):
            mine.copy_(value, non_blocking=True)
        self.graph.replay()


class Recorded:
    """Work that runs as it is at first, which loads kernels and makes the optimizer's state, and is then recorded.

    Each further shape is recorded when it is first seen, and work that cannot be recorded goes on running as it is. All
    recordings of a `pool` share their memory: what the work leaves must lie outside it. To be called on a stream that is
    not the device's default.
    """

    def __init__(self, work: Work, device: torch.device, pool: Pool | None) -> None:
        self._work, self._device, self._pool = work, device, pool
        self._warm = False
        self._recordings: dict[Shapes, _Recording | None] = {}

    def __call__(self, *inputs: Tensor) -> None:
        recording = self._recording(inputs)
        if recording is None:
            self._work(*inputs)
        else:
            recording.play(inputs)

    def _recording(self, inputs: tuple[Tensor, ...]) -> _Recording | None:
        """The recording for inputs of these shapes; None where the work has to run as it is."""
        if self._pool is None or not self._warm:
            self._warm = True
            return None
        shapes = tuple((value.shape, value.dtype) for value in inputs)
        if shapes not in self._recordings:
            self._recordings[shapes] = self._record(inputs)
        return self._recordings[shapes]

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recording | None:
        own = tuple(torch.empty_like(value, device=self._device) for value in inputs)
        graph = torch.cuda.CUDAGraph()
        assert self._pool is not None
        try:
            # Relaxed: kernels that are new to this shape may be loaded meanwhile.
            with torch.cuda.graph(
                graph, self._pool.handle, torch.cuda.current_stream(self._device), capture_error_mode="relaxed"
            ):
                self._work(*own)
        except Exception as error:  # whatever a model's own code, or a library, does that no graph can hold
            log.warning("a step cannot be recorded as a CUDA graph, and runs as it is: %s", one_line(error))
            _end_recording(self._device)
            return None
        return _Recording(graph, own)


def _end_recording(device: torch.device) -> None:
    """Ends a recording that failed: torch's generator draws nothing more until another one has been completed."""
    with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=torch.cuda.current_stream(device)):
        torch.zeros(1, device=device)


class Pool:
    """Memory that recordings share, which are never at work at the same time."""

    def __init__(self) -> None:
        self.handle = torch.cuda.graph_pool_handle()


def pool(device: torch.device, *, wanted: bool = True) -> Pool | None:
    """Returns a pool for recordings on a GPU; None on other devices, or where no recordings are wanted."""
    return Pool() if wanted and device.type == "cuda" else None
