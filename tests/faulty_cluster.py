"""A Ray cluster that is made to be hurt: each node real processes on loopback, in a session of its own."""

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

WORKER = "ray::ResourceTrainable"  # what Tune makes of the driver's class when it is given resources
HEAD_GONE_SECONDS = 5  # after which nodes without a head end; Ray's own default is a minute


def living(session: int) -> dict[int, str]:
    """The processes of a session: process id -> command line. Ray's stay in that of the `ray start` that began them,
    whoever their parent is by then; variables would be no mark, since a process that renames itself writes over them."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            state, _, _, own, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(own) == session and state not in "ZX":
                found[pid] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def until(true: Callable[[], object], seconds: float, otherwise: Callable[[], str]) -> None:
    """Waits for a condition; fails with what `otherwise` says."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.2)


class FaultyCluster:
    """A head without CPUs, where drivers run, and nodes with those given."""

    def __init__(self, folder: Path, cpus: Sequence[int], variables: Mapping[str, object]) -> None:
        self.folder, self.cpus, self._more = folder, list(cpus), dict(variables)
        self.port = free_ports(1)[0]
        self.nodes: dict[int, Child] = {}
        self.sessions: set[int] = set()  # of all nodes and drivers that there ever were
        self._number = 0
        (folder / "tmp").mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def variables(self) -> dict[str, str]:
        """For the cluster's processes and for drivers."""
        return environment(
            RAY_AUTH_MODE="disabled", RAY_gcs_rpc_server_reconnect_timeout_s=HEAD_GONE_SECONDS,
            TMPDIR=self.folder / "tmp", PYTHONUNBUFFERED=1, NO_COLOR=1, COLUMNS=120, **self._more,
        )  # fmt: skip

    def start(self) -> None:
        """The head and a node for each of `cpus`; returns when all have joined."""
        self.start_head()
        for cpus in self.cpus:
            self.add(cpus)

    def start_head(self) -> None:
        self._begin(0, ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"])

    def add(self, cpus: int, *options: str) -> int:
        """Begins a node and returns its number; it joins when it is up."""
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
        """A process of the cluster, or a driver: what it leaves behind is found."""
        started = Child(command, self.variables(), log, folder)
        self.sessions.add(started.process.pid)
        return started

    # -- who is there ---------------------------------------------------------------------------------------------

    def of(self, number: int) -> dict[int, str]:
        """The living processes of a node."""
        return living(self.nodes[number].process.pid)

    def workers(self) -> list[int]:
        """The processes that train, or wait for something to train."""
        return sorted(pid for number in self.nodes for pid, command in self.of(number).items() if WORKER in command)

    def left(self) -> dict[int, str]:
        """All that lives of the cluster and its drivers."""
        return {pid: command for session in self.sessions for pid, command in living(session).items()}

    # -- what is done to them -------------------------------------------------------------------------------------

    def kill(self, number: int) -> None:
        """A machine that loses its power: nothing of it is told anything."""
        while there := self.of(number):
            for pid in there:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self.nodes.pop(number).process.wait(30)

    def ended(self, number: int) -> bool:
        return not self.of(number)

    def close(self) -> dict[int, str]:
        """Stops every node in order; returns what is left of them all, which is then killed."""
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
    """A cluster that is up; at the end nothing of it is left. `variables` are those of its processes and drivers."""
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
