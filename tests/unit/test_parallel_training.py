"""One trial on two processes is the trial of one process: the same loss, paused and resumed, on CPUs with gloo."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from trainables.image_classifier import ImageClassifier

EPOCHS = 2
DIGITS = {"name": "digits", "train": 40, "validation": 20, "test": 20}
CASES = {
    "batch statistics, class weights, dropout, augmentation": (
        {
            "data": {**DIGITS, "augment": "flips_crops", "class_weights": "log"},
            "model": {"name": "digits_net", "weights": "none"},
        },
        {
            "image_size": 16,
            "batch_size": 16,
            "finetuned_layers": "all",
            "optimizer": "sgd",
            "momentum": 0.9,
            "clip_norm": 1.0,
            "dropout": 0.3,
        },
    ),
    "stochastic depth, kept activations": (
        {"data": DIGITS, "model": {"name": "convnext_tiny", "weights": "none"}},
        {"image_size": 32, "batch_size": 16, "finetuned_layers": 6, "optimizer": "sgd", "label_smoothing": 0.1},
    ),
}


def train(rank, port, world, folder):
    """A rank: of each case trains one epoch, saves, loads into a new trainable, trains the others, tests."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    found = {}
    for case, (task, config) in CASES.items():
        first, second = (
            ImageClassifier(config, task=task, seed=0, max_epochs=EPOCHS, group=dist.group.WORLD) for _ in "ab"
        )
        curve = [first.train_epoch()]
        first.save(folder)
        dist.barrier()
        second.load(folder)
        curve += [second.train_epoch() for _ in range(EPOCHS - 1)]
        found[case] = [curve, second.test()]
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


@pytest.mark.timeout(300)  # three processes import torch, on two cores at best
def test_two_ranks_train_as_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HPO_ACTIVATIONS_MEMORY", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(train, args=(port, 2, str(tmp_path)), nprocs=2)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for case, (task, config) in CASES.items():
        alone = ImageClassifier(config, task=task, seed=0, max_epochs=EPOCHS)
        expected = [alone.train_epoch() for _ in range(EPOCHS)]
        tested = alone.test()
        for curve, results in (rank[case] for rank in ranks):
            for found, wanted in zip(curve, expected, strict=True):
                assert found["loss"] == pytest.approx(wanted["loss"], abs=1e-4)
                assert found["val_loss"] == pytest.approx(wanted["val_loss"], abs=1e-4)
                assert found["accuracy"] == pytest.approx(wanted["accuracy"], abs=1e-6)
            assert results["test_loss"] == pytest.approx(tested["test_loss"], abs=1e-4)
            assert results["confusion"] == tested["confusion"]
