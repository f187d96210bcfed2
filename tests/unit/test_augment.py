"""Augmentation presets: drawn from the caller's generator alone, image by image, originals left as they are."""

from __future__ import annotations

import pytest
import torch

from trainables.augment import PRESETS, augmentation
from trainables.errors import BadData

ALTERING = [name for name in PRESETS if name != "none"]


def batch(count=6, size=16):
    """A smooth ramp with a bright corner: every geometric change shows."""
    ramp = torch.arange(size * size).reshape(size, size) * 200 // (size * size)
    images = ramp.to(torch.uint8).expand(count, 3, size, size).clone()
    images[:, 0, :4, :4] = 255
    return images


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ALTERING)
def test_the_generator_decides_and_nothing_else(name):
    preset, images = augmentation(name), batch()
    torch.manual_seed(1)
    first = preset(images, seeded())
    state = torch.get_rng_state()
    assert torch.equal(first, preset(images, seeded()))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, preset(images, seeded(1)))
    assert torch.equal(images, batch())


@pytest.mark.parametrize("name", ALTERING)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shape_type_and_range_stay(name, dtype):
    images = batch() if dtype == torch.uint8 else batch().float() / 255
    out = augmentation(name)(images, seeded())
    assert out.shape == images.shape
    assert out.dtype == dtype
    assert 0 <= out.min() <= out.max() <= (255 if dtype == torch.uint8 else 1)


@pytest.mark.parametrize("name", ALTERING)
def test_images_of_a_batch_are_altered_differently(name):
    out = augmentation(name)(batch(12), seeded())
    assert len(torch.unique(out.flatten(1), dim=0)) > 3


@pytest.mark.parametrize("name", ALTERING)
def test_originals_stay(name):
    original = torch.tensor([True, False] * 6)
    out = augmentation(name)(batch(12), seeded(), original)
    assert torch.equal(out[original], batch(6))
    assert not torch.equal(out[~original], batch(6))


def test_paper001_turns_by_at_most_ten_degrees_and_zooms_by_at_most_ten_percent():
    size = 64
    images = torch.zeros(400, 3, size, size, dtype=torch.uint8)
    images[:, :, 31:33, 52:54] = 255  # a dot right of the centre
    out = augmentation("paper001")(images, seeded()).float()[:, 0]
    axis = torch.arange(size) - (size - 1) / 2
    weight = out / out.sum((1, 2), keepdim=True)
    x, y = (weight * axis).sum((1, 2)), (weight * axis[:, None]).sum((1, 2))
    radius, degrees = torch.hypot(x, y) / 21, torch.rad2deg(torch.atan2(y, x)).abs()
    assert 0.89 < radius.min() < 0.92
    assert 1.08 < radius.max() < 1.11
    assert 9 < degrees.max() < 10.3
    assert (y > 0).any()
    assert (y < 0).any()
    assert augmentation("paper001").copies == 4


def test_none_is_no_augmentation_and_unknown_names_are_refused():
    assert augmentation("none") is None
    with pytest.raises(BadData, match=r"augment must be one of none, paper001, .* but got 'papper001'"):
        augmentation("papper001")


def test_an_empty_batch_passes():
    assert augmentation("paper001")(batch(0), seeded()).shape == (0, 3, 16, 16)
