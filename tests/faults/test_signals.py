"""Signals at any moment, to the process and to its whole group: one sentence, the lease released, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import command, environment, rows

from hpo.store import StoreError, verify

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def place() -> Iterator[Path]:
    """A temporary folder of the study's own, by which its processes are known: they have it in their environment."""
    with tempfile.TemporaryDirectory(prefix="hs-", dir="/tmp") as folder:
        yield Path(folder)
        for pid in processes(Path(folder)):
            os.kill(pid, signal.SIGKILL)


def processes(place: Path) -> list[int]:
    """Returns the processes that were started with the temporary folder, by us or by one another."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"TMPDIR={place}\0".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def folders(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.name.lstrip(".").startswith("hpo-"))


class Sitting:
    """`hpo run` in a process group of its own."""

    def __init__(self, study: Path, store: Path, place: Path, **variables: str) -> None:
        self.store, self._errors = store, place / "stderr"
        with self._errors.open("ab") as stream:
            self.process = subprocess.Popen(
                command("run", study, "--store", store, "--workers", 2, "--format", "json"),
                env={**environment(), "TMPDIR": str(place), **variables}, stdout=subprocess.PIPE, stderr=stream,
                text=True, start_new_session=True,
            )  # fmt: skip

    @property
    def stderr(self) -> str:
        return self._errors.read_text()

    def until(self, true: Callable[[], object]) -> None:
        while not true():
            assert self.process.poll() is None, self.stderr
            time.sleep(0.02)

    def trained(self, count: int = 10) -> bool:
        try:
            return len(rows(self.store, "epochs")) >= count
        except StoreError:
            return False

    def ends(self, name: str) -> None:
        """Waits for the end, which must be a sentence on how to go on."""
        self.process.communicate(timeout=50)
        last = self.stderr.strip().splitlines()[-1]
        assert self.process.returncode == 130, self.stderr
        assert last.startswith(f"hpo: stopped by {name}")
        assert "to continue: hpo run" in last
        assert "Traceback" not in self.stderr


def nothing_is_left(place: Path) -> None:
    deadline = time.monotonic() + 20  # Ray's workers notice the end of their raylet by themselves
    while processes(place) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes(place)] == []
    assert folders(place) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.journey)])
def test_a_signal_to_the_whole_process_group_ends_the_study_and_the_same_command_goes_on(
    instant, tmp_path, place, number
):
    sitting = Sitting(instant(seconds=0.05), tmp_path / "store", place)
    sitting.until(sitting.trained)
    os.killpg(sitting.process.pid, number)
    sitting.ends(number.name)
    nothing_is_left(place)
    assert verify(str(tmp_path / "store")) == []
    again = Sitting(instant(seconds=0.05), tmp_path / "store", place)  # at once: the lease is free
    stdout, _ = again.process.communicate(timeout=200)
    assert again.process.returncode == 0, again.stderr
    assert stdout.startswith("{")


@pytest.mark.parametrize(
    "moment", ["the command begins", "the cluster begins", "the cluster is up", "the results are out"]
)
def test_ctrl_c_at_any_moment_ends_with_the_sentence(instant, tmp_path, place, moment):
    sitting = Sitting(instant(seconds=0 if moment == "the results are out" else 0.1), tmp_path / "store", place)
    seen = {
        "the command begins": lambda: "instant starts" in sitting.stderr,
        "the cluster begins": lambda: any(name.startswith("hpo-ray") for name in folders(place)),
        "the cluster is up": lambda: len(processes(place)) >= 6,
        "the results are out": lambda: sitting.process.stdout.read(1),
    }
    sitting.until(seen[moment])
    os.killpg(sitting.process.pid, signal.SIGINT)
    sitting.ends("SIGINT")
    nothing_is_left(place)


def test_ctrl_c_again_and_again_still_ends_with_the_sentence(instant, tmp_path, place):
    sitting = Sitting(instant(seconds=0.1), tmp_path / "store", place)
    sitting.until(sitting.trained)
    while sitting.process.poll() is None:
        os.killpg(sitting.process.pid, signal.SIGINT)
        time.sleep(0.3)
    sitting.ends("SIGINT")
    assert processes(place) == []


def test_a_killed_driver_takes_its_cluster_along_and_the_next_start_deletes_what_is_left(instant, tmp_path, place):
    killed, living = (Sitting(instant(seconds=0.1), tmp_path / name, place) for name in ("killed", "living"))
    killed.until(killed.trained)
    living.until(living.trained)
    theirs = set(folders(place))
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.communicate(timeout=20)
    living.process.send_signal(signal.SIGSTOP)  # it lives, and may not end before the next one has started
    left = processes(place)
    next_one = Sitting(instant(seconds=0.1), tmp_path / "next", place)
    next_one.until(next_one.trained)
    remaining = theirs & set(folders(place))
    living.process.send_signal(signal.SIGCONT)
    assert len(theirs) == 4  # each has one of Ray's and one of Tune's
    assert len(remaining) == 2
    assert living.process.pid in left
    for sitting in (living, next_one):
        sitting.process.terminate()
        sitting.ends("SIGTERM")
    nothing_is_left(place)


def test_a_refused_study_leaves_no_process_and_no_folder(tmp_path, place):
    study = tmp_path / "bad.yaml"
    study.write_text(
        "study: bad\ntrainable: curves\nspace: {}\nbudget: {epochs: 0, max_epochs: 1}\nmethods: [random]\n"
    )
    sitting = Sitting(study, tmp_path / "store", place)
    sitting.process.communicate(timeout=60)
    assert sitting.process.returncode == 2
    assert len(sitting.stderr.splitlines()) == 1
    nothing_is_left(place)
    assert not (tmp_path / "store").exists()


def test_a_submitted_jobs_sentence_names_the_command_that_submits_it(instant, tmp_path, place):
    sitting = Sitting(
        instant(seconds=0.1), tmp_path / "store", place, HPO_SUBMITTED="hpo submit instant.yaml --store s3://x/y"
    )
    sitting.until(sitting.trained)
    sitting.process.terminate()
    sitting.process.communicate(timeout=50)
    assert sitting.stderr.strip().endswith("to continue: hpo submit instant.yaml --store s3://x/y")
