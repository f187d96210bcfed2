"""One trial on two processes is the trial of one process: the same loss, paused and resumed, on CPUs with gloo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from trainables import ranks
from trainables.image_classifier import ImageClassifier
from trainables.parallel import Shard, SharedDropout, share

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
    "the settings of modern fine-tuning and hooks": (
        {
            "data": {**DIGITS, "augment": "random_resized_crop"},
            "model": {"name": "digits_net", "weights": "none", "hooks": "own_hooks:Metrics"},
        },
        {
            "image_size": 16,
            "batch_size": 8,
            "finetuned_layers": "all",
            "optimizer": "sgd",
            "accumulation_steps": 2,
            "mixup_alpha": 0.4,
            "cutmix_alpha": 1.0,
            "ema_decay": 0.8,
            "layer_decay": 0.8,
            "label_smoothing": 0.1,
            "learning_rate": 0.01,
        },
    ),
    "adapters, a hook's loss": (
        {"data": DIGITS, "model": {"name": "digits_net", "hooks": "own_hooks:Squared"}},
        {"image_size": 16, "batch_size": 16, "finetuned_layers": 9, "optimizer": "sgd", "lora_rank": 2},
    ),
    "ridge": (
        {"data": {**DIGITS, "class_weights": "log"}, "model": {"name": "digits_net"}},
        {"image_size": 16, "batch_size": 16, "optimizer": "ridge", "weight_decay": 0.1},
    ),
    "stochastic depth, kept activations": (
        {"data": DIGITS, "model": {"name": "convnext_tiny", "weights": "none"}},
        {"image_size": 32, "batch_size": 16, "finetuned_layers": 6, "optimizer": "sgd", "label_smoothing": 0.1},
    ),
}


def train(rank, port, world, folder):
    """A rank: of each case trains one epoch, saves, loads into a new trainable, trains the others, tests."""
    torch.set_num_threads(1)
    group = ranks.join(rank, world, "127.0.0.1", port)
    found = {}
    for case, (task, config) in CASES.items():
        first, second = (ImageClassifier(config, task=task, seed=0, max_epochs=EPOCHS, group=group) for _ in "ab")
        curve = [first.train_epoch()]
        first.save(folder)
        dist.barrier()
        second.load(folder)
        curve += [second.train_epoch() for _ in range(EPOCHS - 1)]
        found[case] = [curve, second.test()]
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    ranks.leave()


def spawn(function, *arguments):
    """Runs function(rank, port, world, *arguments) in two processes."""
    mp.spawn(function, args=(ranks.free_port(), 2, *arguments), nprocs=2)


@pytest.mark.timeout(300)  # three processes import torch, on two cores at best
def test_two_ranks_train_as_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HPO_ACTIVATIONS_MEMORY", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    spawn(train, str(tmp_path))
    each = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for case, (task, config) in CASES.items():
        alone = ImageClassifier(config, task=task, seed=0, max_epochs=EPOCHS)
        expected = [alone.train_epoch() for _ in range(EPOCHS)]
        tested = alone.test()
        for curve, results in (rank[case] for rank in each):
            for found, wanted in zip(curve, expected, strict=True):
                assert found["loss"] == pytest.approx(wanted["loss"], abs=1e-4)
                assert found["val_loss"] == pytest.approx(wanted["val_loss"], abs=1e-4)
                assert found["accuracy"] == pytest.approx(wanted["accuracy"], abs=1e-6)
            assert results["test_loss"] == pytest.approx(tested["test_loss"], abs=1e-4)
            assert results["confusion"] == tested["confusion"]


NORMS = {  # shape of the global batch, its mean, its type, the tolerance; the second rank of "one image" has no rows
    "images": ((5, 3, 4, 6), 1.0, torch.float64, 1e-10),
    "rows": ((9, 4), -2.0, torch.float64, 1e-10),
    "one image": ((1, 3, 5, 5), 0.5, torch.float64, 1e-10),
    "a large mean": ((16, 3, 16, 16), 1000.0, torch.float32, 2e-3),
    "bfloat16": ((16, 3, 16, 16), 8.0, torch.bfloat16, 0.02),  # 8 bits: of 4, the last is 0.03 and half of it 0.016
}
KINDS = ({"momentum": 0.3}, {"momentum": None}, {"affine": False})


def norm(shape, dtype, arguments):
    torch.manual_seed(1)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    made = kind(shape[1], dtype=torch.promote_types(dtype, torch.float32), **arguments)
    if made.affine:
        nn.init.normal_(made.weight)
        nn.init.normal_(made.bias)
    return made


def batch_and_gradient(shape, mean, dtype):
    generator = torch.Generator().manual_seed(2)
    values, gradient = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in "ab")
    return (values + mean).to(dtype), gradient.to(dtype)


def normalized(made, x, gradient):
    """A batch norm's output, gradients and running statistics after two batches."""
    x = x.detach().clone().requires_grad_()
    made(x.detach() * 0.5)
    out = made(x)
    assert out.dtype == x.dtype
    out.backward(gradient)
    learned = {name: p.grad for name, p in made.named_parameters()}
    return {"out": out.detach(), "x": x.grad, **learned, "mean": made.running_mean, "variance": made.running_var}


