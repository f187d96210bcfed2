"""Augmentation presets: altered copies of image batches, drawn from a generator that the caller owns. No global seed.

All draw on the CPU and alter the whole batch on the images' device, and the CPU never waits for a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional
from torchvision.transforms import v2

from trainables.batches import moved
from trainables.errors import BadData
from trainables.policies import Policy

Alter = Callable[[Tensor, Generator], Tensor]


@dataclass(frozen=True)
class Augmentation:
    """A preset. An epoch takes `copies` samples of each image.

    With `copies` of 1, every sample is altered. With more, the first is the original: in an epoch of n * copies
    samples, sample i is copy i // n of image i % n, and copy 0 is not altered.
    """

    name: str
    alter: Alter
    copies: int = 1

    def __call__(self, images: Tensor, generator: Generator, original: Tensor | None = None) -> Tensor:
        """Returns an altered copy of the batch.

        `images` are uint8 [N, 3, S, S] on any device; so is the copy, unless the preset cuts a smaller size from them.
        `original` bool [N] marks the rows to leave unaltered. The draws depend on the generator (on the CPU), N and S alone.
        """
        if not len(images):
            return images
        with torch.autocast(images.device.type, enabled=False):  # places in bfloat16 would be half a pixel off
            altered = self.alter(images, generator)
        if original is None:
            return altered
        return torch.where(moved(original, images.device)[:, None, None, None], images, altered)


def augmentation(preset: str, image_size: int | None = None, crop_scale: float = 0.08) -> Augmentation | None:
    """Returns the preset of that name; None for "none". Raises BadData for an unknown name.

    random_resized_crop makes images of `image_size` px (None: as large as they are) from at least `crop_scale` of the area.
    """
    if preset not in PRESETS:
        raise BadData(f"data.augment must be one of {', '.join(PRESETS)}, but got {preset!r}")
    found = PRESETS[preset]
    if found is None or not isinstance(found.alter, ResizedCrop):
        return found
    return replace(found, alter=ResizedCrop(image_size, crop_scale))


@dataclass(frozen=True)
class ResizedCrop:
    """Cuts a rectangle of `scale` to all of an image's area and of a ratio 3/4 to 4/3 out of it, resizes it, may flip it.

    The draws are torchvision's RandomResizedCrop's: ten tries, the first rectangle that fits, else the whole image; then a
    horizontal flip with probability 1/2.
    """

    size: int | None = None
    scale: float = 0.08

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        count, _, side, _ = images.shape
        width, height = self._rectangles(count, generator)  # as shares of the side, [N]
        x = (torch.rand(count, generator=generator) * 2 - 1) * (1 - width)  # the middle, in -1..1
        y = (torch.rand(count, generator=generator) * 2 - 1) * (1 - height)
        sign = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
        zero = torch.zeros(count)
        theta = torch.stack(
            [torch.stack([width * sign, zero, x], 1), torch.stack([zero, height, y], 1)], 1
        )  # [N, 2, 3]
        shape = [count, 3, self.size or side, self.size or side]
        grid = functional.affine_grid(moved(theta, images.device), shape, align_corners=False)
        cut = functional.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        return cut.round_().to(images.dtype)

    def _rectangles(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        tries = 10
        area = _uniform(count * tries, self.scale, 1, generator).view(count, tries)
        ratio = torch.exp(_uniform(count * tries, -math.log(4 / 3), math.log(4 / 3), generator)).view(count, tries)
        width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
        fits = (width <= 1) & (height <= 1)
        first = fits.float().argmax(1, keepdim=True)  # 0 where none does
        chosen = (torch.where(fits, side, 1).gather(1, first).flatten() for side in (width, height))
        return next(chosen), next(chosen)


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _flip(images: Tensor, generator: Generator, flip: Callable[[Tensor], Tensor]) -> Tensor:
    """Flips each image with probability 1/2."""
    chosen = moved(torch.rand(len(images), generator=generator) < 0.5, images.device)
    return torch.where(chosen[:, None, None, None], flip(images), images)


def _rotate_zoom(images: Tensor, angle: Tensor, zoom: Tensor) -> Tensor:
    """Turns each image by its `angle` [N] in radians and enlarges it by its `zoom` [N]; edges are repeated outwards."""
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    zero = torch.zeros_like(angle)
    theta = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1)  # [N, 2, 3]
    grid = functional.affine_grid(moved(theta, images.device), list(images.shape), align_corners=False)
    turned = functional.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return turned.round_().to(images.dtype)


def _paper001(images: Tensor, generator: Generator) -> Tensor:
    """Rotates by 0..10 degrees, zooms by -10..+10 percent, flips vertically (Wojciuk et al. 2024, Study III)."""
    angle = _uniform(len(images), 0, 10, generator) * (torch.pi / 180)
    zoom = _uniform(len(images), 0.9, 1.1, generator)
    return _flip(_rotate_zoom(images, angle, zoom), generator, v2.functional.vertical_flip)


def _flips_crops(images: Tensor, generator: Generator) -> Tensor:
    """Flips horizontally, and crops the full size from the image padded by an eighth on each side."""
    count, _, height, width = images.shape
    pad = max(1, height // 8)
    padded = functional.pad(images.float(), (pad,) * 4, mode="replicate").to(images.dtype)
    offset = moved(torch.randint(0, 2 * pad + 1, (count, 2), generator=generator), images.device)
    rows = offset[:, :1] + torch.arange(height, device=images.device)  # [N, S]
    columns = offset[:, 1:] + torch.arange(width, device=images.device)
    which = torch.arange(count, device=images.device)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]  # [N, S, S, 3]
    return _flip(cropped.permute(0, 3, 1, 2), generator, v2.functional.horizontal_flip)


RANDAUGMENT = Policy(rounds=2, bin=9, shear=0.3, translation=None, rotation=30.0, factor=0.9, bits=4)
TRIVIALAUGMENT = Policy(rounds=1, bin=None, shear=0.99, translation=32.0, rotation=135.0, factor=0.99, bits=6)

PRESETS: dict[str, Augmentation | None] = {
    "none": None,
    "paper001": Augmentation("paper001", _paper001, copies=4),
    "flips_crops": Augmentation("flips_crops", _flips_crops),
    "random_resized_crop": Augmentation("random_resized_crop", ResizedCrop()),
    "randaugment": Augmentation("randaugment", RANDAUGMENT),
    "trivialaugment": Augmentation("trivialaugment", TRIVIALAUGMENT),
}
