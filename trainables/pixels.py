"""Decoding one picture or array to RGB bytes of a square: orientation, depth, transparency, size. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112  # EXIF's tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TWELVE_BITS = 4095


def pixels(image: Image.Image | NDArray[Any], size: int, *, crop: bool = False) -> NDArray[np.uint8]:
    """Decodes and closes an image; returns uint8 [size, size, 3]: all of it, squeezed, or with `crop` its middle.

    Any mode becomes RGB, transparent pixels become white, and EXIF orientation is applied. Grey images of more than 8
    bits are scaled as `scaled` says. Raises ValueError for values that cannot be scaled; libraries raise what they like.
    """
    with Image.fromarray(as_bytes(image)) if isinstance(image, np.ndarray) else image as opened:
        opened.draft(None, (2 * size, 2 * size))  # a JPEG decodes to the nearest larger eighth: several times faster
        opened.load()
        turn = TURNS.get(_orientation(opened))
        picture = opened.copy() if turn is None else opened.transpose(turn)
    if picture.mode.startswith(("I", "F")):
        picture = Image.fromarray(scaled(np.asarray(picture)))
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    # Box filter first where the image is much larger, then bilinear: antialiased, and fast.
    box = _middle(*picture.size) if crop else None
    shrunk = picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    return np.asarray(shrunk, dtype=np.uint8)


def _orientation(image: Image.Image) -> Any:
    """The EXIF orientation; None where the block cannot be read: the pixels can."""
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # a damaged block makes Pillow raise whatever its parsing meets
        return None


def scaled(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns grey values of more than 8 bits [H, W] as bytes.

    Whole numbers are taken as 16 bits (v // 256); floats as 0..1 where none is larger than 1, else as 0..255. Raises
    ValueError for values outside these ranges, and for whole numbers of 12 bits or fewer, which would become black:
    a file does not tell them from a dark picture of 16 bits.
    """
    low, high = grey.min(), grey.max()
    if np.issubdtype(grey.dtype, np.floating):
        if not (low >= 0 and high <= 255):  # false for NaN too
            raise ValueError(f"an image of floats must lie in 0..1 or 0..255, but got {low:g}..{high:g}")
        return np.asarray((grey * (255 if high <= 1 else 1)).round(), dtype=np.uint8)
    if low < 0 or high > 65535:
        raise ValueError(f"an image of whole numbers must lie in 0..65535, but got {low}..{high}; convert it to 8 bits")
    if 0 < high <= TWELVE_BITS:
        raise ValueError(
            f"an image of 16 bits must have values above {TWELVE_BITS}, but its largest is {high}, as of 12 bits, which "
            "would decode to black; convert it to 8 bits"
        )
    return np.asarray(grey // 256, dtype=np.uint8)


def _middle(width: int, height: int) -> tuple[float, float, float, float]:
    """Left, upper, right and lower edge of the largest square in the middle."""
    side = min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns [H, W], [H, W, 1], [H, W, 3] or [3, H, W] as uint8 [H, W] or [H, W, 3].

    Values are whole numbers in 0..255, floats in 0..1, or booleans. Raises ValueError for others.
    """
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"an image must have shape [H, W] or [H, W, 1 or 3], but got {list(array.shape)}")
    if np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ValueError("an image of floats must lie in [0, 1]")
        array = (array * 255).round()
    elif array.dtype == np.bool_:
        array = array * 255
    elif array.dtype != np.uint8 and not (array.min() >= 0 and array.max() <= 255):
        raise ValueError(f"an image of whole numbers must lie in 0..255, but got {array.min()}..{array.max()}")
    return np.ascontiguousarray(array, dtype=np.uint8)
