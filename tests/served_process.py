"""A real `hpo serve` in a process of its own, which a test may kill and start again at the same port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0


class ServedProcess:
    """The service of a store; its tokens, cache and log lie in `folder`."""

    def __init__(self, store: str | Path, folder: Path, *options: str) -> None:
        self._store, self._folder, self._options = str(store), folder, options
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HPO_", "XDG_"))},
            "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / "config"), "XDG_CACHE_HOME": str(folder / "cache"),
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The number of the process while it runs."""
        assert self._process is not None
        return self._process.pid

    def token(self, name: str, role: str) -> str:
        """Makes a token by `hpo token add`, and returns its secret."""
        words = ["token", "add", name, "--role", role, "--store", self._store]
        done = subprocess.run(self._command(*words), env=self._environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def start(self) -> None:
        """Starts the process, at the port that it had before, and waits until it listens."""
        log = self._folder / f"serve-{time.monotonic_ns()}.log"
        with log.open("wb") as stream:
            words = ["serve", self._store, "--port", str(self.port), *self._options]
            self._process = subprocess.Popen(self._command(*words), env=self._environment, stderr=stream)
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.port = int(found[1])

    def end(self, number: int = signal.SIGKILL) -> None:
        """Ends the process, at once or as it likes, and waits for its end."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "hpo.cli", *words]
