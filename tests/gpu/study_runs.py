"""Studies as test_gpu_studies.py plays them: `hpo run` as a child process, what its store holds, how busy the GPU is.

Starts child processes, each in a session of its own, and ends what they leave behind. Reads stores; writes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Self

from conftest import command, environment
from faulty_cluster import living

from hpo.store import StudyData, read

POLL_SECONDS = 0.02
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")

Process = subprocess.Popen[bytes]
Curve = dict[str, float]


# -- the command line -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What became of a command. `code` is None where it was killed at its limit; `began` is a unix time in seconds."""

    code: int | None
    stdout: str
    stderr: str
    began: float
    seconds: float

    @property
    def reason(self) -> str:
        """How it ended, for the message of a failed assertion."""
        ended = "killed at its limit" if self.code is None else f"exit code {self.code}"
        return f"{ended} after {self.seconds:.1f} s: {self.stderr[-1500:] or 'nothing on stderr'}"


def run(
    *arguments: object, folder: Path, seconds: float, variables: Mapping[str, object] = {},
    meanwhile: Callable[[Process], None] = lambda process: None,
) -> Answer:  # fmt: skip
    """Runs `hpo` with these arguments for at most so many seconds, then ends every process of its session.

    `meanwhile` is called over and over until the command has ended. Output passes through files in the new `folder`:
    a process that Ray leaves behind could hold a pipe open for ever.
    """
    return run_command(command(*arguments), folder=folder, seconds=seconds, variables=variables, meanwhile=meanwhile)


def run_command(
    words: Sequence[str], *, folder: Path, seconds: float, variables: Mapping[str, object] = {},
    meanwhile: Callable[[Process], None] = lambda process: None,
) -> Answer:  # fmt: skip
    """Runs any command as `run` does."""
    folder.mkdir(parents=True)
    more = {name: str(value) for name, value in variables.items()}
    began, deadline = time.time(), time.monotonic() + seconds
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            words, env={**environment(), **more}, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None and time.monotonic() < deadline:
                meanwhile(process)
                time.sleep(POLL_SECONDS)
            code = process.poll()
        finally:
            end(process)
    said = [(folder / name).read_text(errors="replace") for name in ("stdout", "stderr")]
    return Answer(code, said[0], said[1], began, time.time() - began)


def end(process: Process) -> None:
    """Kills what is left of the process's session: itself at its limit, and Ray's processes where it could not."""
    for _ in range(100):
        left = living(process.pid)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        if not left:
            break
        time.sleep(0.05)
    process.wait(10)


# -- what a store holds -----------------------------------------------------------------------------------------------


def spooled(store: Path, study: str, table: str = "epochs") -> list[dict[str, Any]]:
    """Returns the rows that a running driver has taken in and not delivered yet: those of the last second."""
    rows = []
    for path in (store / study / "spool").rglob("*"):
        with contextlib.suppress(OSError):  # delivered meanwhile, or a folder
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError):  # its second half is not there yet
                    name, row = json.loads(line)
                    rows += [row] if name == table else []
    return rows


@dataclass(frozen=True)
class Played:
    """A study's store, read after the fact."""

    data: StudyData

    @classmethod
    def of(cls, store: Path, study: str) -> Played:
        return cls(read(str(store), study))

    @property
    def charges(self) -> list[tuple[Any, ...]]:
        """What each run was charged, in order: equal for equal proposals and decisions."""
        names = ("run", "order", "number", "trial", "epoch")
        return sorted(tuple(row[name] for name in names) for row in self.data.charges.to_pylist())

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The epochs that count, without those that were trained again, in the order of their arrival."""
        return sorted(
            (row for row in self.data.epochs.to_pylist() if not row["attempt"]), key=lambda row: row["finished"]
        )

    @property
    def workers(self) -> set[str]:
        return set(self.data.epochs["worker"].to_pylist())

    @property
    def failures(self) -> list[str]:
        """Why trials failed, or runs ended before their budget did."""
        failed = [row["reason"] for row in self.data.failures.to_pylist()]
        return failed + [str(row["reason"]) for row in self.data.runs.to_pylist() if row["status"] != "complete"]

    def curves(self, **config: object) -> dict[tuple[str, int], Curve]:
        """Returns the metrics of each (trial, epoch), of the trials with these hyperparameters."""
        wanted = {f"config_{name}": value for name, value in config.items()}
        return {
            (row["trial"], row["epoch"]): {name: row[name] for name in METRICS}
            for row in self.epochs
            if all(row[name] == value for name, value in wanted.items())
        }


def farthest(one: Mapping[tuple[str, int], Curve], other: Mapping[tuple[str, int], Curve]) -> dict[str, float]:
    """Returns the largest difference of each metric over epochs of both: of a loss relative to the larger of it and 1."""
    found = dict.fromkeys(METRICS, 0.0)
    for key in one.keys() & other.keys():
        for name in METRICS:
            a, b = one[key][name], other[key][name]
            scale = max(1.0, abs(a), abs(b)) if "loss" in name else 1.0
            found[name] = max(found[name], abs(a - b) / scale)
    return found


# -- the GPU ----------------------------------------------------------------------------------------------------------


class Gauge:
    """Reads the first GPU's use by NVML while its block runs. Raises OSError where NVML does not answer."""

    def __init__(self, seconds: float = 0.05) -> None:
        self._seconds, self._over = seconds, threading.Event()
        self._read: list[tuple[float, float, float]] = []  # unix time, busy share, bytes in use
        self._thread = threading.Thread(target=self._loop, name="gauge", daemon=True)

    def __enter__(self) -> Self:
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml, self._gpu = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
            self._sample()
        except Exception as error:  # NVML's own errors have no common root but Exception
            raise OSError(f"NVML must answer, but does not: {error}") from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)

    def _sample(self) -> None:
        busy = self._nvml.nvmlDeviceGetUtilizationRates(self._gpu).gpu / 100
        used = self._nvml.nvmlDeviceGetMemoryInfo(self._gpu).used
        self._read.append((time.time(), float(busy), float(used)))

    def _loop(self) -> None:
        while not self._over.wait(self._seconds):
            with contextlib.suppress(Exception):  # a gap in the record
                self._sample()

    def busy(self, since: float, until: float) -> float:
        """Returns the mean busy share from one unix time to another; NaN where nothing was read."""
        found = [share for at, share, _ in self._read if since <= at <= until]
        return mean(found) if found else float("nan")

    @property
    def peak(self) -> float:
        """The most bytes in use by all processes together."""
        return max((used for _, _, used in self._read), default=float("nan"))


def span(epochs: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """Returns the unix times of the first and the last epoch's arrival."""
    times = [row["finished"] for row in epochs]
    return min(times), max(times)
