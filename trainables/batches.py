"""What an epoch is fed from, and the batches that it is cut into."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.kept_arrays import Kept
from trainables.network import Boundary


@dataclass(frozen=True)
class Source:
    """What one split is fed from: `rows` [N, ...], images as bytes or kept activations; `section` leads from `boundary`
    to logits.

    `frozen` leads from the rows to the boundary, where the rows are not the boundary's own activations.
    """

    rows: Tensor
    labels: Tensor
    frozen: nn.Module | None
    boundary: Boundary
    section: nn.Module
    kept: Kept | None  # held for as long as its rows are in use


def split_batches(order: Tensor, size: int) -> list[Tensor]:
    """`order` in batches of `size`. A last batch of one image joins the one before: batch statistics need two."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def gather(images: Tensor, rows: Tensor) -> Tensor:
    """The rows of images [N, 3, S, S] that lie channels last in memory, in the same layout."""
    return images.permute(0, 2, 3, 1).index_select(0, rows.to(images.device)).permute(0, 3, 1, 2)
