"""Activations of a frozen backbone at a boundary, computed once per node and shared by all trials that start there.

Only the part before the first trained layer is kept, in evaluation mode: a fixed function of the images. Activations
are computed in passes of equal size and in equal layouts, kept or not, from whatever earlier boundary: libraries choose
kernels by size and layout, and training would amplify the differences in rounding.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from torch import Tensor, nn

from trainables.boundary import Boundary
from trainables.kept_arrays import Kept, keep, lookup
from trainables.machine import Machine
from trainables.untraced import AnyNetwork

FORMAT = 2  # of kept activations: raise it when other bits are computed
log = logging.getLogger(__name__)


@torch.no_grad()
def frozen_rows(section: nn.Module, stop: Boundary, machine: Machine, batch: Tensor, size: int) -> Tensor:
    """Returns the output of the frozen `section` to `stop` for `batch` [N, ...], packed, `size` rows a pass.

    A smaller last pass is filled up, so that a row's bits depend neither on N nor on the rows beside it.
    """
    found = []
    for part in batch.split(size):
        missing = size - len(part)
        whole = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
        with machine.autocast():
            found.append(stop.pack(section(whole))[: len(part)])
    return found[0] if len(found) == 1 else torch.cat(found)


class Activations:
    """The activations of one frozen backbone for one set of images, uint8 [N, 3, S, S].

    `key` must differ where weights, images, precision or layout differ.
    """

    def __init__(self, network: AnyNetwork, machine: Machine, images: Tensor, key: str) -> None:
        self._network = network
        self._machine = machine
        self._images = images
        self._key = key
        self._last: tuple[Boundary, Boundary, nn.Module] | None = None

    def before(self, boundary: Boundary) -> tuple[Boundary, Kept | None]:
        """Returns the boundary and its activations [N, ...], packed.

        Without room for them, returns the nearest earlier boundary that is kept, or the image's with None.
        """
        image = self._network.boundaries[0]
        if boundary == image or not len(self._images):
            return image, None
        sample = self._rows(image, None, boundary, slice(0, 1), 1)
        dtype = np.dtype(str(sample.dtype).removeprefix("torch."))
        shape = (len(self._images), *sample.shape[1:])
        kept = keep(self._name(boundary), shape, dtype, lambda array: self._fill(boundary, torch.from_numpy(array)))
        if kept is None:
            log.warning(
                "activations at %s are not kept: %d MB exceed the limits",
                boundary.value,
                math.prod(shape) * dtype.itemsize >> 20,
            )
        return (boundary, kept) if kept is not None else self._nearest(boundary)

    def _fill(self, boundary: Boundary, out: Tensor) -> None:
        start, kept = self._nearest(boundary)
        log.info("computing activations of %d images at %s, from %s", len(out), boundary.value, start.value)
        for first in range(0, len(out), self._machine.chunk):
            rows = slice(first, first + self._machine.chunk)
            out[rows] = self._rows(start, kept, boundary, rows, self._machine.chunk)

    def _rows(self, start: Boundary, kept: Kept | None, stop: Boundary, rows: slice, size: int) -> Tensor:
        section = self._section(start, stop)
        if kept is None:
            batch = self._machine.prepare(self._images[rows])
        else:  # a copy: the first step may work in place
            batch = start.unpack(kept.values[rows].clone().to(self._machine.device))
        return frozen_rows(section, stop, self._machine, batch, size)

    def _section(self, start: Boundary, stop: Boundary) -> nn.Module:
        if self._last is None or self._last[:2] != (start, stop):
            self._last = (start, stop, self._network.section(start, stop).eval())
        return self._last[2]

    def _nearest(self, boundary: Boundary) -> tuple[Boundary, Kept | None]:
        """The last boundary before this one that is kept already, or the image's."""
        for earlier in reversed([b for b in self._network.boundaries if 0 < b.position < boundary.position]):
            kept = lookup(self._name(earlier))
            if kept is not None:
                return earlier, kept
        return self._network.boundaries[0], None

    def _name(self, boundary: Boundary) -> str:
        return f"{FORMAT}-{self._key}-{boundary.position}-{boundary.value}"
