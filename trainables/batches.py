"""Batches: the order of an epoch cut into pieces, the images of a piece, and their way to the device."""

from __future__ import annotations

import torch
from torch import Tensor


def split_batches(order: Tensor, size: int) -> list[Tensor]:
    """Cuts `order` into batches of `size`. A last batch of one joins the one before: batch statistics need two."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def gather(source: Tensor, rows: Tensor, buffer: Tensor | None = None) -> Tensor:
    """Returns rows of the source in its own layout: images [N, 3, S, S] that lie channels last in memory, or others.

    With a `buffer` of bytes, of the rows' size, they are written there.
    """
    images = source.dtype == torch.uint8
    whole = source.permute(0, 2, 3, 1) if images else source
    out = None if buffer is None else buffer.view(source.dtype).view(len(rows), *whole.shape[1:])
    found = torch.index_select(whole, 0, rows.to(source.device), out=out)
    return found.permute(0, 3, 1, 2) if images else found


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Returns the tensor on the device. The CPU does not wait for a GPU's copy: it goes through pinned memory."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()  # torch keeps it until the copy is done
    return tensor.to(device, non_blocking=True)
