"""The control daemon of NVIDIA's Multi-Process Service: how it is started, tried, asked and ended.

There is one for each user and node, in a private folder below the temporary directory. The first process that needs it
starts it, and a keeper with it: a process of its own that ends the daemon once no process uses it any more. A process is
a user while it holds a shared lock (flock) on the file `users`, which the kernel frees however the process ends. Whatever
is decided about the daemon is decided under the file `lock`.

Imports only the standard library and filelock, because the keeper runs this file alone. Changes no setting of a card.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock

log = logging.getLogger(__name__)

PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
PROGRAM = "nvidia-cuda-mps-control"
LONGEST_TEMPORARY = 40  # characters: the daemon's socket paths below it must fit the kernel's limit of 107
ANSWER_SECONDS = 5.0
CONTEXT_SECONDS = 10.0
END_SECONDS = 10.0
LOCK_SECONDS = 60.0  # more than a start and an end take together
OFF_SECONDS = 3600.0  # that a node does without MPS after a fault or a failed start
KEEP_SECONDS = 1.0  # between two looks of the keeper

CONTEXT = """
import ctypes, sys
cuda, device, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_void_p()
answer = (
    cuda.cuInit(0)
    or cuda.cuDeviceGet(ctypes.byref(device), 0)
    or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
)
if answer:
    sys.exit(f"CUDA answered {answer}")
cuda.cuDevicePrimaryCtxRelease(device)
"""  # a CUDA context without the seconds that torch takes to import


def folder() -> Path:
    """Returns the folder of this user's daemon on this machine."""
    temporary = tempfile.gettempdir()
    return Path(temporary if len(temporary) <= LONGEST_TEMPORARY else "/tmp") / f"hpo-mps-{os.getuid()}"


