"""Boundaries: the places between a model's steps where activations can be kept, and how they lie in memory there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Boundary:
    """A clean cut before the graph's step `position`; the value that crosses it is [N, *shape]. At 0 it is the image.

    `order` names the value's dimensions as they lie in memory, the outermost first. It is a property of the model, and
    every value that crosses the boundary is brought into it, kept or not: kernels differ in rounding between layouts,
    so that a later activation would show from which boundary it was computed.
    """

    position: int
    value: str
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def pack(self, value: Tensor) -> Tensor:
        """Returns the value as rows that can be kept: in memory order, of a NumPy type; on the same device."""
        rows = value.permute(self.order).contiguous()
        # Through one dimension: contiguous() leaves the strides of dimensions of size 1 as they were.
        rows = rows.view(-1).view(rows.shape)
        return rows.view(torch.int16) if rows.dtype == torch.bfloat16 else rows

    def unpack(self, rows: Tensor) -> Tensor:
        """Returns the value that `pack` was given; its strides depend on the shape alone."""
        value = rows.view(torch.bfloat16) if rows.dtype == torch.int16 else rows
        return value.permute([self.order.index(dimension) for dimension in range(value.dim())])

    def settled(self, value: Tensor) -> Tensor:
        """Returns the value as if it had been kept: a copy only where it does not lie in `order`."""
        return self.unpack(self.pack(value))


def order_of(value: Tensor) -> tuple[int, ...]:
    """Returns the dimensions of the value as they lie in memory, the outermost first; rows are always outermost."""
    strides = value.stride()
    return (0, *sorted(range(1, value.dim()), key=lambda dimension: -strides[dimension]))


def on_the_way(boundaries: Sequence[Boundary], start: Boundary, stop: Boundary | None) -> dict[int, Boundary]:
    """Returns the boundaries from `start` to before `stop` by their positions; none without a `stop`."""
    return {b.position: b for b in boundaries if stop and start.position <= b.position < stop.position}
