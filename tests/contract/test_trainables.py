"""Every trainable of this project keeps the contract that users' own must keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from trainables.testing import TrainableContract


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One cache for this file's tests, and one thread: results depend on how many."""
    folder = tmp_path_factory.getbasetemp() / "trainables-cache"
    monkeypatch.setenv("HPO_CACHE", str(folder))
    monkeypatch.setenv("HPO_ACTIVATIONS_MEMORY", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield folder
    torch.set_num_threads(threads)


DIGITS = {"name": "digits", "train": 80, "validation": 40, "test": 40}


class TestHeadOnly(TrainableContract):
    path = "image_classifier"
    config = {"learning_rate": 0.01, "batch_size": 16, "image_size": 32, "finetuned_layers": 0}
    task = {"data": DIGITS, "model": {"name": "mobilenet_v2", "weights": "none"}}
    impossible = {"learning_rate": 0.0}


class TestAugmentedMobileNet(TrainableContract):
    path = "image_classifier"
    config = {"optimizer": "rmsprop", "batch_size": 16, "image_size": 32, "finetuned_layers": "20", "dropout": 0.3}
    task = {
        "data": {**DIGITS, "augment": "flips_crops", "class_weights": "log"},
        "model": {"name": "mobilenet_v2", "weights": "none"},
        "early_stopping": {"patience": 2, "metric": "val_loss", "mode": "min"},
    }
    impossible = {"learning_rat": 0.1}


class TestAugmentedShuffleNetInTwoStages(TrainableContract):
    path = "image_classifier"
    config = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "nesterov": True,
        "schedule": "one_cycle",
        "batch_size": 32,
        "image_size": 32,
        "finetuned_layers": 8,
        "head_epochs": 1,
        "unfreeze_every": 1,
        "clip_norm": 1.0,
        "weight_decay": 1e-4,
    }
    task = {"data": {**DIGITS, "augment": "paper001"}, "model": {"name": "shufflenet_v2_x0_5", "weights": "none"}}
    impossible = {"nesterov": True, "momentum": 0.0}


class TestDigitsNetInFolds(TrainableContract):
    path = "image_classifier"
    config = {
        "optimizer": "adadelta",
        "learning_rate": 0.5,
        "batch_size": 16,
        "image_size": 16,
        "finetuned_layers": "all",
    }
    task = {
        "data": {"name": "digits", "folds": 2, "train": 80, "test": 40, "augment": "randaugment"},
        "model": {"name": "digits_net", "weights": "none"},
    }
    impossible = {"optimizer": "adagrad"}


class TestVisionTransformer(TrainableContract):
    path = "image_classifier"
    config = {
        "optimizer": "adamw",
        "batch_size": 32,
        "image_size": 32,
        "finetuned_layers": "all",
        "patch_size": 8,
        "projection_dim": 16,
        "heads": 2,
        "layers": 2,
        "mlp_units": 32,
        "schedule": "cosine",
        "label_smoothing": 0.1,
    }
    task = {"data": DIGITS, "model": {"name": "vit_b_16", "weights": "none"}}
    impossible = {"patch_size": 7}
