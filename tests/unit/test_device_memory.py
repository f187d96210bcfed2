"""What a process holds of a GPU: nothing of a trial that is over, whether trials are packed or not, and whatever ended it."""

from __future__ import annotations

import subprocess
import sys
import weakref
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from hpo.worker.training import Assignment, Training
from trainables.curves import Curves
from trainables.memory import CONTEXT_BYTES, Gpu


class Activations:
    """What lies on the device."""


class Holding(Curves):
    """Holds memory, and leaves more of it in the frame of an exception."""

    alive: ClassVar[weakref.WeakSet[Activations]] = weakref.WeakSet()

    def __init__(self, config: Any, **arguments: Any) -> None:
        super().__init__(config, **arguments)
        self.parameters = self.held()

    @classmethod
    def held(cls) -> Activations:
        found = Activations()
        found.cycle = found  # type: ignore[attr-defined]  # only the garbage collector finds it
        cls.alive.add(found)
        return found

    def train_epoch(self) -> dict[str, float]:
        batch = self.held()
        if self.epoch == 1 and self.config["learning_rate"] > 1:
            raise {2: MemoryError, 3: ValueError}[self.config["learning_rate"]](f"no room beside {batch}")
        return super().train_epoch()


@pytest.fixture
def emptied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many things were alive each time that the device's cache was emptied."""
    Holding.alive.clear()
    found: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: found.append(len(Holding.alive)))
    return found


def training(folder: Any, stop: int, rate: float, live: Training | None = None) -> Training:
    task = {"trainable": "curves", "data": {}, "model": {}, "fixed": {"optimizer": "sgd"}, "early_stopping": None}
    given = Assignment(
        trial=f"{rate:016.9f}".replace(".", "0"), config={"learning_rate": rate}, task=task, seed=1, max_epochs=3,
        stop=stop, known=0, checkpoints=str(folder),
    )  # fmt: skip

    def make(trainable: str, arguments: dict[str, Any]) -> Holding:
        return Holding(arguments.pop("config"), **arguments)

    return Training(given, live, make=make)


def played(one: Training) -> str:
    report = one.step()
    while not report.done:
        report = one.step()
    return "" if report.failure is None else str(report.failure["kind"])


@pytest.mark.parametrize(("rate", "kind"), [(0.01, ""), (2, "memory"), (3, "error")])
def test_a_trial_that_is_over_leaves_nothing_on_the_device(tmp_path, emptied, rate, kind):
    assert played(training(tmp_path, 3, rate)) == kind
    assert emptied == [0]


def test_a_paused_trial_stays_until_another_takes_its_place(tmp_path, emptied):
    paused = training(tmp_path, 2, 0.01)
    assert played(paused) == ""
    assert emptied == []
    assert Holding.alive
    training(tmp_path, 3, 0.02, live=paused)
    assert emptied == [0]


def test_cuda_is_not_started_to_release_its_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: pytest.fail("CUDA has not started"))
    assert played(training(tmp_path, 3, 0.01)) == ""
    code = (
        "import sys; from trainables.memory import release_unused; release_unused(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_gpu_s_peak_is_that_of_the_first_device_whichever_is_in_use():
    reserved, reset = [3, 5, 7], []
    properties = SimpleNamespace(uuid="3f1c", total_memory=80)
    cuda = SimpleNamespace(
        get_device_properties=lambda device: properties,
        max_memory_reserved=lambda device=2: reserved[device],
        reset_peak_memory_stats=lambda device=2: reset.append(device),
    )
    gpu = Gpu(cuda)
    gpu.reset()
    assert (gpu.device, gpu.total, gpu.peak(), reset) == ("gpu-3f1c", 80, 3 + CONTEXT_BYTES, [0])
