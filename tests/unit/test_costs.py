"""What image_classifier's epochs cost: counted from the graph, the same on every machine, without torch in the caller."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from hpo.study.space import Choice, Int
from trainables import costs
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


def test_a_model_that_cannot_be_traced_costs_all_or_a_third():
    """Its frozen part computes anew in every epoch, forward only."""
    counts = costs.Counts((1.0, 300.0), (300.0, 0.0), (0.0, 0.0), (1.0, 300.0), (1.0, 1.0), (1.0, 0.0))
    settings = costs.Settings.of({"finetuned_layers": 0, "batch_size": 10**6})
    whole = costs.Settings.of({"finetuned_layers": "all", "batch_size": 10**6})
    share = (costs.work(counts, settings, kept=True) - costs.IMAGE) / (
        costs.work(counts, whole, kept=True) - costs.IMAGE
    )
    assert share == pytest.approx(1 / 3, abs=0.02)


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
