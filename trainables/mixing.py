"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): each sample of a batch is mixed with the one before it. Pure.

One drawn value a batch decides how much is kept of each sample, as in torchvision's MixUp and CutMix. With both, each batch
takes one of the two, with probability 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Mixing:
    """How batches are mixed: the `alpha` of each Beta(alpha, alpha), 0 for never."""

    mixup_alpha: float
    cutmix_alpha: float

    @property
    def name(self) -> str:
        return " and ".join(n for n, alpha in (("mixup", self.mixup_alpha), ("cutmix", self.cutmix_alpha)) if alpha)

    def draw(self, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Returns what is kept of a sample: of each pixel, float32 [size, size], and of its label, a float32 scalar."""
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        cut = self.cutmix_alpha > 0 and (not self.mixup_alpha or rng.random() < 0.5)
        alpha = self.cutmix_alpha if cut else self.mixup_alpha
        share = float(rng.beta(alpha, alpha))
        if not cut:
            return torch.full((size, size), share), torch.tensor(share)
        kept = torch.ones(size, size)
        middle, half = rng.integers(0, size, 2), int(size * 0.5 * (1 - share) ** 0.5)
        top, left = (max(0, int(m) - half) for m in middle)
        bottom, right = (min(size, int(m) + half) for m in middle)
        kept[top:bottom, left:right] = 0
        return kept, kept.mean()


def mixed(own: Tensor, other: Tensor, kept: Tensor) -> Tensor:
    """Returns kept * own + (1 - kept) * other: exactly `own` where `kept` is 1."""
    return torch.lerp(other, own, kept)


def before(batch: Tensor) -> Tensor:
    """Returns, for each row of a global batch, the row that it is mixed with."""
    return batch.roll(1, 0)
