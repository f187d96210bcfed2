"""Trials that share GPUs, on a local cluster that only claims to have two: how Ray packs them, MPS, and refusals."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import fake_mps
import pytest
from conftest import hpo

from cluster.living import living
from cluster.slots import Request, capacity
from hpo.store import StudyData

SEED, DRAWS = 20, 6
DYING = """
import os
from pathlib import Path

from trainables.curves import Curves

DEAD = []  # once it has something in it, nothing in this process can compute


class Dying(Curves):
    def train_epoch(self):
        mark = Path(os.environ["TMPDIR"]) / "died"
        if self.epoch == 2 and not mark.exists():
            mark.touch()
            DEAD.append(True)
        if DEAD:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return super().train_epoch()
"""
SHARED = """
study: shared
trainable: {trainable}
data: {{seconds: 0.2}}
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: {epochs}, max_epochs: 4}}
methods: [random]
parallelism: 4
resources: {{cpus: {cpus}, gpus: {gpus}, pack: false}}
store: {store}
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """The temporary folder of the cluster's processes, and a program and a driver for MPS."""
    folder = Path(tempfile.mkdtemp(prefix="mps-", dir="/tmp"))  # a short path: sockets lie below it
    fake_mps.program(folder)
    (folder / "dying.py").write_text(DYING)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", autouse=True)
def cluster(place: Path) -> Iterator[None]:
    import ray

    patch = pytest.MonkeyPatch()
    patch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    patch.setenv("LD_LIBRARY_PATH", str(place))
    patch.setenv("TMPDIR", str(place))
    patch.setenv("PYTHONPATH", os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")]))
    patch.syspath_prepend(str(place))
    patch.setenv("FAKE_MPS_JOURNAL", str(place / "journal"))
    patch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    patch.setenv("HPO_MPS", "1")
    patch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(
        address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=80 * 2**20,
    )  # fmt: skip
    yield
    ray.shutdown()
    patch.undo()


def packed(share: float, expected: int) -> int:
    """How many of one more than the expected requests Ray grants."""
    import ray
    from ray.util import placement_group, remove_placement_group

    groups = [placement_group([{"GPU": share}]) for _ in range(expected + 1)]
    references = [group.ready() for group in groups]
    ray.wait(references, num_returns=expected, timeout=20)
    ready, _ = ray.wait(references, num_returns=expected + 1, timeout=0.7)
    for group in groups:
        remove_placement_group(group)
    until = time.monotonic() + 20
    while ray.available_resources().get("GPU", 0) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return len(ready)


@pytest.mark.timeout(180)
def test_trials_are_counted_as_ray_packs_them() -> None:
    rng = random.Random(SEED)
    drawn = [round(rng.uniform(0.05, 1), rng.choice((1, 2, 5))) for _ in range(DRAWS)]
    for share in (0.6, 0.3, 0.7, 1 / 3, 0.3334, 0.33345, 1 / 7, 0.50006, 1.0, 2.0, *drawn):
        expected = capacity(living(), Request(({"GPU": share},)))
        assert packed(share, expected) == expected, share


def played(place: Path, trainable: str, epochs: int) -> StudyData:
    """What the store holds of a study of trials on 0.6 of a GPU, two at a time."""
    from hpo.game.runs import runs_of
    from hpo.live.dispatch import Dispatch
    from hpo.live.tune.driver import drive
    from hpo.store import StudyWriter, read
    from hpo.study.study import Study

    if shutil.which("cc") is None:
        pytest.skip("the fake driver is compiled")
    fake_mps.driver(place)
    path, store = place / "shared.yaml", place / trainable.partition(":")[0]
    path.write_text(SHARED.format(trainable=trainable, epochs=epochs, cpus=0.5, gpus=0.6, store=store))
    study = Study.load(str(path))
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest, environment={},
        space_kinds=study.kinds,
    )  # fmt: skip
    seen: set[int] = set()
    dispatch = Dispatch(study, runs_of(study), writer, str(store / "checkpoints"), 64)
    drive(dispatch, study.resources, observe=lambda dispatch, now: seen.add(now.slots))
    assert seen == {2}
    return read(study.store, study.study)


def events(place: Path, last: str) -> list[str]:
    """What the daemon did, once it has done `last`."""
    until = time.monotonic() + 20
    while not (place / "journal").read_text().endswith(f"{last}\n") and time.monotonic() < until:
        time.sleep(0.1)
    return (place / "journal").read_text().split()


@pytest.mark.timeout(120)
def test_trials_on_shares_of_a_gpu_run_under_mps(place: Path) -> None:
    found = played(place, "curves", epochs=16)
    assert len({row["worker"] for row in found.epochs.to_pylist()}) == 2
    assert found.environment["trained_on"]["mps"] == ["on"]
    assert events(place, "quit") == ["start", "quit"]


@pytest.mark.timeout(120)
def test_after_a_fault_the_next_process_does_without_mps(place: Path) -> None:
    found = played(place, "dying:Dying", epochs=80)  # enough that a new process has time to start
    assert found.failures.num_rows == 0
    assert found.runs.to_pylist()[0]["charged_epochs"] == 80
    on, off = found.environment["trained_on"]["mps"]
    assert on == "on"
    assert off.startswith("off: a process met a fault under it: CUDA error: device-side assert")
    assert events(place, "quit") == ["start", "quit"] * 2


@pytest.mark.timeout(120)
def test_a_cluster_whose_gpus_suffice_and_whose_cpus_do_not_is_refused(tmp_path: Path) -> None:
    """A trial on two GPUs takes CPUs for both ranks, and one for the process that leads them."""
    import ray

    address = ray.get_runtime_context().gcs_address
    path = tmp_path / "study.yaml"
    path.write_text(SHARED.format(trainable="curves", epochs=16, cpus=2, gpus=2, store=tmp_path / "store"))
    found = hpo("check", path, "--address", address)
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    assert found.stderr.splitlines()[-1] == (
        "hpo: a trial needs 5 CPU and 2 GPU (2 CPU and 1 GPU on one node for each of its processes), but the only node has "
        "4 CPU and 2 GPU; lower resources.cpus, or choose a larger cluster"
    )


@pytest.mark.timeout(180)
@pytest.mark.parametrize("gpus", [2, 0.25])
def test_a_machine_without_the_gpus_of_a_trial_is_refused(tmp_path: Path, gpus: float) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SHARED.format(trainable="curves", epochs=16, cpus=1, gpus=gpus, store=tmp_path / "store"))
    found = hpo("run", path, "--workers", 1)
    assert found.returncode == 2, found.stderr
    (sentence,) = [line for line in found.stderr.splitlines() if line.startswith("hpo: ")]
    cpus = 3 if gpus == 2 else 1
    assert f"a trial needs {cpus} CPU and {gpus:g} GPU" in sentence
    assert f"but the only node has {cpus} CPU" in sentence
    assert "lower resources.gpus" in sentence
