"""Augmentation presets: drawn from the caller's generator alone, originals left as they are; policies are torchvision's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import v2

from trainables import pixel_operations
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
def test_shape_and_type_stay(name):
    out = augmentation(name)(batch(), seeded())
    assert out.shape == batch().shape
    assert out.dtype == torch.uint8


@pytest.mark.parametrize("name", ALTERING)
def test_nothing_is_read_back_from_the_device(name):
    """A tensor of the device `meta` has no values: whatever reads one or counts with one fails."""
    out = augmentation(name).alter(batch(64).to("meta"), seeded())
    assert out.device.type == "meta"
    assert out.shape == batch(64).shape


@pytest.mark.parametrize("name", ALTERING)
def test_autocast_changes_nothing(name):
    expected = augmentation(name)(batch(12, 64), seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augmentation(name)(batch(12, 64), seeded()), expected)


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


def pictures(kind, count, size, generator):
    """Noise, noise of four levels, smooth pictures, or pictures of which every second is of one colour."""
    noise = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    if kind == "levels":
        return noise // 64 + 100
    if kind == "smooth":
        coarse = noise[:, :, ::8, ::8].float()
        return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear").to(torch.uint8)
    if kind == "flat":
        noise[::2] = noise[::2, :, :1, :1]
    return noise


def one_by_one(policy, images, generator):
    """Torchvision's own policy on each image, drawn from its global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        return torch.stack([policy(image) for image in images])


@pytest.mark.parametrize(
    ("name", "policy"), [("randaugment", v2.RandAugment()), ("trivialaugment", v2.TrivialAugmentWide())]
)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 64),
    size=st.integers(8, 80),
    kind=st.sampled_from(["noise", "levels", "smooth", "flat"]),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    block=st.sampled_from([pixel_operations.BLOCK, 64]),  # as on a CPU, and as on a GPU
)
def test_a_policy_alters_a_batch_as_torchvision_alters_each_image(name, policy, seed, count, size, kind, layout, block):
    images = pictures(kind, count, size, seeded(seed)).contiguous(memory_format=layout)
    before = images.clone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_operations, "BLOCK", block)
        found = augmentation(name)(images, seeded(seed))
    assert torch.equal(found, one_by_one(policy, images, seeded(seed)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("size", [256, 257, 320])  # a mean's sum has up to, and more than 24 bits
def test_the_contrast_of_a_large_image_is_torchvisions(size):
    images = pictures("noise", 24, size, seeded())
    for factor in (0.1, 0.7, 1.27, 1.9):
        values = torch.tensor([[factor, 1 - factor, 0, 0, 0, 0]]).expand(24, -1)
        found = pixel_operations._contrast(images, values).to(torch.uint8)
        expected = torch.stack([v2.functional.adjust_contrast(image, factor) for image in images])
        assert torch.equal(found, expected)


def test_a_batch_takes_few_kernels():
    """On a GPU each takes microseconds to launch, whatever it computes. Image by image, these are 1,200."""
    images, names = pictures("noise", 64, 32, seeded()), []

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if not function.is_view:
                names.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    with pytest.MonkeyPatch.context() as patch, Names():
        patch.setattr(pixel_operations, "BLOCK", 64)
        augmentation("randaugment").alter(images, seeded())
    drawing, room = {"random_", "randint", "rand", "le", "_local_scalar_dense"}, {"empty", "empty_like", "detach"}
    assert len([name for name in names if name not in drawing | room]) < 220
