"""The processes in which other libraries run: a host for each library, and in it a guest for each run.

A host loads its library once and forks its guests. It ends with the driver, however the driver ends. A guest that crashes,
hangs or answers nonsense is one HostFailed; no call waits longer than its limit.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from hpo.errors import StudyFailed
from hpo.methods.hosted.libraries import Library
from hpo.methods.protocol import InvalidOption
from hpo.text import cut, duration, shown

GUESTS = Path(__file__).parent / "guests"
START_SECONDS = 300.0  # to load a library: torch from a slow disk takes a minute
SETTLED = {  # in a host: the number of cores and the order of sets must change no decision
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip


class HostFailed(StudyFailed):
    """A library that cannot go on with a run: it crashed, took too long, or answered nonsense."""


class Line:
    """The driver's end of a line of JSON to a process of `name`; every wait has a limit."""

    def __init__(self, name: str, end: socket.socket, errors: IO[bytes]) -> None:
        self._name, self._end, self._errors = name, end, errors
        self._unsent: list[str] = []
        self._unread = b""

    def tell(self, told: Mapping[str, Any]) -> None:
        """Keeps a message that needs no answer; it is sent with the next that does."""
        self._unsent.append(json.dumps(told))

    def ask(self, told: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """Sends a message and returns the answer. Raises HostFailed if none comes within `limit` seconds."""
        self.tell(told)
        text, self._unsent = "\n".join(self._unsent) + "\n", []
        until = time.monotonic() + limit
        try:
            self._end.settimeout(limit)
            self._end.sendall(text.encode())
            while b"\n" not in self._unread:
                self._end.settimeout(max(0.001, until - time.monotonic()))
                read = self._end.recv(1 << 16)
                if not read:
                    raise HostFailed(f"{self._name} ended without an answer{self.last_words()}")
                self._unread += read
        except TimeoutError:
            raise HostFailed(
                f"{self._name} must answer within {duration(limit)}, but did not{self.last_words()}; give the method a "
                "larger `limit` (in seconds) if it needs longer"
            ) from None
        except OSError:  # it is gone
            raise HostFailed(f"{self._name} ended without an answer{self.last_words()}") from None
        line, _, self._unread = self._unread.partition(b"\n")
        return self._read(line)

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except ValueError:
            answer = line.decode(errors="replace")
        if not isinstance(answer, dict):
            raise HostFailed(f"{self._name} must answer with a JSON object, but answered {shown(answer)}")
        if "refused" in answer:
            raise InvalidOption(str(answer["refused"]))
        if "error" in answer:
            raise HostFailed(f"{self._name} failed: {answer['error']}")
        return answer

    def last_words(self) -> str:
        """Returns the last line that the process wrote to its errors, for a message."""
        with suppress(OSError, ValueError):
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, size - 4096))
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            return f"; its last words: {cut(lines[-1].strip(), 300)}" if lines else ""
        return ""

    def close(self) -> None:
        self._end.close()
        self._errors.close()


class Host:
    """The process that has loaded a library, in the environment of the interpreter `python`.

    Raises HostFailed where it cannot be loaded.
    """

    def __init__(self, library: Library, python: str) -> None:
        self._library = library.name
        self._lock = threading.Lock()
        self.owner = os.getpid()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the host
        with theirs:
            self._process = subprocess.Popen(
                [python, "-s", str(GUESTS), library.guest],
                stdin=theirs.fileno(), stdout=self._errors, stderr=self._errors,
                env=environment(python), start_new_session=True,
            )  # fmt: skip
        atexit.register(self.close)
        told = self._hear(START_SECONDS)
        if "ready" not in told:
            self.close()
            raise HostFailed(f"{library.name} must load in {python}, but: {told.get('error')}")

    @property
    def alive(self) -> bool:
        """Whether guests can be had here, in this process."""
        return self.owner == os.getpid() and self._process.poll() is None

    def guest(self, opening: Mapping[str, Any]) -> Guest:
        """Returns a new guest that is to be opened with `opening`."""
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the guest
        with self._lock, theirs:
            try:
                packet = json.dumps({"open": True, "name": opening["name"], "options": opening["options"]}).encode()
                socket.send_fds(self._control, [packet], [theirs.fileno(), errors.fileno()])
            except OSError:
                raise HostFailed(f"the host of {self._library} has ended") from None
            number = int(self._hear(START_SECONDS)["guest"])
        return Guest(self, number, Line(self._library, ours, errors))

    def _hear(self, limit: float) -> dict[str, Any]:
        self._control.settimeout(limit)
        try:
            packet = self._control.recv(1 << 16)
        except TimeoutError:
            packet = b""
        if not packet:
            words = Line(self._library, self._control, self._errors).last_words()
            self.close()
            raise HostFailed(f"the host of {self._library} did not start or has ended{words}")
        answer: dict[str, Any] = json.loads(packet)
        return answer

    def kill(self, guest: int) -> None:
        """Ends a guest at once, if it has not ended. A fork of this process ends nothing.

        Takes no lock, since the collector of garbage may call it while `guest` holds it; a packet is sent whole.
        """
        if self.owner == os.getpid():
            with suppress(OSError):
                self._control.send(json.dumps({"kill": guest}).encode())

    def close(self) -> None:
        """Ends the host and its guests."""
        atexit.unregister(self.close)
        self._control.close()
        if self.owner == os.getpid():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)
            self._process.kill()
            self._process.wait()
        self._errors.close()


class Guest:
    """A library's process for one run. It ends when it is closed, or nobody holds it any more."""

    def __init__(self, host: Host, number: int, line: Line) -> None:
        self._line = line
        self.close = weakref.finalize(self, _end, host, number, line)

    def tell(self, do: str, **told: Any) -> None:
        """Says something that needs no answer; it is sent with the next that does."""
        self._line.tell({"do": do, **told})

    def ask(self, do: str, limit: float, **told: Any) -> dict[str, Any]:
        """Says something and returns the answer. Raises HostFailed, and InvalidOption for what the library refuses."""
        try:
            return self._line.ask({"do": do, **told}, limit)
        except (HostFailed, InvalidOption):
            self.close()
            raise


def _end(host: Host, number: int, line: Line) -> None:
    host.kill(number)
    line.close()


_hosts: dict[tuple[str, str], Host] = {}
_lock = threading.Lock()


def opened(library: Library, python: str, opening: Mapping[str, Any], limit: float) -> tuple[Guest, dict[str, Any]]:
    """Returns a new guest of a library that has opened a run, and what it says of itself.

    Starts the library's host where this process has none yet. Raises HostFailed, and InvalidOption for what it refuses.
    """
    with _lock:
        host = _hosts.get((library.name, python))
        if host is None or not host.alive:
            host = _hosts[library.name, python] = Host(library, python)
    guest = host.guest(opening)
    return guest, guest.ask("open", limit, **opening)


def environment(python: str) -> dict[str, str]:
    """Returns the environment variables of a host: this process's own, but for what points another Python elsewhere."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**found, "PATH": f"{Path(python).parent}{os.pathsep}{found.get('PATH', '')}", **SETTLED}