@dataclass(frozen=True)
class Daemon:
    """The control daemon below `folder`, told by `program`."""

    folder: Path
    program: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment that leads a process to this daemon."""
        return {PIPES: str(self.folder / "pipe"), LOGS: str(self.folder / "log")}

    def join(self) -> tuple[str, IO[str] | None]:
        """Makes this process a user, and starts the daemon if there is none.

        Returns why this process cannot use it, or "" and the open file that keeps it a user. Raises OSError where the
        folder cannot be used.
        """
        _private(self.folder)
        with FileLock(self.folder / "lock", timeout=LOCK_SECONDS):
            use = (self.folder / "users").open("a")
            try:
                first = _locked(use)
                fcntl.flock(use, fcntl.LOCK_SH)
                why = self._off()
                found = not why and self._answers()
                if not why and not found:
                    why = self._started(first)
                if not why:
                    self._keep()
            except BaseException:
                use.close()
                raise
        if found and not why:
            why = self._context()  # not under the lock: several processes may start at once
        if why:
            use.close()
        return why, None if why else use

    def _started(self, first: bool) -> str:
        """Starts the daemon; returns why that came to nothing, and leaves no daemon behind then."""
        if not first:
            return f"{PROGRAM} does not answer, and others use it"
        self.end()
        why = self._start()
        if why:
            self.end()
            self.mark(why)
        return why

    def _start(self) -> str:
        """Starts the daemon; returns why it is of no use, or "" if a process can open a context under it."""
        for name in ("pipe", "log"):
            _private(self.folder / name)
        why = _ran([self.program, "-d"], self._environment(), ANSWER_SECONDS, self.folder / "said")
        if why:
            return f"{PROGRAM} -d {why}"
        until = time.monotonic() + ANSWER_SECONDS
        while not self._answers():
            if time.monotonic() > until:
                return f"{PROGRAM} does not answer"
            time.sleep(0.05)
        why = self._context()
        if not why and not (self._tell("get_server_list", ANSWER_SECONDS) or "").strip():
            return "CUDA does not use it"
        return why

    def _context(self) -> str:
        """Returns why a process cannot open a CUDA context under the daemon, "" if it can.

        The server takes nobody while it starts, nor after a fault before all that it hit have ended: so it is asked again.
        """
        until = time.monotonic() + CONTEXT_SECONDS
        environment, said = {**os.environ, **self.variables}, self.folder / f"said-{os.getpid()}"
        while True:
            why = _ran([sys.executable, "-c", CONTEXT], environment, CONTEXT_SECONDS, said)
            said.unlink(missing_ok=True)
            if not why or time.monotonic() > until:
                return why and f"a CUDA context under it {why}"
            time.sleep(0.5)

    def _answers(self) -> bool:
        return self._tell("get_server_list", ANSWER_SECONDS) is not None

    def _tell(self, words: str, seconds: float) -> str | None:
        """Returns what the daemon answers; None if it does not."""
        try:
            answer = subprocess.run(
                [self.program], input=f"{words}\n", capture_output=True, text=True, timeout=seconds, check=False,
                env=self._environment(),
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        return None if answer.returncode or "Cannot find" in answer.stdout + answer.stderr else answer.stdout

    def _environment(self) -> dict[str, str]:
        """Returns the daemon's environment: it serves all GPUs of the node, whatever this process was given."""
        return {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"} | self.variables

    def _keep(self) -> None:
        """Starts a keeper unless there is one. Ray ends the children of a worker with it, so it must not be one."""
        command = [sys.executable, "-P", __file__, str(self.folder), self.program]
        _ran(command, self._environment(), ANSWER_SECONDS, self.folder / "said", cwd="/")

    def ended_unless_used(self) -> bool:
        """Ends the daemon if no process uses it, and returns whether it did."""
        with FileLock(self.folder / "lock"), (self.folder / "users").open("a") as use:
            if not _locked(use):
                return False
            self.end()
            return True

    def end(self) -> None:
        """Ends the daemon and its servers. Call it under the lock."""
        if self._processes():
            self._tell("quit", END_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            until = time.monotonic() + 2.0
            while self._processes() and time.monotonic() < until:
                time.sleep(0.05)
            for process in self._processes():
                with suppress(ProcessLookupError):
                    os.kill(process, number)
        shutil.rmtree(self.folder / "pipe", ignore_errors=True)

    def _processes(self) -> list[int]:
        """Returns the daemon and its servers: they bear the program's name, and their environment names our folder."""
        mark, found = f"{PIPES}={self.variables[PIPES]}".encode(), []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                ours = (place / "comm").read_text().startswith("nvidia-cuda-mps")
                if ours and mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
        return found

    def mark(self, why: str) -> None:
        """Keeps processes that start within the next hour from joining."""
        log.warning("MPS is off on this node for %.0f s: %s", OFF_SECONDS, why)
        (self.folder / "off").write_text(why, encoding="utf-8")

    def _off(self) -> str:
        """Returns why processes must not join now, or ""."""
        try:
            since = time.time() - (self.folder / "off").stat().st_mtime
            return (self.folder / "off").read_text(encoding="utf-8") if since < OFF_SECONDS else ""
        except FileNotFoundError:
            return ""


def _private(place: Path) -> None:
    """Makes a folder that nobody else may enter. Raises OSError where something else is in its place."""
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise OSError(f"{place} must be a folder of this user, but it is not; delete it")
    place.chmod(0o700)


def _locked(file: IO[str]) -> bool:
    """Takes the file's lock for this process alone; returns False where another holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ran(command: list[str], environment: Mapping[str, str], seconds: float, said: Path, cwd: str | None = None) -> str:
    """Runs a command; returns "" if it ends well in time, else what became of it, with its last line.

    A daemon keeps its parent's outputs open, so that they are a file, `said`, and no pipe.
    """
    with said.open("w+") as out:
        process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, start_new_session=True
        )  # fmt: skip
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)  # a process that the driver holds cannot even be killed
            return f"did not end within {seconds:g} s"
        out.seek(0)
        lines = out.read().strip().splitlines() or ["without a word"]
    return f"ended with {code}: {lines[-1][:200]}" if code else ""


def keep(place: Path, program: str) -> None:
    """Ends the daemon of the folder `place` once no process uses it: what the keeper does. Returns where there is a keeper."""
    with (place / "keeper").open("a") as mine:
        if not _locked(mine):
            return
        if os.fork():
            os._exit(0)  # the child is the keeper, and holds the lock
        while not Daemon(place, program).ended_unless_used():
            time.sleep(KEEP_SECONDS)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.argv[2])
