"""Shared by all tests: the command line as a child process, small studies, a store's rows without times, slow files, order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

INSTANT = """
study: instant
trainable: curves
data: {{seconds: {seconds}, fail_share: {fail_share}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01]}}
  optimizer: {{type: choice, values: [adam, sgd]}}
budget: {{epochs: {epochs}, max_epochs: 6}}
methods: [grid, random, bayesian, {{asha: {{eta: 2}}}}]
seeds: {seeds}
parallelism: 3
clock: {clock}
"""

# Trials by random search alone: the trainable and the share of a GPU that each takes are to be filled in.
RANDOM_ON_GPUS = """
study: instant
trainable: {trainable}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
budget: {{epochs: 36, max_epochs: 6}}
methods: [random]
seeds: [0]
resources: {{cpus: 1, gpus: {gpus}}}
"""

SLOW = {  # files whose tests train or trace networks, or play many studies: most of the time of unit and contract tests
    "test_adapters.py", "test_digits_pretraining.py", "test_documentation.py", "test_fine_tuning.py",
    "test_function_trainables.py", "test_mlp.py", "test_mutated_studies.py", "test_network.py",
    "test_parallel_training.py", "test_resumed_studies.py", "test_timm_models.py", "test_trainables.py",
}  # fmt: skip

TIMES = ("seconds", "worker", "finished", "attempt", "wasted_epochs", "train_seconds")


FIRST = ("ray", "faults", "browser")  # folders whose files take longest: as the last ones they would leave workers idle


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that `make test-quick` leaves out, slow files and the S3 variants of a contract; long files come first."""
    for item in items:
        if item.path.name in SLOW or "moto" in item.name:
            item.add_marker("slow")
    items.sort(key=lambda item: (item.path.parent.name not in FIRST, item.path.name not in SLOW))


@pytest.fixture
def instant(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes a study of synthetic curves.

    Epochs take `seconds`; `fail_share` of the configurations fail.
    """

    def write(
        seconds: float = 0.0, fail_share: float = 0.0, epochs: int = 36, seeds: str = "[0]", clock: str = "virtual"
    ) -> Path:
        path = tmp_path / "instant.yaml"
        values = {"seconds": seconds, "fail_share": fail_share, "epochs": epochs, "seeds": seeds, "clock": clock}
        path.write_text(INSTANT.format(**values))
        return path

    return write


@pytest.fixture
def one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of the test's own, nothing left in shared memory, and one thread: results depend on how many."""
    import torch

    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HPO_ACTIVATIONS_MEMORY", "0")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Returns a function that types a command here, in this process; it returns exit status, output and errors."""
    from hpo.cli.app import main

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "hpo.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def hpo(*arguments: object, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    """Runs the command line to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=timeout, env=environment(), check=False
    )


def rows(store: Path, table: str, study: str = "instant") -> list[dict[str, Any]]:
    """Returns a store's table without times and worker names, sorted by its keys."""
    from hpo.store import read

    found = getattr(read(str(store), study), table).to_pylist()
    kept = [{name: value for name, value in row.items() if name not in TIMES} for row in found]
    return sorted(
        kept, key=lambda row: [str(row.get(k)) for k in ("run",)] + [row.get("order", 0), row.get("number", 0)]
    )
