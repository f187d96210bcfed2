"""`hpo serve` as a process of its own beside a real head, and studies that are quick to play there."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray_head import Head
from ray_nodes import BIN, Child, free_ports

from hpo.service.access.tokens import Tokens

STUDY = """
study: {name}
trainable: curves
data: {{seconds: {seconds}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
budget: {{epochs: {epochs}, max_epochs: 6}}
methods: [random]
"""


def study(name: str, *, seconds: float = 0.2, epochs: int = 600) -> str:
    return STUDY.format(name=name, seconds=seconds, epochs=epochs)


class Service:
    """`hpo serve` as a process of its own, and tokens of three roles."""

    def __init__(self, head: Head, folder: Path, *options: object) -> None:
        self.head, self.folder, self.options = head, folder, options
        self.store = folder / "store"
        self.tokens: dict[str, str] = {}
        kept = Tokens(folder / "tokens.json")
        for name, role in (("anna", "run"), ("bob", "run"), ("vera", "view"), ("root", "admin")):
            self.tokens[name] = kept.add(name, role)[1]
        self.port = free_ports(1)[0]
        self.child = self._started()

    def _started(self) -> Child:
        command = [
            BIN / "python", "-m", "hpo.cli", "serve", self.store, "--address", self.head.url, "--port", self.port,
            "--queue", "study", "--tokens", self.folder / "tokens.json", "--cache", self.folder / "cache", *self.options,
        ]  # fmt: skip
        child = Child(command, self.head.variables, self.folder / "service.log")
        child.until(lambda: self.answers("/health"))
        return child

    def answers(self, path: str) -> bool:
        try:
            return self.ask("GET", path, None)[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        os.killpg(self.child.process.pid, signal.SIGKILL)
        self.child.process.wait(20)

    def end(self) -> None:
        """Tells the process to end, and waits until it has."""
        self.child.process.terminate()
        self.child.process.wait(20)

    def start(self) -> None:
        self.child = self._started()

    def ask(
        self, method: str, path: str, who: str | None = "anna", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Returns status and JSON of an answer."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["Authorization"] = f"Bearer {self.tokens[who]}"
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}", data=content, headers=sent, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def word(self, name: str) -> str:
        """Returns the word of a study's state; nothing for one that there is not."""
        status, found = self.ask("GET", f"/studies/{name}")
        return str(found["state"]["word"]) if status == 200 else ""

    def charged(self, name: str) -> float:
        status, found = self.ask("GET", f"/studies/{name}")
        return float(found["budget"]["charged"]) if status == 200 else 0.0

    def until(self, true: Callable[[], object], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.child.text[-3000:]
            time.sleep(0.3)
