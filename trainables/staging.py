"""Rows on their way from the machine's memory to a GPU: gathered into pinned buffers while the GPU computes."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.batches import gather

BUFFERS = 2  # one is read by the GPU's step, the other is filled for its next


class Staging:
    """Pinned buffers used in turn. What `gather` returns is valid until the call after the next."""

    def __init__(self) -> None:
        self._buffers: list[Tensor | None] = [None] * BUFFERS
        self._used = [torch.cuda.Event() for _ in range(BUFFERS)]
        self._turn = 0

    def gather(self, source: Tensor, rows: Tensor) -> Tensor:
        """Returns the rows [N, ...] of `source`, pinned. Waits until the GPU has done what it was given two calls ago."""
        self._used[self._turn].record()  # all that reads the last buffer has been launched by now
        self._turn = (self._turn + 1) % BUFFERS
        self._used[self._turn].synchronize()
        size = len(rows) * source[0].nbytes
        buffer = self._buffers[self._turn]
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[self._turn] = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        return gather(source, rows, buffer[:size])
