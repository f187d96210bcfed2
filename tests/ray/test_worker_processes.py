"""Worker processes on a real cluster: one that cannot compute any more is replaced, and each sees only its trial's GPUs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import RANDOM_ON_GPUS, hpo, rows

pytestmark = pytest.mark.timeout(600)

DYING = """
import os
from pathlib import Path

from trainables.curves import Curves

DEAD = []  # once it has something in it, nothing in this process can compute


class Dying(Curves):
    def train_epoch(self):
        mark = Path(os.environ["MARKS"]) / "died"
        if self.epoch == 2 and not mark.exists():
            mark.write_text(str(os.getpid()))
            DEAD.append(True)
        if DEAD:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\\nCUDA kernel errors might ...")
        return super().train_epoch()

    def close(self):
        assert not DEAD, "a dead device must not be asked to free anything"
"""

ASSERTING = """
import os

from trainables.curves import Curves
from trainables.errors import InvalidConfig

DEAD = []


class Asserting(Curves):
    # Some configurations end their process in their second epoch, in each process anew.

    def train_epoch(self):
        if self.epoch == 1 and self.config["learning_rate"] > 0.03:
            self.end()
        assert not DEAD, "the process should have ended"
        return super().train_epoch()

    def end(self):
        DEAD.append(True)
        raise RuntimeError(f"CUDA error: device-side assert triggered in block [{os.getpid()},0,0]")


class Refusing(Asserting):
    # The same configurations fail as any may.

    def end(self):
        raise InvalidConfig("this rate is too high")
"""

SEEING = """
import os

from trainables.curves import Curves


class Seeing(Curves):
    def __init__(self, config, *, task, seed, max_epochs, group=None):
        super().__init__(config, task=task, seed=seed, max_epochs=max_epochs)

    def train_epoch(self):
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        return super().train_epoch() | {"gpus": -1 if seen is None else len(seen.split(",")) if seen else 0}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Returns a function that writes a study of one of the trainables above, importable by worker processes."""
    (tmp_path / "dying.py").write_text(DYING)
    (tmp_path / "asserting.py").write_text(ASSERTING)
    (tmp_path / "seeing.py").write_text(SEEING)
    monkeypatch.setenv("MARKS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def write(trainable: str, gpus: float = 0) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(RANDOM_ON_GPUS.format(trainable=trainable, gpus=gpus))
        return path

    return write


def test_a_process_that_cannot_compute_any_more_ends_and_another_one_trains_its_trial(study, tmp_path):
    from hpo.store import read, verify

    answers = {
        name: hpo("run", study(name), "--store", tmp_path / name[:5], "--workers", 1, "--format", "json", "--no-report",
                  "--quiet", timeout=240)
        for name in ("curves", "dying:Dying")
    }  # fmt: skip
    (sound,), (dying,) = (json.loads(answer.stdout)["runs"] for answer in answers.values())
    assert answers["dying:Dying"].returncode == 0, answers["dying:Dying"].stderr
    died = (tmp_path / "died").read_text()
    assert dying["failed_trials"] == 0
    assert (dying["charged_epochs"], sound["wasted_epochs"]) == (36, 0)
    assert dying["wasted_epochs"] <= 2  # none where epochs were slow enough to keep a checkpoint after each
    assert [row["value"] for row in rows(tmp_path / "dying", "charges")] == [
        row["value"] for row in rows(tmp_path / "curve", "charges")
    ]
    data = read(str(tmp_path / "dying"), "instant")
    processes = {worker.rpartition(":")[2] for worker in data.epochs["worker"].to_pylist()}
    assert len(processes - {died}) == 1  # the first one may have died before it reported anything
    assert verify(str(tmp_path / "dying")) == []


def test_a_fault_of_the_configuration_fails_its_trial_after_three_processes_and_no_other(study, tmp_path):
    from hpo.store import read, verify

    stores = {}
    for name in ("Asserting", "Refusing"):
        answer = hpo("run", study(f"asserting:{name}"), "--store", tmp_path / name, "--workers", 1, "--format", "json",
                     "--no-report", "--quiet", timeout=240)  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        assert verify(str(tmp_path / name)) == []
        stores[name] = read(str(tmp_path / name), "instant")
    asserting, refusing = stores.values()
    reasons = asserting.failures["reason"].to_pylist()
    assert len(reasons) == refusing.failures.num_rows > 0
    told = (
        "3 processes that trained it met the same fault and could not go on, the last one with: CUDA error: device-side"
    )
    assert all(reason.startswith(told) for reason in reasons)
    columns = ["number", "config_learning_rate", "status", "epochs", "best_value"]
    assert asserting.trials.select(columns).sort_by("number") == refusing.trials.select(columns).sort_by("number")


@pytest.fixture
def cluster(study, monkeypatch: pytest.MonkeyPatch):
    """Yields the address of someone else's cluster, a node with two GPUs as far as Ray knows; its processes see both."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    for name in ("RAY_ADDRESS", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.delenv(name, raising=False)
    from ray.cluster_utils import Cluster

    sizes = {"num_cpus": 3, "num_gpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=sizes)
    try:
        yield nodes.address
    finally:
        nodes.shutdown()


def test_a_trial_sees_as_many_gpus_as_it_asked_for(study, cluster, tmp_path):
    from hpo.store import read

    seen = {}
    for gpus in (0, 1):
        store = tmp_path / f"store-{gpus}"
        answer = hpo("run", study("seeing:Seeing", gpus), "--store", store, "--address", cluster, "--workers", 1,
                     "--budget", 6, "--no-report", "--quiet", timeout=240)  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        seen[gpus] = set(read(str(store), "instant").epochs["gpus"].to_pylist())
    assert seen == {0: {0}, 1: {1}}


def test_a_cluster_of_our_own_hides_gpus_from_what_asks_for_none(study, tmp_path, monkeypatch):
    from hpo.store import read

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    answer = hpo("run", study("seeing:Seeing"), "--store", tmp_path / "store", "--workers", 1, "--budget", 6,
                 "--no-report", "--quiet", timeout=240)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert set(read(str(tmp_path / "store"), "instant").epochs["gpus"].to_pylist()) == {0}
