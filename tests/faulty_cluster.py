"""A Ray cluster for fault tests: each node is a set of real processes on loopback, in its own session."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import rmtree

from ray_nodes import BIN, Child, environment, free_ports, own_place

WORKER = "ray::SlotWorker"
HEAD_GONE_SECONDS = 5  # nodes without a head end after this time (Ray's default: a minute)


def living(session: int) -> dict[int, str]:
    """Returns the processes of a session: process id -> command line.

    Ray's processes stay in the session of their `ray start`, whatever their parent becomes. Environment variables would
    not mark them: a process that renames itself overwrites them.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            state, _, _, own, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(own) == session and state not in "ZX":
                found[pid] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def until(true: Callable[[], object], seconds: float, otherwise: Callable[[], str]) -> None:
    """Waits for a condition; fails with the text of `otherwise`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.2)


class FaultyCluster:
    """A head without CPUs, where drivers run, and nodes with the given CPUs."""

    def __init__(self, folder: Path, cpus: Sequence[int], variables: Mapping[str, object]) -> None:
        self.folder, self.cpus, self._more = folder, list(cpus), dict(variables)
        self.port = free_ports(1)[0]
        self.nodes: dict[int, Child] = {}
        self.sessions: set[int] = set()  # of all nodes and drivers ever started
        self._number = 0
        (folder / "tmp").mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def variables(self) -> dict[str, str]:
        """Returns the environment of the cluster's processes and of drivers."""
        return environment(
            RAY_AUTH_MODE="disabled", RAY_gcs_rpc_server_reconnect_timeout_s=HEAD_GONE_SECONDS,
            RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=2,
            TMPDIR=self.folder / "tmp", PYTHONUNBUFFERED=1, NO_COLOR=1, COLUMNS=120, **self._more,
        )  # fmt: skip

    def start(self) -> None:
        """Starts the head and a node for each of `cpus`; returns when all have joined."""
        self.start_head()
        for cpus in self.cpus:
            self.add(cpus)

    def start_head(self) -> None:
        self._begin(0, ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"])

    def add(self, cpus: int, *options: str) -> int:
        """Starts a node and returns its number; it joins once it is up."""
        self._number += 1
        self._begin(self._number, [f"--address={self.address}", f"--num-cpus={cpus}", *options])
        return self._number

    def _begin(self, number: int, options: Sequence[str]) -> None:
        place = self.folder / f"n{number}-{secrets.token_hex(2)}"
        command = [BIN / "ray", "start", *options, "--block", "--disable-usage-stats", "--num-gpus=0",
                   "--include-log-monitor=false", *own_place(place)]  # fmt: skip
        log = self.folder / f"node{number}.log"
        log.unlink(missing_ok=True)
        self.nodes[number] = self.child(command, log, self.folder)
        self.nodes[number].until(lambda: "Ray runtime started" in self.nodes[number].text)

    def child(self, command: Sequence[object], log: Path, folder: Path) -> Child:
        """Starts a process of the cluster or a driver, and remembers its session for `left`."""
        started = Child(command, self.variables(), log, folder)
        self.sessions.add(started.process.pid)
        return started

    # -- processes ----------------------------------------------------------------------------------------------------------

    def of(self, number: int) -> dict[int, str]:
        """Returns the living processes of a node."""
        return living(self.nodes[number].process.pid)

    def workers(self) -> list[int]:
        """Returns the processes that train or wait for work."""
        return sorted(pid for number in self.nodes for pid, command in self.of(number).items() if WORKER in command)

    def left(self) -> dict[int, str]:
        """Returns all living processes of the cluster and its drivers."""
        return {pid: command for session in self.sessions for pid, command in living(session).items()}

    # -- faults -------------------------------------------------------------------------------------------------------------

    def kill(self, number: int) -> None:
        """Kills every process of a node at once, as a power failure would."""
        while there := self.of(number):
            for pid in there:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        node = self.nodes.pop(number).process
        node.wait(30)
        self.sessions.discard(node.pid)  # none of it is left, and the number may soon be somebody else's

    def ended(self, number: int) -> bool:
        return not self.of(number)

    def close(self) -> dict[int, str]:
        """Stops every node in order. Kills the processes that are left after a minute, and returns them."""
        for number in sorted(self.nodes, reverse=True):
            self.nodes[number].process.terminate()
        with contextlib.suppress(AssertionError):
            until(lambda: not self.left(), 60, str)
        left = self.left()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for node in self.nodes.values():
            node.process.wait(30)
        self.nodes.clear()
        return left


@contextlib.contextmanager
def faulty_cluster(
    folder: Path, cpus: Sequence[int], variables: Mapping[str, object] | None = None
) -> Iterator[FaultyCluster]:
    """Starts a cluster; fails if it leaves a process at the end. `variables` are for its processes and drivers."""
    cluster = FaultyCluster(folder, cpus, variables or {})
    try:
        cluster.start()
        yield cluster
        left = cluster.close()
        assert not left, f"processes were left behind: {left}"
    finally:
        cluster.close()
        for place in folder.glob("n*-*"):
            rmtree(place, ignore_errors=True)
