"""RandAugment and TrivialAugmentWide for whole batches: torchvision's draws, and on a CPU torchvision's bits.

What happens to each image is drawn on the CPU; the images are altered on their device, a kind of operation at a time.
The CPU never waits for the device. The papers: Cubuk et al. 2020, Müller and Hutter 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Generator, Tensor
from torchvision.transforms.functional import _get_inverse_affine_matrix

from trainables import pixel_operations
from trainables.batches import moved
from trainables.pixel_operations import KINDS, WIDTH

OPERATIONS = ("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
              "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize")  # fmt: skip  # in torchvision's order
GEOMETRIC, FACTORS = OPERATIONS[1:6], OPERATIONS[6:10]
SIGNED = GEOMETRIC + FACTORS
KIND = {name: name for name in OPERATIONS} | {"Identity": "still"} | dict.fromkeys(GEOMETRIC, "geometric")
PLACE = {kind: place for place, kind in enumerate(KINDS)}
BINS = 31

Drawn = tuple[str, float]  # an operation and its magnitude


@dataclass(frozen=True)
class Policy:
    """`rounds` operations for each image, each with one of 31 magnitudes: the fixed `bin`, or a drawn one (None).

    The others are the greatest magnitudes: of a shear (a slope), a translation (pixels; None: 150/331 of the side), a
    rotation (degrees), a factor of brightness, colour, contrast or sharpness (from 1), and the bits that Posterize drops.
    """

    rounds: int
    bin: int | None
    shear: float
    translation: float | None
    rotation: float
    factor: float
    bits: int

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns altered copies of `images`, uint8 [N, 3, S, S] on any device; the generator is on the CPU."""
        size = images.shape[-1]
        order, parameters, rounds = _sorted(self.draw(len(images), size, generator), size)
        order, parameters = moved(order, images.device), moved(parameters, images.device)
        images = images.contiguous()  # faster for most operations
        for i, counts in enumerate(rounds):
            images = images.index_select(0, order[i])  # a copy, which may be altered in place
            pixel_operations.alter(images, parameters[i], counts)
        return images.index_select(0, order[-1])

    def draw(self, count: int, size: int, generator: Generator) -> list[tuple[Drawn, ...]]:
        """Returns each round's operations of `count` images of `size` pixels a side."""
        own = Generator().manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        table = _magnitudes(self, size)
        images = [[self._one(table, own) for _ in range(self.rounds)] for _ in range(count)]
        return list(zip(*images, strict=True))

    def _one(self, table: dict[str, list[float]], generator: Generator) -> Drawn:
        name = OPERATIONS[int(torch.randint(len(OPERATIONS), (), generator=generator))]
        if name not in table:
            return name, 0.0
        chosen = int(torch.randint(BINS, (), generator=generator)) if self.bin is None else self.bin
        negative = name in SIGNED and bool(torch.rand((), generator=generator) <= 0.5)
        return name, -table[name][chosen] if negative else table[name][chosen]


@cache
def _magnitudes(policy: Policy, size: int) -> dict[str, list[float]]:
    """The magnitudes of each operation that has any."""
    shift = 150.0 / 331.0 * size if policy.translation is None else policy.translation
    most = {"ShearX": policy.shear, "ShearY": policy.shear, "TranslateX": shift, "TranslateY": shift}
    most |= {"Rotate": policy.rotation} | dict.fromkeys(FACTORS, policy.factor)
    table = {name: torch.linspace(0.0, value, BINS).tolist() for name, value in most.items()}
    table["Posterize"] = (8 - torch.arange(BINS) / ((BINS - 1) / policy.bits)).round().tolist()
    table["Solarize"] = (torch.linspace(1.0, 0.0, BINS).double() * 255.0).float().ceil().tolist()  # whole thresholds
    return table


def _sorted(drawn: list[tuple[Drawn, ...]], size: int) -> tuple[Tensor, Tensor, list[list[int]]]:
    """Returns what the device needs: images sorted by kind of operation, so that those of one kind are neighbours.

    The order int64 [R + 1, N] holds the places of the images before each round, and last the way back. The parameters
    float32 [R, N, WIDTH] and the number of images of each of KINDS are each round's.
    """
    now: Sequence[int] = range(len(drawn[0]))  # which image lies at each place
    order, parameters, rounds = [], [], []
    for operations in drawn:
        kinds = [PLACE[KIND[name]] for name, _ in operations]
        wanted = sorted(now, key=kinds.__getitem__)
        order.append(_places(now, wanted))
        parameters.append([_parameters(*operations[image], size) for image in wanted])
        rounds.append([kinds.count(place) for place in range(len(KINDS))])
        now = wanted
    order.append(_places(now, range(len(now))))
    return torch.tensor(order), torch.tensor(parameters), rounds


def _places(now: Sequence[int], wanted: Sequence[int]) -> list[int]:
    place = {image: i for i, image in enumerate(now)}
    return [place[image] for image in wanted]


def _parameters(name: str, magnitude: float, size: int) -> list[float]:
    """What trainables.pixel_operations needs of one image's operation, filled up to WIDTH numbers."""
    if name in GEOMETRIC:
        return _matrix(name, magnitude, size)
    kept = {"Solarize": [magnitude], "Posterize": [256 - 2 ** (8 - magnitude)]}
    values = kept.get(name, [1.0 + magnitude, -magnitude])
    return values + [0.0] * (WIDTH - len(values))


def _matrix(name: str, magnitude: float, size: int) -> list[float]:
    """The inverse affine matrix [2, 3] in row order, as torchvision computes it: in pixels from the centre."""
    angle, shift, shear, centre = 0.0, [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    axis = int(name.endswith("Y"))
    if name == "Rotate":
        angle = -(magnitude % 360)
    elif name.startswith("Translate"):
        shift[axis] = float(int(magnitude))
    else:
        shear[axis] = math.degrees(math.atan(magnitude))
        centre = [-0.5 * size, -0.5 * size]  # the corner
    return list(_get_inverse_affine_matrix(centre, angle, shift, 1.0, shear))
