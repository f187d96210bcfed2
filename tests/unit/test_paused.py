"""A function in a thread, paused at each report: what it reports, raises and returns, how it ends, whose generators it uses."""

from __future__ import annotations

import gc
import random
import threading

import numpy as np
import pytest
import torch

from trainables.adapters.paused import Ended, Paused, Retraining, Returned, Stepwise, called
from trainables.errors import Diverged, InvalidConfig


def alive():
    return sum(thread.name == "paused function" for thread in threading.enumerate())


def counting(report):
    for number in range(3):
        report(number)
    return "done"


def drawing(report):
    while True:
        report((random.random(), float(np.random.rand())))


def test_it_runs_from_report_to_report_and_says_what_it_returned():
    paused = Paused(counting, 0)
    assert [paused.next() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Returned) as returned:
        paused.next()
    assert returned.value.value == "done"
    with pytest.raises(RuntimeError, match="has ended"):
        paused.next()


def test_what_the_function_raises_is_raised_to_the_caller():
    def failing(report):
        report(1)
        raise KeyError("no such layer")

    paused = Paused(failing, 0)
    assert paused.next() == 1
    with pytest.raises(KeyError, match="no such layer"):
        paused.next()
    assert not alive()


@pytest.mark.parametrize("way", ["closed", "forgotten"])
def test_a_function_that_is_over_runs_its_finally_blocks_though_it_catches_exceptions(way):
    seen = []

    def stubborn(report):
        try:
            while True:
                try:
                    report(1)
                except Exception:
                    seen.append("caught")
        except Ended:
            seen.append("ended")
            raise
        finally:
            seen.append("finally")

    paused = Paused(stubborn, 0)
    paused.next()
    if way == "closed":
        paused.close()
        paused.close()
        with pytest.raises(RuntimeError, match="closed function"):
            paused.next()
    del paused
    gc.collect()
    Paused(counting, 0)  # nothing ends before: a collection may come at any moment
    assert seen == ["ended", "finally"]
    assert not alive()


def test_global_generators_are_each_functions_own_and_the_callers_are_left_alone():
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), float(np.random.rand())
    random.seed(5)
    np.random.seed(5)
    one, other, alone = Paused(drawing, 1), Paused(drawing, 2), Paused(drawing, 1)
    turns = [(one.next(), other.next()) for _ in range(3)]
    assert [mine for mine, _ in turns] == [alone.next() for _ in range(3)]
    assert turns[0][0] != turns[0][1]
    assert (random.random(), float(np.random.rand())) == expected


def test_one_that_is_forgotten_while_a_generator_is_locked_ends_later(monkeypatch):
    """PyTorch makes the tensor of a generator's state under that generator's lock, and a collection may come right then."""
    lock, state = threading.Lock(), torch.get_rng_state

    def locked():
        assert lock.acquire(timeout=5), "a collection must not ask for a generator's state"
        try:
            gc.collect()
            return state()
        finally:
            lock.release()

    forgotten, paused = Paused(drawing, 1), Paused(drawing, 1)
    forgotten.next()
    forgotten.itself = forgotten  # a cycle: only the collector finds it
    del forgotten
    monkeypatch.setattr(torch, "get_rng_state", locked)
    paused.next()
    assert alive() == 2
    paused.next()
    assert alive() == 1
    paused.close()
    assert not alive()


def drawn(report):
    while True:
        report({"loss": random.random()})


def test_without_checkpoints_a_trial_is_trained_again_from_the_start(tmp_path):
    first = Retraining("my:drawn", drawn, 3)
    whole = [first.train_epoch() for _ in range(4)]
    early = Retraining("my:drawn", drawn, 3)
    early.train_epoch(), early.train_epoch()
    early.save(tmp_path)
    again = Retraining("my:drawn", drawn, 3)
    again.load(tmp_path)
    assert (again.epoch, again.resumed_epoch) == (0, 0)
    assert again.provenance == {"resumption": "my:drawn saves no checkpoint: its paused trials are trained anew"}
    assert [again.train_epoch() for _ in range(4)] == whole


def test_a_loss_that_is_not_finite_has_diverged_and_a_function_that_ends_early_is_refused():
    def train(report):
        report({"loss": 0.5})
        report({"loss": float("nan")})

    stepwise = Stepwise("my:train", train, 0)
    assert stepwise.train_epoch() == {"loss": 0.5}
    with pytest.raises(Diverged, match=r"loss must stay finite, but it became nan in epoch 2"):
        stepwise.train_epoch()
    with pytest.raises(InvalidConfig, match=r"my:train must train as long as it is asked to, but it ended after 2 ep"):
        stepwise.train_epoch()


def test_a_function_gets_what_its_signature_names_and_its_value_errors_are_the_configurations():
    def build(config, max_epochs):
        if config["width"] < 1:
            raise ValueError("no width")
        return config, max_epochs

    assert called(build, {"width": 1}, seed=3, max_epochs=4) == ({"width": 1}, 4)
    with pytest.raises(InvalidConfig, match="the configuration must be possible, but: no width"):
        called(build, {"width": 0}, max_epochs=4)
