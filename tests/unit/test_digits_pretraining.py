"""The committed weights of digits_net: what made them, and that fine-tuning from them beats training from scratch."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from trainables import pretrain_digits
from trainables.digits_net import DigitsNet
from trainables.image_classifier import ImageClassifier

pytestmark = pytest.mark.usefixtures("one_thread")


def accuracy(weights, rate, seed, epochs=3):
    task = {
        "data": {"name": "digits", "train": 120, "validation": 300},
        "model": {"name": "digits_net", "weights": weights},
    }
    config = {"learning_rate": rate, "finetuned_layers": "all", "batch_size": 16, "image_size": 32, "dropout": 0.2}
    model = ImageClassifier(config, task=task, seed=seed, max_epochs=epochs)
    return max(model.train_epoch()["val_accuracy"] for _ in range(epochs))


def test_fine_tuning_beats_training_from_scratch_after_three_epochs():
    tuned = [accuracy("DEFAULT", 0.001, seed) for seed in range(3)]
    scratch = [max(accuracy("none", rate, seed) for rate in (0.001, 0.005)) for seed in range(3)]
    assert min(tuned) > max(scratch) + 0.05, (tuned, scratch)
    assert min(tuned) > 0.8, tuned


def test_the_file_is_small_and_holds_the_backbone_alone():
    assert pretrain_digits.WEIGHTS.stat().st_size < 2_000_000
    state = load_file(pretrain_digits.WEIGHTS)
    wanted = {
        name: value.shape for name, value in DigitsNet().state_dict().items() if not name.startswith("classifier.")
    }
    assert {name: value.shape for name, value in state.items()} == wanted
    assert all(torch.isfinite(value).all() for value in state.values())


def test_the_script_learns_letters_the_same_each_time(tmp_path):
    images, labels = pretrain_digits.letters(pretrain_digits.fonts()[:4])
    assert images.shape == (4 * 52, 1, 32, 32)
    assert torch.bincount(labels).tolist() == [8] * 26
    assert (images.flatten(1).sum(1) > 5).all()
    torch.manual_seed(3)
    one, first = pretrain_digits.pretrain(images, labels, epochs=2, repeats=2)
    torch.manual_seed(4)
    two, second = pretrain_digits.pretrain(images, labels, epochs=2, repeats=2)
    pretrain_digits.save(one, tmp_path / "a" / "one.safetensors")
    pretrain_digits.save(two, tmp_path / "two.safetensors")
    assert first == second
    ours, theirs = load_file(tmp_path / "a" / "one.safetensors"), load_file(tmp_path / "two.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_distorted_letters_look_like_the_digits_do():
    images, _ = pretrain_digits.letters(pretrain_digits.fonts()[:4])
    out = pretrain_digits.distort(images, torch.Generator().manual_seed(0))
    assert out.shape == (208, 3, 32, 32)
    assert 0 <= out.min() < out.max() <= 1
    assert torch.equal(out[:, 0], out[:, 2])
    assert (out.flatten(1).amax(1) > 0.3).all()
