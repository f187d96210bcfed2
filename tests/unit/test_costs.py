"""What image_classifier's epochs cost: counted from the graph, the same on every machine, without torch in the caller."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from hpo.study.space import Choice, Int
from trainables import (
    costs,
    counting,  # noqa: F401  # with torch in this process, no model is counted in one of its own
)
from trainables.image_check import Declared
from trainables.task import Task

SIZES = {"image_size": Choice((32, 48, 64))}


def task(model: str = "digits_net", **data: object) -> Task:
    sections = {"data": {"name": "digits", **data}, "model": {"name": model, "weights": "none"}}
    return Task.from_json({"trainable": "image_classifier", **sections})


def cost(given: Task, space=SIZES, **config: object) -> float:
    return Declared.epoch_cost({"image_size": 64, "finetuned_layers": "all", **config}, task=given, space=space)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    costs._counted.cache_clear()


def test_one_is_an_epoch_of_the_whole_network_at_the_largest_size():
    for config in ({}, {"optimizer": "sgd"}, {"batch_size": 4}):
        assert cost(task(), **config) == 1
    assert cost(task(), {}, image_size=48) == 1, "a size that is fixed is the largest"


@pytest.mark.parametrize("model", ["digits_net", "squeezenet1_1"])
def test_more_layers_more_pixels_and_smaller_batches_cost_more(model):
    given = task(model)
    by_cut = [cost(given, finetuned_layers=layers) for layers in (0, 2, 4, 6, "all")]
    assert by_cut == sorted(by_cut)
    assert 0 < by_cut[0] < 0.2 < by_cut[-1] == 1
    by_size = [cost(given, image_size=size) for size in (32, 48, 64)]
    assert by_size == sorted(by_size)
    assert by_size[0] == pytest.approx(0.25, abs=0.15)
    whole = cost(given, finetuned_layers=2, batch_size=32)
    assert whole < cost(given, finetuned_layers=2, batch_size=2)


def test_what_is_not_kept_is_computed_again_in_every_epoch():
    kept = cost(task(), finetuned_layers=0)
    assert cost(task(), finetuned_layers=0, reuse_activations=False) > 3 * kept
    assert cost(task(augment="flips_crops"), finetuned_layers=0) > 3 * kept
    assert cost(task(), reuse_activations=False) == 1, "nothing lies below the image"


def test_what_differs_in_every_epoch_is_not_kept():
    kept = cost(task(), finetuned_layers=0)
    for name in ("mixup_alpha", "cutmix_alpha"):
        assert cost(task(), finetuned_layers=0, **{name: 0.2}) > 3 * kept
    assert cost(task(augment="random_resized_crop"), finetuned_layers=0) > 3 * kept
    sections = {"data": {"name": "digits"}, "model": {"name": "digits_net", "weights": "none"}}
    hooked = Task.from_json(
        {
            **sections,
            "trainable": "image_classifier",
            "model": {**sections["model"], "hooks": "tests.own_hooks:Augment"},
        }
    )
    assert cost(hooked, finetuned_layers=0) > 3 * kept, "its hook alters the training images"


def test_adapters_cost_a_pass_back_through_all_layers_and_the_merging_of_every_batch():
    """Measured, too: resnet18's epochs with adapters take longer than without, unless batches are large."""
    given, whole = task("resnet18"), {"finetuned_layers": "all"}
    assert cost(given, lora_rank=2, batch_size=64, **whole) == pytest.approx(1, abs=0.2)
    by_rank = [cost(given, lora_rank=rank, batch_size=4, **whole) for rank in (2, 8, 32)]
    assert 1 < by_rank[0] < by_rank[1] < by_rank[2]


def test_passes_back_begin_at_the_lowest_adapter():
    """resnet18's linear layers are its head alone, which has no adapter: nothing below it needs gradients."""
    counts = costs._counted("resnet18", (), (64,), "linear")[64]
    whole = costs._counted("resnet18", (), (64,), "")[64]
    assert counts.backward[-1] == whole.backward[0] < whole.backward[-1] / 100
    assert counts.sides[-1] == 0


def test_fewer_updates_cost_less_and_averages_cost_more():
    few = {"batch_size": 2}
    assert cost(task(), accumulation_steps=8, **few) < cost(task(), **few) < cost(task(), ema_decay=0.9, **few)


def test_the_closed_form_is_two_passes_forward_and_none_back():
    ridge = {"optimizer": "ridge", "weight_decay": 0.1, "finetuned_layers": 0}
    below = cost(task(), finetuned_layers=0, reuse_activations=False)
    assert 0 < cost(task(), **ridge) < 2 * cost(task(), finetuned_layers=0)
    assert below < cost(task(), reuse_activations=False, **ridge) < 2 * below


def test_larger_test_images_cost_more_whether_searched_or_fixed():
    alone = cost(task(), image_size=32)
    assert cost(task(), image_size=32, test_image_size=64) > alone
    both = {**SIZES, "test_image_size": Choice((0, 64))}
    assert cost(task(), both, image_size=32, test_image_size=0) == alone
    assert cost(task(), both, image_size=32, test_image_size=64) > alone


def test_sizes_of_a_long_range_follow_from_their_neighbours():
    space = {"image_size": Int(32, 64)}
    by_size = [cost(task(), space, image_size=size) for size in range(32, 65)]
    assert by_size == sorted(by_size)
    assert by_size[-1] == 1
    assert all(b / a < 1.12 for a, b in itertools.pairwise(by_size))


def test_an_impossible_configuration_or_model_has_a_cost_too():
    """It fails before its first epoch, or the study's own check says what is wrong."""
    assert cost(task(), nesterov=True) == 1
    assert cost(task("no_such_model")) == 1
    sections = {"data": {"name": "digits"}, "model": {"name": "digits_net", "hooks": "no_such_module:Hooks"}}
    assert cost(Task.from_json({"trainable": "image_classifier", **sections})) == 1


def test_a_model_that_cannot_be_traced_costs_all_or_a_third():
    """Its frozen part computes anew in every epoch, forward only; validation, a quarter, costs both the same."""
    counts = costs.Counts((1.0, 300.0), (300.0, 0.0), (0.0, 0.0), (2.0, 600.0), (1.0, 300.0), (0.0, 0.0), (0.0, 0.0),
                          (1.0, 1.0), (1.0, 0.0))  # fmt: skip
    settings = costs.Settings.of({"finetuned_layers": 0, "batch_size": 10**6})
    whole = costs.Settings.of({"finetuned_layers": "all", "batch_size": 10**6})
    share = (costs.work(counts, settings, kept=True) - costs.IMAGE) / (
        costs.work(counts, whole, kept=True) - costs.IMAGE
    )
    assert share == pytest.approx(1.25 / 3.25, abs=0.02)


CALLER = """
import sys
from hpo.study.space import Choice
from trainables.image_check import Declared
task = {"trainable": "image_classifier", "data": {"name": "digits"}, "model": {"name": "digits_net", "weights": "none"}}
for size in (32, 64):
    print(Declared.epoch_cost({"image_size": size, "finetuned_layers": 4}, task=task, space={"image_size": Choice((32, 64))}))
assert "torch" not in sys.modules
"""


def test_another_process_counts_the_same_without_torch_and_from_the_cache():
    found = [
        subprocess.run(
            [sys.executable, "-c", CALLER], check=True, capture_output=True, text=True, env=os.environ
        ).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1]
    here = [cost(task(), {"image_size": Choice((32, 64))}, image_size=size, finetuned_layers=4) for size in (32, 64)]
    assert [float(line) for line in found[0].split()] == here
