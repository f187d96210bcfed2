"""The Multi-Process Service: processes that share a GPU, and a control program and a driver that behave like NVIDIA's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_mps
import pytest

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the fake driver is compiled")
PIPES = "CUDA_MPS_PIPE_DIRECTORY"
USER = """
import os, sys
from hpo.worker import mps, mps_daemon
mps_daemon.ANSWER_SECONDS, mps_daemon.END_SECONDS, mps_daemon.CONTEXT_SECONDS = 3.0, 1.0, 2.0
mps.ALSO_IN = ()
state = mps.join(float(sys.argv[1]))
assert mps.join(0.0) == state
print(state, os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "-"), sep="|", flush=True)
for line in sys.stdin:
    print(mps.suspect(line.strip()), flush=True)
"""


class Node:
    """A machine of its own, as far as MPS goes: its temporary folder, its programs, its journal of starts and ends."""

    def __init__(self, place: Path, tools: Path) -> None:
        self.place, self.tools = place, tools
        self.journal = place / "journal"
        self.folder = place / f"hpo-mps-{os.getuid()}"
        self.users: list[subprocess.Popen[str]] = []

    def user(self, gpus: float = 0.25, **environment: str) -> subprocess.Popen[str]:
        """Starts a process that joins."""
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("CUDA_", "HPO_MPS"))}
        mine |= {"TMPDIR": str(self.place), "FAKE_MPS_JOURNAL": str(self.journal), "LD_LIBRARY_PATH": str(self.tools),
                 "PATH": str(self.tools), "CUDA_VISIBLE_DEVICES": "0", "HPO_MPS": "1", **environment}  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-c", USER, str(gpus)], env=mine, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.users.append(process)
        return process

    def states(self, *processes: subprocess.Popen[str]) -> list[str]:
        """What became of processes, once all have joined."""
        return [told(process).rpartition("|")[0] for process in processes]

    def events(self) -> list[str]:
        return self.journal.read_text().split() if self.journal.exists() else []

    def leftovers(self) -> list[str]:
        """The command lines of daemons and keepers that still run."""
        found, mark = [], str(self.folder).encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment, line = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in environment and str(process.name) not in [str(user.pid) for user in self.users]:
                found.append(line.replace(b"\0", b" ").decode())
        return found

    def close(self) -> None:
        for process in self.users:
            process.kill()
            process.communicate()
        until(lambda: not self.leftovers())


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ended(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=30)


def until(what: Callable[[], bool], seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "it must come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    fake_mps.program(folder)
    fake_mps.driver(folder)
    return folder


@pytest.fixture
def node(tools: Path) -> Iterator[Node]:
    place = Path(tempfile.mkdtemp(prefix="mps-", dir="/tmp"))  # a short path: sockets lie below it
    machine = Node(place, tools)
    yield machine
    machine.close()
    shutil.rmtree(place)


def test_processes_share_one_daemon_and_the_last_one_ends_it(node):
    users = [node.user() for _ in range(3)]
    assert [told(user) for user in users] == [f"on|{node.folder}/pipe"] * 3
    assert node.events() == ["start"]
    assert node.folder.stat().st_mode & 0o777 == 0o700
    for user in users[:2]:
        ended(user)
    time.sleep(2.5)  # the keeper has looked since
    assert node.events() == ["start"], "it is in use"
    ended(users[2])
    until(lambda: not node.leftovers())
    assert node.events() == ["start", "quit"]


def test_killed_users_do_not_count_and_the_next_one_starts_anew(node):
    users = [node.user() for _ in range(2)]
    assert node.states(*users) == ["on", "on"]
    for user in users:
        user.send_signal(signal.SIGKILL)
        user.wait(10)
    until(lambda: not node.leftovers())
    assert node.events() == ["start", "quit"]
    assert node.states(node.user()) == ["on"]
    assert node.events() == ["start", "quit", "start"]


def test_a_daemon_whose_keeper_was_killed_is_used_again_and_ended(node):
    first = node.user()
    assert node.states(first) == ["on"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if str(node.folder) in line:
            os.kill(int(process.name), signal.SIGKILL)
    first.kill()
    first.wait(10)
    time.sleep(1.5)
    assert len(node.leftovers()) == 1, "the daemon alone"
    second = node.user()
    assert node.states(second) == ["on"]
    ended(second)
    until(lambda: not node.leftovers())
    assert node.events() == ["start", "quit"]


@pytest.mark.parametrize(
    ("fault", "reason", "events"),
    [
        ({"FAKE_MPS": "refuses"}, "-d ended with 1: the daemon must be permitted, but it is not", []),
        ({"FAKE_MPS": "deaf"}, "nvidia-cuda-mps-control does not answer", ["start"]),
        ({"FAKE_CUDA": "805"}, "a CUDA context under it ended with 1: CUDA answered 805", ["start", "quit"]),
        ({"FAKE_CUDA": "0"}, "CUDA does not use it", ["start", "quit"]),
    ],
)
def test_a_daemon_that_is_of_no_use_is_ended_and_not_tried_again(node, fault, reason, events):
    first = node.user(**fault)
    (state,) = node.states(first)
    assert state.startswith("off: ")
    assert state.endswith(reason)
    assert node.leftovers() == []
    assert node.events() == events
    assert node.states(node.user()) == [state], "although it would work now"
    assert node.events() == events
    an_hour_ago = time.time() - 3601
    os.utime(node.folder / "off", (an_hour_ago, an_hour_ago))
    assert node.states(node.user()) == ["on"]


def test_a_process_that_the_daemon_does_not_take_goes_without(node):
    """After a fault a server takes nobody until all that it hit have ended."""
    assert node.states(node.user()) == ["on"]
    assert node.states(node.user(FAKE_CUDA="807"))[0].endswith("CUDA answered 807")
    later = node.user(FAKE_CUDA_UNTIL=str(time.time() + 1.5))
    assert node.states(later) == ["on"], "it was asked again"
    assert node.states(node.user()) == ["on"], "nothing is wrong for others"


def test_after_a_fault_new_processes_do_without(node):
    users = [node.user() for _ in range(2)]
    assert node.states(*users) == ["on", "on"]
    stdin = users[0].stdin
    assert stdin is not None
    stdin.write("an illegal memory access\n")
    stdin.flush()
    assert told(users[0]) == (
        "an illegal memory access (under MPS, where a neighbour on the same GPU may be the cause)"
    )
    later = node.user()
    assert node.states(later) == ["off: a process met a fault under it: an illegal memory access"]
    assert later.stdin is not None
    later.stdin.write("another\n")
    later.stdin.flush()
    assert told(later) == "another", "it is its own"
    for user in users:
        ended(user)
    until(lambda: not node.leftovers())
    assert node.states(node.user())[0].startswith("off: "), "the daemon's end changes nothing"


@pytest.mark.parametrize(
    ("gpus", "environment", "expected"),
    [
        (0, {}, "|-"),
        (1, {}, "|-"),
        (2, {}, "|-"),
        (0.5, {"HPO_MPS": "0"}, "off: HPO_MPS is not 1|-"),
        (0.5, {"HPO_MPS": ""}, "off: HPO_MPS is not 1|-"),
        (0.5, {PIPES: "/site"}, "on: the site's daemon|/site"),
        (0.02, {}, "off: a GPU takes at most 48 processes|-"),
        (0.5, {"PATH": "/nowhere"}, "off: there is no nvidia-cuda-mps-control|-"),
    ],
)
def test_where_there_is_nothing_to_start(node, gpus, environment, expected):
    assert told(node.user(gpus, **environment)) == expected
    assert not node.folder.exists()
    assert node.events() == []


def test_a_folder_of_somebody_else_is_left_alone(node):
    node.folder.symlink_to("/tmp")
    assert "must be a folder of this user" in node.states(node.user())[0]
    assert node.events() == []
    node.folder.unlink()
