"""A real head of Ray on loopback that asks for a token, with its job server and one place in the queue `study`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from shutil import rmtree

from ray_nodes import BIN, Child, environment, free_ports, own_place

from cluster.job import HeadUnreachable
from cluster.jobs import JobServer
from cluster.tokens import Token

SECRET = "0123456789abcdef" * 4
NONE = ""  # as RAY_AUTH_TOKEN_PATH


class Head:
    """A head on loopback."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hpo-head-", dir="/tmp"))
        (self.folder / "token").write_text(SECRET)
        (self.folder / "token").chmod(0o600)
        self.gcs, dashboard = free_ports(2)
        self.url = f"http://127.0.0.1:{dashboard}"
        command = [
            BIN / "ray", "start", "--head", "--block", "--disable-usage-stats", "--num-cpus", "1", "--num-gpus", "0",
            "--labels", "role=driver", "--resources", '{"study": 1}',
            "--port", self.gcs, "--dashboard-host", "127.0.0.1", "--dashboard-port", dashboard,
            *own_place(self.folder / "ray"),
        ]  # fmt: skip
        self.metrics = int(next(w for w in map(str, command) if "metrics-export" in w).partition("=")[2])
        self.variables = environment(
            RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=self.folder / "token", RAY_metrics_report_interval_ms=1000
        )
        self.child = Child(command, self.variables, self.folder / "log")
        self.others: list[Child] = []

    def server(self) -> JobServer:
        """Returns the job server once it answers."""
        until = time.monotonic() + 300
        while True:
            try:
                return JobServer(self.url, token=Token(SECRET, "the test"))
            except HeadUnreachable:
                assert time.monotonic() < until, self.child.text[-2000:]
                assert self.child.process.poll() is None, self.child.text[-2000:]
                time.sleep(0.2)

    def join(self, label: str) -> Child:
        """Starts another node, with one label."""
        command = [
            BIN / "ray", "start", "--address", f"127.0.0.1:{self.gcs}", "--block", "--num-cpus", "1", "--num-gpus", "0",
            "--disable-usage-stats", "--labels", label, *own_place(self.folder / f"ray{len(self.others)}"),
        ]  # fmt: skip
        self.others.append(Child(command, self.variables, self.folder / f"log{len(self.others)}"))
        return self.others[-1]

    def close(self) -> None:
        for child in (*self.others, self.child):
            child.close()
        rmtree(self.folder, ignore_errors=True)
