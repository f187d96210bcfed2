"""The image classifier's hyperparameters: typed, bounded, and what they make of an epoch."""

from __future__ import annotations

import pytest
import torch

from trainables.errors import InvalidConfig
from trainables.rates import rate_factor, scheduled
from trainables.settings import Settings, Stage


def test_choices_may_arrive_as_text():
    settings = Settings.of({"finetuned_layers": "18", "batch_size": "64", "learning_rate": "1e-3", "bf16": "true"})
    assert (settings.finetuned_layers, settings.batch_size, settings.learning_rate, settings.bf16) == (
        18,
        64,
        1e-3,
        True,
    )
    assert Settings.of({"finetuned_layers": "all"}).finetuned_layers is None
    assert Settings.of({"batch_size": 16.0}).batch_size == 16
    assert Settings.of({"norm_weight_decay": "none"}).norm_weight_decay is None
    assert Settings.of({"norm_weight_decay": "0"}).norm_weight_decay == 0.0


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InvalidConfig, match="must be known, but got 'learning_rates'; did you mean 'learning_rate'"):
        Settings.of({"learning_rates": 0.1})


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"learning_rate": 0}, "learning_rate must be > 0, but got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be > 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), but got 1.0"),
        ({"batch_size": 0}, "batch_size must be >= 1, but got 0"),
        ({"batch_size": 16.5}, "batch_size must be a whole number, but got 16.5"),
        ({"finetuned_layers": "most"}, "finetuned_layers must be a whole number or all, but got 'most'"),
        ({"finetuned_layers": -1}, "finetuned_layers must be finite and >= 0, but got -1"),
        (
            {"optimizer": "adagrad"},
            "optimizer must be one of adam, adamw, adadelta, rmsprop, sgd, ridge, but got 'adagrad'",
        ),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine, one_cycle"),
        ({"optimizer": "adam", "nesterov": True, "momentum": 0.9}, "nesterov needs optimizer sgd"),
        ({"optimizer": "sgd", "nesterov": True}, "nesterov needs optimizer sgd with momentum > 0"),
        ({"bf16": "perhaps"}, "bf16 must be true or false"),
        ({"weight_decay": float("inf")}, "weight_decay must be finite"),
        ({"norm_weight_decay": "no"}, "norm_weight_decay must be a number or none, but got 'no'"),
        ({"bias_weight_decay": -0.1}, "bias_weight_decay must be finite and >= 0, but got -0.1"),
        ({"layer_decay": 0}, r"layer_decay must be in \(0, 1\], but got 0.0"),
        ({"layer_decay": 1.1}, r"layer_decay must be in \(0, 1\], but got 1.1"),
        ({"crop_scale": 0}, r"crop_scale must be in \(0, 1\]"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\), but got 1.0"),
        ({"accumulation_steps": 0}, "accumulation_steps must be >= 1, but got 0"),
        ({"mixup_alpha": -1}, "mixup_alpha must be finite and >= 0"),
        ({"lora_targets": "linears"}, "lora_targets must be one of all, linear, convolution.*did you mean 'linear'"),
        ({"warmup_epochs": 1, "schedule": "one_cycle"}, "warmup_epochs must be 0 with schedule one_cycle"),
        ({"min_rate_factor": 0.1}, "min_rate_factor must be 0 without schedule cosine, but got 0.1 with constant"),
        ({"lora_rank": 4}, "lora_rank must be 0 where finetuned_layers is 0"),
        ({"lora_rank": 4, "finetuned_layers": 9, "compile": True}, "compile must be false with lora_rank > 0"),
        ({"optimizer": "ridge"}, "needs finetuned_layers 0 and weight_decay > 0, but got 0 and 0.0"),
        ({"optimizer": "ridge", "weight_decay": 1, "finetuned_layers": "all"}, "but got all and 1.0"),
    ],
)
def test_impossible_values_are_refused(config, reason):
    with pytest.raises(InvalidConfig, match=reason):
        Settings.of(config)


def test_bounds_that_still_hold():
    Settings.of(
        {"layer_decay": 1, "crop_scale": 1, "ema_decay": 0.9999, "accumulation_steps": 1, "min_rate_factor": 0.0}
    )
    Settings.of({"optimizer": "ridge", "weight_decay": 1e-9, "lora_rank": 0, "compile": True, "warmup_epochs": 0})
    assert Settings.of({"dropout": 0.0, "batch_size": 1, "finetuned_layers": 0, "momentum": 0.999}).batch_size == 1


def test_two_stages_have_their_own_batch_size_and_rate():
    settings = Settings(finetuned_layers=9, head_epochs=2, head_batch_size=64, head_learning_rate=0.01)
    assert [settings.stage(epoch) for epoch in (2, 3)] == [Stage(0, 64, 0.01), Stage(9, 32, 1e-3)]
    plain = Settings(finetuned_layers=9, head_epochs=1)
    assert plain.stage(1) == Stage(0, 32, 1e-3)


def test_layers_thaw_one_by_one_up_to_the_wanted_number_with_a_falling_rate():
    settings = Settings(finetuned_layers=5, learning_rate=1.0, unfreeze_every=2, unfreeze_rate_factor=0.5)
    stages = [settings.stage(epoch, thaws=(2, 3, 5, 6)) for epoch in range(1, 10)]
    assert [stage.layers for stage in stages] == [0, 0, 2, 2, 3, 3, 5, 5, 5]
    assert [stage.learning_rate for stage in stages] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125]
    after_head = Settings(finetuned_layers=None, head_epochs=1, unfreeze_every=1)
    assert [after_head.stage(epoch, thaws=(2, 3)).layers for epoch in (1, 2, 3, 4)] == [0, 2, 3, 3]


def test_rates_are_those_of_torch():
    steps = 50
    for schedule, make in (
        ("one_cycle", lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, steps + 1, cycle_momentum=False)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps)),
        ("constant", lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
    ):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
        scheduler = make(optimizer)
        for step in range(steps):
            # torch's first phase ends one step early: it counts steps, we count what is trained
            tolerance = 0.08 if schedule == "one_cycle" else 1e-6
            assert scheduled(schedule, step / steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=tolerance)
            optimizer.step()
            scheduler.step()
    assert scheduled("one_cycle", 0.0) == pytest.approx(0.04)
    assert scheduled("one_cycle", 0.3) == pytest.approx(1.0)
    assert scheduled("one_cycle", 1.0) == pytest.approx(4e-6)
    assert scheduled("cosine", 1.0) == pytest.approx(0.0)


@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_warm_up_and_a_cosine_with_a_floor_are_those_of_torchs_schedulers(floor):
    settings = Settings(schedule="cosine", warmup_epochs=2.5, min_rate_factor=floor)
    steps, a_epoch = 40, 4  # 10 epochs
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    rising = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=10)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - 10, eta_min=floor)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [rising, falling], [10])
    for step in range(steps):
        assert rate_factor(settings, step / a_epoch, 10) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-6)
        optimizer.step()
        scheduler.step()
    assert rate_factor(settings, 10, 10) == pytest.approx(floor)
