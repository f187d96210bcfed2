"""What every trainable must keep to, as checks for one's own: subclass `TrainableContract` in a test file of yours.

    class TestMine(TrainableContract):
        path = "mypackage.mine:Mine"
        config = {"learning_rate": 0.01}
        task = {"data": {"name": "digits"}, "model": {}}

Needs pytest to run, but not to be imported. Every check trains a few epochs: keep the task small.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from trainables import load
from trainables.errors import InvalidConfig

CLOCKED = (
    "seconds",
    "images_per_second",
    "rows_per_second",
)  # the only metrics that may differ between equal trainings

_CONTINUE = """
import json, sys
from trainables import load
path, config, task, seed, max_epochs, directory, epochs = json.loads(sys.argv[1])
trainable = load(path)(config, task=task, seed=seed, max_epochs=max_epochs)
trainable.load(directory)
print(json.dumps([trainable.train_epoch() for _ in range(epochs)]))
"""


class TrainableContract:
    """The contract of `__init__`, `train_epoch`, `save`, `load`, `test` and, where there is one, `epoch_cost`."""

    path: ClassVar[str]
    config: ClassVar[Mapping[str, Any]]
    task: ClassVar[Mapping[str, Any]]
    impossible: ClassVar[Mapping[str, Any] | None] = None  # a configuration that must be refused with InvalidConfig
    max_epochs: ClassVar[int] = 4

    def make(self, seed: int = 0, **changes: Any) -> Any:
        return load(self.path)({**self.config, **changes}, task=dict(self.task), seed=seed, max_epochs=self.max_epochs)

    def test_an_epoch_gives_finite_numbers_by_name(self) -> None:
        metrics = self.make().train_epoch()
        assert metrics
        assert all(isinstance(name, str) and isinstance(value, float | int) for name, value in metrics.items())
        assert all(math.isfinite(value) for value in metrics.values())

    def test_equal_seeds_train_equally_and_leave_global_randomness_alone(self) -> None:
        import torch

        torch.manual_seed(1)
        first = _curve(self.make(), 2)
        drawn = torch.rand(3)
        torch.manual_seed(1)
        assert torch.equal(drawn, torch.rand(3)), "training must not move torch's global random state"
        torch.manual_seed(2)
        assert _curve(self.make(), 2) == first, "training must depend on its seed, not on torch's global one"

    def test_pause_and_resume_in_another_process_changes_nothing(self, tmp_path: Path) -> None:
        whole = self.make()
        curve = _curve(whole, 2)
        whole.save(tmp_path)
        curve += _curve(whole, 2)
        half = _elsewhere(self.path, self.config, self.task, 0, self.max_epochs, tmp_path, 2)
        assert half == curve[2:]

    def test_resume_before_the_first_epoch(self, tmp_path: Path) -> None:
        first = self.make()
        first.save(tmp_path)
        second = self.make()
        second.load(tmp_path)
        assert _curve(first, 1) == _curve(second, 1)

    def test_saving_and_testing_do_not_disturb_training(self, tmp_path: Path) -> None:
        plain, watched = self.make(), self.make()
        expected = _curve(plain, 2)
        curve = _curve(watched, 1)
        watched.save(tmp_path)
        watched.test()
        assert curve + _curve(watched, 1) == expected

    def test_the_test_gives_numbers_and_nothing_but_its_own_names(self) -> None:
        trainable = self.make()
        trainable.train_epoch()
        results = trainable.test()
        assert results
        for name, value in results.items():
            assert name == "confusion" or (name.startswith("test_") and isinstance(value, float | int))
        json.dumps(results, allow_nan=False)

    def test_an_impossible_configuration_is_refused_as_such(self) -> None:
        if self.impossible is None:
            return
        try:
            self.make(**self.impossible).train_epoch()
        except InvalidConfig as error:
            assert str(error), "the reason must be given"
        else:
            raise AssertionError(f"{dict(self.impossible)} must be refused with InvalidConfig")

    def test_the_cost_of_an_epoch_is_a_positive_number(self) -> None:
        cost = getattr(load(self.path), "epoch_cost", None)
        if cost is not None:
            assert cost(dict(self.config)) > 0
            assert cost(dict(self.config)) == cost(dict(self.config))


def _curve(trainable: Any, epochs: int) -> list[dict[str, float]]:
    """The next epochs' metrics, without those that a clock gave."""
    return [_plain(trainable.train_epoch()) for _ in range(epochs)]


def _plain(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in CLOCKED}


def _elsewhere(*arguments: Any) -> list[dict[str, float]]:
    """Loads what was saved and trains on, in a process of its own."""
    text = json.dumps([*arguments[:5], str(arguments[5]), arguments[6]])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _CONTINUE, text], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return [_plain(metrics) for metrics in json.loads(done.stdout.splitlines()[-1])]
