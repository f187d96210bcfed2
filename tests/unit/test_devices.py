"""Which GPUs a worker process sees."""

from __future__ import annotations

import os

import pytest
import torch

from hpo.worker.devices import VISIBLE, hide_what_was_not_given
from trainables import machine
from trainables.errors import ProcessFault


@pytest.mark.parametrize("before", [None, "", "0", "0,1"])
@pytest.mark.parametrize("given", [[], ["0"], ["1"]])
def test_a_process_that_was_given_no_gpu_sees_none_and_any_other_what_ray_shows_it(monkeypatch, before, given):
    monkeypatch.setenv(VISIBLE, before or "")
    if before is None:
        monkeypatch.delenv(VISIBLE)
    hide_what_was_not_given(given)
    assert os.environ.get(VISIBLE) == (before if given else "")


@pytest.mark.parametrize(
    ("given", "driver", "fault"),
    [("0", True, True), ("GPU-1f2e", True, True), ("0", False, False), ("", True, False), ("-1", True, False)],
)
def test_a_process_that_was_given_a_gpu_does_not_train_on_the_cpu_instead(given, driver, fault, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "DRIVER", tmp_path if driver else tmp_path / "none")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    if fault:
        with pytest.raises(ProcessFault, match=f"was given the GPU {given}, but it finds none"):
            machine.chosen_device()
    else:
        assert machine.chosen_device() == torch.device("cpu")
