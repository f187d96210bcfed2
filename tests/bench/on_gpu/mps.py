"""NVIDIA's Multi-Process Service: kernels of several processes run at the same time on one GPU. Changes no setting of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAM = "nvidia-cuda-mps-control"
PLACES = (os.environ.get("PATH", ""), "/usr/bin", "/usr/local/nvidia/bin", "/usr/local/cuda/bin", "/opt/nvidia/bin")


class NotAvailable(Exception):
    """MPS cannot be started here."""


class Daemon:
    """A control daemon with folders of its own; processes started with `environment` use it."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self.environment = {
            "CUDA_MPS_PIPE_DIRECTORY": str(folder / "pipe"),
            "CUDA_MPS_LOG_DIRECTORY": str(folder / "log"),
        }
        for name in self.environment.values():
            Path(name).mkdir()

    def start(self) -> None:
        """Raises NotAvailable where the daemon does not start."""
        answer = self._run("-d")
        if answer.returncode:
            raise NotAvailable(f"{PROGRAM} -d: {(answer.stderr or answer.stdout).strip()[-200:]}")

    def servers(self) -> list[int]:
        """Returns the server processes: one as soon as a process uses CUDA through this daemon."""
        found = self._run(told="get_server_list").stdout.split()
        return [int(word) for word in found if word.isdigit()]

    def log(self) -> str:
        """Returns the end of what daemon and server logged."""
        texts = [path.read_text(errors="replace") for path in sorted((self._folder / "log").glob("*.log"))]
        return " ".join(" ".join(texts).split())[-300:]

    def stop(self) -> None:
        """Ends the daemon and its server, which no process may use any more; kills them where they do not answer."""
        left: list[int] = []
        with suppress(NotAvailable):
            left = self.servers()
            if self._run(told="quit").returncode == 0:
                return
        with suppress(OSError, ValueError):
            left.append(int((self._folder / "pipe" / f"{PROGRAM}.pid").read_text()))
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _run(self, *arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._program, *arguments], input=f"{told}\n" if told else None, capture_output=True, text=True,
                timeout=10, env={**os.environ, **self.environment}, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotAvailable(f"{PROGRAM}: {error}") from None


@contextmanager
def daemon() -> Iterator[Daemon]:
    """Runs a control daemon until exit. Raises NotAvailable."""
    program = shutil.which(PROGRAM, path=os.pathsep.join(PLACES))
    if program is None:
        raise NotAvailable(f"there is no {PROGRAM} on this machine")
    with tempfile.TemporaryDirectory(prefix="mps-", ignore_cleanup_errors=True) as folder:
        found = Daemon(program, Path(folder))
        try:
            found.start()
            yield found
        finally:
            found.stop()