def normalize(rank, port, world, folder):
    torch.set_num_threads(1)
    group = ranks.join(rank, world, "127.0.0.1", port)
    found = {}
    for case, (shape, mean, dtype, _) in NORMS.items():
        x, gradient = (tensor[rank::world] for tensor in batch_and_gradient(shape, mean, dtype))
        for i, arguments in enumerate(KINDS):
            shard = Shard(group, total=shape[0])
            made = nn.Sequential(norm(shape, dtype, arguments))
            share(made, shard)
            found[case, i] = normalized(made[0], x, gradient)
    torch.save(found, f"{folder}/{rank}.pt")
    ranks.leave()


@pytest.mark.timeout(300)
def test_batch_normalization_over_two_ranks_is_torchs_over_the_whole_batch(tmp_path):
    spawn(normalize, str(tmp_path))
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for case, (shape, mean, dtype, tolerance) in NORMS.items():
        x, gradient = batch_and_gradient(shape, mean, dtype)
        for i, arguments in enumerate(KINDS):
            # The truth about rounded inputs: in float64, but of what is compared in bfloat16 torch's own result.
            wide = dtype if dtype == torch.bfloat16 else torch.float64
            made = norm(shape, dtype, arguments).to(torch.promote_types(wide, torch.float32))
            expected = normalized(made, x.to(wide), gradient.to(wide))
            for name, wanted in expected.items():
                mine, other = first[case, i][name], second[case, i][name]
                if name in ("out", "x"):
                    found = torch.empty_like(x)
                    found[0::2], found[1::2] = mine, other
                elif name in ("mean", "variance"):
                    found = mine
                    assert torch.equal(mine, other)
                else:  # each rank's share of a parameter's gradient
                    found = mine + other
                assert found.double() == pytest.approx(wanted.double(), rel=tolerance, abs=tolerance), (case, i, name)


def test_batch_normalization_of_one_value_is_refused_as_by_torch():
    shard = Shard()
    shard.world, shard.total = 2, 1
    made = nn.Sequential(nn.BatchNorm1d(3))
    share(made, shard)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        made(torch.zeros(1, 3))


@pytest.mark.parametrize("world", [2, 3])
def test_dropout_of_all_ranks_is_that_of_one_process(world):
    rows = torch.randn(10, 7, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    expected = nn.Dropout(0.4)(rows)
    for rank in range(world):
        shared = SharedDropout(0.4)
        shared.shard = Shard(total=len(rows))
        shared.shard.rank, shared.shard.world = rank, world
        torch.manual_seed(5)
        assert torch.equal(shared(rows[rank::world]), expected[rank::world])
