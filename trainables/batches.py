"""Batches: the order of an epoch cut into pieces, and the images of a piece."""

from __future__ import annotations

import torch
from torch import Tensor


def split_batches(order: Tensor, size: int) -> list[Tensor]:
    """Cuts `order` into batches of `size`. A last batch of one joins the one before: batch statistics need two."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def gather(images: Tensor, rows: Tensor) -> Tensor:
    """Returns rows of images [N, 3, S, S] that lie channels last in memory, in the same layout."""
    return images.permute(0, 2, 3, 1).index_select(0, rows.to(images.device)).permute(0, 3, 1, 2)
