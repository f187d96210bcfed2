"""The contract of trainables, as checks: a class that passes them can be paused, resumed and compared.

    from trainables.contract import verify
    from trainables.task import Task

    def test_my_trainable() -> None:
        task = Task.from_json({"data": {"root": "somewhere"}})
        verify("my_package.my_module:MyTrainable", {"learning_rate": 0.01}, task=task)

Every check raises AssertionError with the expected and the actual result. Writes into temporary directories only.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainables import costs, declarations, given, load
from trainables.errors import BadStudy
from trainables.task import Task

Metrics = dict[str, float]


def verify(
    trainable: str | type[Any] | Callable[..., Any] | Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    task: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> None:
    """Trains `config` for four epochs in several ways and compares the metrics bitwise, except those of time.

    `trainable` is a name that a study may give, a class or a function, or {kind: function}. `task` is a `Task`, or the mapping
    of which `Task.from_json` makes one; its sections must be JSON-able.
    """
    case = _Case(given.name_of(trainable), dict(config), Task.from_json(task or {}), seed)
    whole = case.metrics()
    case.values(whole)
    case.same_again(whole)
    case.others_do_not_matter(whole)
    case.testing_changes_nothing(whole)
    case.resumes_here(whole)
    case.resumes_in_another_process(whole)
    case.probing_changes_nothing(whole)
    case.cost()


class _Case:
    def __init__(self, name: str, config: dict[str, Any], task: Task, seed: int) -> None:
        self.name, self.config, self.task, self.seed = name, config, task, seed

    def make(self, seed: int | None = None) -> Any:
        return load(self.name)(self.config, task=self.task, seed=self.seed if seed is None else seed, max_epochs=4)

    def metrics(self) -> list[Metrics]:
        made = self.make()
        return [made.train_epoch() for _ in range(4)]

    def values(self, whole: list[Metrics]) -> None:
        for epoch, metrics in enumerate(whole, 1):
            assert metrics, f"train_epoch must return metrics, but epoch {epoch} returned {metrics!r}"
            for key, value in metrics.items():
                number = isinstance(value, int | float) and not isinstance(value, bool)
                assert isinstance(key, str), f"a metric's name must be a string, but got {key!r}"
                assert number, f"a metric must be a plain number, but {key} in epoch {epoch} is {value!r}"
                assert math.isfinite(value), f"raise Diverged where a metric is not finite: {key} is {value} in {epoch}"
            assert metrics.keys() == whole[0].keys(), f"every epoch must have the metrics {sorted(whole[0])}"
        declared = getattr(declarations(self.name), "metrics", None)
        if declared is not None:
            names = sorted(declared(self.task))
            assert names == sorted(whole[0]), f"metrics must be the names that train_epoch reports, but is {names}"

    def same_again(self, whole: list[Metrics]) -> None:
        _equal(self.metrics(), whole, "the same configuration and seed, trained again")

    def others_do_not_matter(self, whole: list[Metrics]) -> None:
        """Worker processes are reused: another trial there must not change the metrics."""
        made, other = self.make(), self.make(self.seed + 1)
        found = []
        for _ in range(4):
            other.train_epoch()
            found.append(made.train_epoch())
        _equal(found, whole, "trained in turns with another trial in the same process (no global random state!)")

    def testing_changes_nothing(self, whole: list[Metrics]) -> None:
        made = self.make()
        found = [made.train_epoch() for _ in range(2)]
        try:
            tested = made.test()
        except BadStudy as error:
            if error.location != ("final",):
                raise
            return  # it has no test: a study that asks for one is refused
        assert isinstance(tested, Mapping), f"test must return metrics, but returned {tested!r}"
        assert tested, "test must return at least one metric, but returned none"
        assert _timeless(made.test()) == _timeless(tested), "test must return the same when asked again"
        _equal(found + [made.train_epoch() for _ in range(2)], whole, "trained on after a test")

    def resumes_here(self, whole: list[Metrics]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            first = self.make()
            found = [first.train_epoch()]
            first.save(folder)
            found.append(first.train_epoch())
            first.save(folder)  # over the older one
            second = self.make()
            second.load(folder)
            found = found[: getattr(second, "resumed_epoch", 2)]  # code that saves rarely trains some epochs again
            found += [second.train_epoch() for _ in range(len(found), 4)]
            _equal(found, whole, "trained 2 epochs, saved, loaded, trained 2")

    def resumes_in_another_process(self, whole: list[Metrics]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            first = self.make()
            found = [first.train_epoch() for _ in range(2)]
            first.save(folder)
            (Path(folder) / "codes.pickle").write_bytes(pickle.dumps(given.codes(self.name)))
            threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 0
            asked = json.dumps([self.name, self.config, self.task.to_json(), self.seed, folder, threads])
            child = subprocess.run(
                [sys.executable, "-c", _RESUME, asked],
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
                check=False,
            )
            assert child.returncode == 0, f"loading in another process must work, but it failed:\n{child.stderr}"
            rest = json.loads((Path(folder) / "rest.json").read_text())  # not stdout, where the trainable may print
            _equal(found[: 4 - len(rest)] + rest, whole, "saved, loaded in another process, trained 2")

    def probing_changes_nothing(self, whole: list[Metrics]) -> None:
        made = self.make()
        if hasattr(made, "probe"):
            made.probe()
            _equal([made.train_epoch() for _ in range(2)], whole[:2], "trained after a probe")

    def cost(self) -> None:
        kind = load(self.name)
        declared = getattr(kind, "epoch_cost", None)
        if declared is None:
            return
        static = isinstance(inspect.getattr_static(kind, "epoch_cost"), staticmethod | classmethod)
        assert static, "epoch_cost must be static: it is called before anything is trained"
        cost = costs.declared(kind, self.task, {})
        assert cost is not None
        ticks = cost(self.config)
        assert 0 < ticks < math.inf, f"epoch_cost must be a positive number of ticks, but got {ticks!r}"
        assert cost(self.config) == ticks, "epoch_cost must be a pure function of the configuration"


_RESUME = """
import json, pickle, sys
from pathlib import Path
from trainables import given, load
from trainables.task import Task
name, config, task, seed, folder, threads = json.loads(sys.argv[1])
given.receive(pickle.loads((Path(folder) / "codes.pickle").read_bytes()))
kind = load(name)
if threads and "torch" in sys.modules:
    sys.modules["torch"].set_num_threads(threads)
made = kind(config, task=Task.from_json(task), seed=seed, max_epochs=4)
made.load(folder)
rest = [made.train_epoch() for _ in range(getattr(made, "resumed_epoch", 2), 4)]
(Path(folder) / "rest.json").write_text(json.dumps(rest))
"""


def _timeless(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if "second" not in key}


def _equal(found: list[Metrics], expected: list[Metrics], how: str) -> None:
    for epoch, (one, other) in enumerate(zip(found, expected, strict=True), 1):
        one, other = _timeless(one), _timeless(other)
        differing = {key: (one.get(key), other.get(key)) for key in one | other if one.get(key) != other.get(key)}
        assert not differing, f"{how}: epoch {epoch} must give the same metrics, but {differing} (this way, straight)"
