"""The synthetic curves: exact, resumable, learnable, and failing where told to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainables.curves import Curves
from trainables.errors import BadData, Diverged, InvalidConfig

CONFIG = {"learning_rate": 0.003, "dropout": 0.2, "optimizer": "adam", "nesterov": True}
ROOT = Path(__file__).parents[2]


def make(config=CONFIG, seed=0, max_epochs=16, **data):
    return Curves(config, task={"data": data}, seed=seed, max_epochs=max_epochs)


def train(trainable, epochs):
    return [trainable.train_epoch() for _ in range(epochs)]


def test_same_config_and_seed_give_the_same_curve():
    assert train(make(), 5) == train(make(dict(reversed(CONFIG.items()))), 5)


def test_seed_and_landscape_change_the_curve():
    assert train(make(), 5) != train(make(seed=1), 5)
    assert train(make(noise=0), 5) == train(make(noise=0, seed=1), 5)
    assert train(make(), 5) != train(make(landscape=1), 5)


def test_resumes_exactly(tmp_path):
    whole = train(make(), 4)
    first = make()
    head = train(first, 2)
    first.save(tmp_path)
    second = make()
    second.load(tmp_path)
    assert head + train(second, 2) == whole
    assert [p.name for p in tmp_path.iterdir()] == ["curves.json"]


def test_another_process_computes_the_same_and_never_imports_torch():
    code = (
        "import sys; from trainables.curves import Curves\n"
        f"c = Curves({CONFIG!r}, task={{}}, seed=0, max_epochs=16); m = c.train_epoch()\n"
        "print(m['val_accuracy'], 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert out.split() == [str(train(make(), 1)[0]["val_accuracy"]), "False", "False"]


def test_curves_rise_and_are_close_for_close_configurations():
    here = [m["val_accuracy"] for m in train(make(noise=0), 16)]
    near = [m["val_accuracy"] for m in train(make({**CONFIG, "learning_rate": 0.00301}, noise=0), 16)]
    far = [m["val_accuracy"] for m in train(make({**CONFIG, "learning_rate": 0.3}, noise=0), 16)]
    assert here == sorted(here)
    assert abs(here[-1] - near[-1]) < 0.01 < abs(here[-1] - far[-1])


@pytest.mark.parametrize("landscape", range(5))
def test_configurations_differ_in_what_they_reach(landscape):
    rates = [10 ** (-5 + i / 2) for i in range(9)]
    best = [train(make({"learning_rate": r, "batch_size": 32}, landscape=landscape), 16)[-1] for r in rates]
    values = [m["val_accuracy"] for m in best]
    assert all(0 <= v <= 1 for v in values)
    assert max(values) - min(values) > 0.05


def test_the_test_split_is_near_the_validation_split():
    trainable = make()
    last = train(trainable, 16)[-1]
    assert trainable.test()["test_accuracy"] == pytest.approx(last["val_accuracy"], abs=0.03)
    assert trainable.test() == trainable.test()


def test_fails_where_told():
    with pytest.raises(InvalidConfig, match="adam"):
        make(fail=[{"optimizer": "adam"}])
    assert make(fail=[{"optimizer": "adam", "dropout": 0.3}, {"absent": 1}])
    failed = sum(_fails(rate / 1000, fail_share=0.3) for rate in range(1, 201))
    assert 40 <= failed <= 80


def _fails(rate, **data):
    try:
        make({"learning_rate": rate}, **data)
    except InvalidConfig:
        return True
    return False


def test_diverges_in_the_same_epoch_each_time():
    def ends(rate):
        trainable = make({"learning_rate": rate}, max_epochs=4, diverge_share=1)
        with pytest.raises(Diverged) as caught:
            train(trainable, 5)
        return caught.value.epoch

    epochs = [ends(rate / 100) for rate in range(1, 40)]
    assert set(epochs) == {2, 3, 4}
    assert epochs == [ends(rate / 100) for rate in range(1, 40)]


def test_cost_is_the_configurations():
    assert Curves.epoch_cost({}) == 1
    assert Curves.epoch_cost({"cost": 2.5}) == 2.5
    assert make({**CONFIG, "cost": 3}, seconds=0.001).seconds == pytest.approx(0.003)
    assert train(make({**CONFIG, "cost": 3}, noise=0), 1) == train(make(noise=0), 1)
    with pytest.raises(InvalidConfig, match="cost must be a number >= 0, but got 'much'"):
        Curves.epoch_cost({"cost": "much"})


@pytest.mark.parametrize("data", [{"seconds": -1}, {"fail_share": 1.5}, {"noise": "loud"}, {"diverge_share": True}])
def test_options_out_of_range_are_refused(data):
    with pytest.raises(BadData, match="must be a number"):
        make(**data)
