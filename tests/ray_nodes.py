"""Ray nodes for tests: real processes on loopback, each with its own ports and folder."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]


OWN_PORTS = range(
    21_000, 32_000
)  # neither what systems give out nor the ports of Ray's workers: Ray looks for its own there


def free_ports(count: int) -> list[int]:
    """Returns ports that were free a moment ago and that nobody gets who asks for any."""
    found: list[int] = []
    for port in random.SystemRandom().sample(OWN_PORTS, len(OWN_PORTS)):  # tests run side by side
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"{count} ports of {OWN_PORTS} must be free")


def own_place(folder: Path) -> list[str]:
    """Returns options of `ray start` for one of several nodes on this machine.

    Ray expects every node to have its own file system and ports. Two nodes that start at once in one folder use the
    same sockets, and one of them aborts.
    """
    agent, grpc, runtime, metrics = free_ports(4)
    return [
        "--node-ip-address=127.0.0.1", f"--temp-dir={folder}", f"--object-store-memory={80 * 2**20}",
        f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={grpc}",
        f"--runtime-env-agent-port={runtime}", f"--metrics-export-port={metrics}",
    ]  # fmt: skip


def environment(**changes: object) -> dict[str, str]:
    """Returns this process's variables without Ray's, with this Python first on PATH, and the changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = f"{BIN}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in changes.items()}}


@contextlib.contextmanager
def somebodys_cluster(*nodes: Mapping[str, Any]) -> Iterator[str]:
    """Yields the address of a cluster without a token: a head without CPUs, and nodes with these options of `ray start`."""
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_ADDRESS")}
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ.pop("RAY_ADDRESS", None)
    from ray.cluster_utils import Cluster

    sizes = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **sizes})
    try:
        for options in nodes:
            cluster.add_node(**options, **sizes)
        yield cluster.address
    finally:
        cluster.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


class Child:
    """A process in its own session, with its output in a file."""

    def __init__(
        self, command: Sequence[object], variables: Mapping[str, str], log: Path, folder: Path | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env=dict(variables),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, true: Callable[[], object], seconds: float = 300) -> None:
        """Waits until a condition holds; fails if the process ends before."""
        end = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, self.text[-3000:]
            assert time.monotonic() < end, self.text[-3000:]
            time.sleep(0.2)

    def wait(self, seconds: float = 300) -> int:
        """Waits for the exit code and returns it."""
        return self.process.wait(seconds)

    def close(self) -> None:
        """Ends the process and its whole session."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
