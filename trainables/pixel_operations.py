"""The operations of the augmentation policies on many images at once: few kernels, and torchvision's bits on a CPU. Pure.

Each is torchvision.transforms.v2.functional's of the same name, with parameters of each image's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms.v2 import functional

WIDTH = 6  # numbers that describe an image's operation
BLOCK = 4  # images at a time on a CPU, whose caches hold no more; the bits are the same


def alter(images: Tensor, parameters: Tensor, counts: Sequence[int]) -> None:
    """Alters `images` uint8 [N, 3, S, S] in place. They are sorted by kind of operation; `counts` has each KIND's images.

    `parameters` float32 [N, WIDTH] are on the same device. The operations below say which of the numbers they take.
    """
    for operation, (first, last) in zip(KINDS.values(), pairwise(accumulate(counts, initial=0)), strict=True):
        if operation is None or first == last:
            continue
        size = BLOCK if images.device.type == "cpu" else last - first
        for some, values in zip(images[first:last].split(size), parameters[first:last].split(size), strict=True):
            some.copy_(operation(some, values))  # cuts fractions off


def _sample(images: Tensor, values: Tensor) -> Tensor:
    """The nearest pixels at places that the inverse matrix [2, 3] in pixels from the centre gives; black outside."""
    count, size = len(images), images.shape[-1]
    axis = torch.linspace((1.0 - size) * 0.5, (size - 1.0) * 0.5, size, device=images.device)
    square = (size, size)
    places = torch.stack([axis.expand(square), axis[:, None].expand(square), axis.new_ones(1).expand(square)], -1)
    matrices = values.view(count, 2, 3).transpose(1, 2) / axis.new_full((), 0.5 * size)
    grid = places.view(1, size * size, 3).expand(count, -1, -1).bmm(matrices).view(count, size, size, 2)
    return grid_sample(images.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _brighten(images: Tensor, values: Tensor) -> Tensor:
    return (images * _each(values, 0)).clamp_(0, 255)


def _colour(images: Tensor, values: Tensor) -> Tensor:
    return _blend(images, functional.rgb_to_grayscale(images), values)


def _contrast(images: Tensor, values: Tensor) -> Tensor:
    grey, over = functional.rgb_to_grayscale(images).float(), (-3, -2, -1)
    if 255 * grey[0].numel() < 2**24:
        return _blend(images, grey.mean(over, keepdim=True), values)
    # A sum of more bits than float32 has depends on its order: that of an image alone.
    return _blend(images, torch.stack([image.mean(over, keepdim=True) for image in grey]), values)


def _sharpen(images: Tensor, values: Tensor) -> Tensor:
    """Away from the blur of weights 1/13, in the middle 5/13. An edge of one pixel stays.

    The blur is exact, unlike a convolution in TF32. 13 is odd, so no half is rounded.
    """
    pixels = images.float()
    inner = pixels[..., 1:-1, 1:-1]
    rows = (pixels[..., :-2, :] + pixels[..., 1:-1, :]).add_(pixels[..., 2:, :])
    blur = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:]).add_(inner, alpha=4).div_(13).round_()
    inner.copy_(_add(inner, blur.sub_(inner), values))
    return pixels.clamp_(0, 255)


def _blend(images: Tensor, other: Tensor, values: Tensor) -> Tensor:
    """values[:, 0] * images + values[:, 1] * other."""
    return _add(images * _each(values, 0), other, values).clamp_(0, 255)


def _add(pixels: Tensor, other: Tensor, values: Tensor) -> Tensor:
    """pixels + values[:, 1] * other, rounded once as by torchvision's fused addition: float64 holds both exactly."""
    return (other * _each(values, 1).double()).add(pixels).float()


def _posterize(images: Tensor, values: Tensor) -> Tensor:
    """Keeps the bits of the number values[:, 0]."""
    return images & _each(values, 0).to(torch.uint8)


def _solarize(images: Tensor, values: Tensor) -> Tensor:
    """Inverts from the whole number values[:, 0] on."""
    return torch.where(images >= _each(values, 0).to(torch.uint8), ~images, images)


def _autocontrast(images: Tensor, values: Tensor) -> Tensor:
    pixels = images.float()
    least, most = pixels.amin((-2, -1), keepdim=True), pixels.amax((-2, -1), keepdim=True)
    flat = least == most
    scale = (most - least).mul_(1 / 255).masked_fill_(flat, 1)
    return pixels.sub_(least.masked_fill_(flat, 0)).div_(scale).clamp_(0, 255)


def _equalize(images: Tensor, values: Tensor) -> Tensor:
    equalized: Tensor = functional.equalize(images)  # takes whole batches, and does not wait for the device
    return equalized


def _each(values: Tensor, which: int) -> Tensor:
    return values[:, which, None, None, None]


KINDS: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
    "still": None,
    "geometric": _sample,
    "Brightness": _brighten,
    "Color": _colour,
    "Contrast": _contrast,
    "Sharpness": _sharpen,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _autocontrast,
    "Equalize": _equalize,
}
