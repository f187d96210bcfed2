"""The service under load: a study of 100,000 epochs that a driver goes on writing, 200 readers over HTTP, 20 reports at once.

    python tests/bench/bench_service.py [--quick] [--json FILE]

Driver, service and readers are processes of their own. Half of the readers listen to the study's events, and come again now
and then; the others ask for the study once a second. The driver's pace is taken before, during and after; a reader alone
is timed before the others come. The reports are of as many studies, one of them the one that runs. Takes 16 minutes; quick:
a minute and a half. What it waits for has limits: a service that does not keep up shows in the rows.
"""

from __future__ import annotations

import hashlib
import json
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any, Self

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell
from served_process import ServedProcess

from hpo.service.analysis import handing
from hpo.service.readings.study import NoJobs, StudyLook
from hpo.store import read
from tests.bench import large_store
from tests.bench.growing_store import NAME, Growing

HERE = Path(__file__).parent
READERS = 200
WAIT_SECONDS = 120.0  # for a process's word


@dataclass(frozen=True)
class Size:
    """How large a measurement is, in epochs, seconds and reports."""

    rows: int
    looks: int
    pace: float
    alone: float
    crowd: float
    reports: int


WHOLE = Size(rows=100_000, looks=20, pace=60.0, alone=60.0, crowd=600.0, reports=20)
QUICK = Size(rows=20_000, looks=5, pace=5.0, alone=5.0, crowd=30.0, reports=3)


def looks(rows: int, times: int) -> list[Row]:
    """Times a whole reading, a look that finds 20 new epochs, and one that finds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        growing = Growing(folder, rows)
        began = time.perf_counter()
        read(folder, NAME)
        whole = time.perf_counter() - began
        look = StudyLook(folder, NAME, NoJobs())
        look()
        new, same = [], []
        for _ in range(times):
            growing.grow()
            began = time.perf_counter()
            look()
            new.append(time.perf_counter() - began)
            began = time.perf_counter()
            look()
            same.append(time.perf_counter() - began)
        reading = look()
        began = time.perf_counter()
        handing.write(Path(folder) / "handed", [reading])
        handing.read(Path(folder) / "handed")
        handed = time.perf_counter() - began
        growing.close()
    return [
        row(
            f"look that finds 20 new epochs of {rows:,} / whole reading", [median(new) / whole], "ratio", "at most 0.5"
        ),
        row(f"look at {rows:,} epochs that finds 20 new ones", new, "s"),
        row(f"look at {rows:,} epochs that finds nothing new", same, "s"),
        row(f"whole reading of {rows:,} epochs", [whole], "s"),
        row(f"{rows:,} epochs to a process and back into memory", [handed], "s"),
    ]


class Driver:
    """A process that goes on writing the study."""

    def __init__(self, folder: str, rows: int) -> None:
        words = [sys.executable, str(HERE / "growing_store.py"), folder, str(rows)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        self._line()
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def mark(self) -> tuple[int, float]:
        """Returns how many epochs it has written, and when it had."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        epochs, at = self._line().split()
        return int(epochs), float(at)

    def pace(self, since: tuple[int, float]) -> float:
        """Returns its epochs a second since a mark."""
        epochs, at = self.mark()
        return (epochs - since[0]) / (at - since[1])

    def _line(self) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], WAIT_SECONDS)[0]:
            raise TimeoutError(f"the driver said nothing for {WAIT_SECONDS:g} s")
        return self._process.stdout.readline().decode()


@dataclass
class Used:
    """What the service's process used: its memory each second, and its processor time; the driver's pace, whole and by parts."""

    memory: list[float] = field(default_factory=list)
    share: float = 0.0
    pace: float = 0.0
    paces: list[float] = field(default_factory=list)


@contextmanager
def watched(pid: int, driver: Driver, part: float) -> Iterator[Used]:
    """Watches the service's process, without those that make analyses, and the driver's pace in parts of so many seconds."""
    process, used, over = psutil.Process(pid), Used(), threading.Event()
    first = driver.mark()

    def busy() -> float:
        return float(sum(process.cpu_times()[:2]))

    def watch() -> None:
        since = first
        while not over.wait(1.0):
            used.memory.append(process.memory_info().rss / 2**20)
            if time.monotonic() > since[1] + part:
                used.paces.append(driver.pace(since))
                since = driver.mark()

    thread = threading.Thread(target=watch)
    before, began = busy(), time.monotonic()
    thread.start()
    try:
        yield used
        used.share = (busy() - before) / (time.monotonic() - began)
    finally:
        over.set()
        thread.join()
    used.pace = driver.pace(first)


def readers(url: str, seconds: float, *options: object) -> dict[str, Any]:
    """Returns what the readers, in their process, met."""
    words = [
        sys.executable, str(HERE / "service_readers.py"), url, NAME, "--seconds", str(seconds), *map(str, options)
    ]  # fmt: skip
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=seconds + WAIT_SECONDS)
    return dict(json.loads(done.stdout))


def others(reports: int) -> list[str]:
    """The names of the smaller studies whose reports are asked for too."""
    return [f"small{number:02d}" for number in range(reports - 1)]


def crowd(url: str, pid: int, size: Size, driver: Driver) -> tuple[list[Row], Used]:
    """The waits of a reader alone, and among 200 while reports are asked for at once; what the service used meanwhile."""
    readers(url, min(5.0, size.alone))  # the first questions have modules imported
    alone = readers(url, size.alone)
    names = ",".join((NAME, *others(size.reports)))
    half = READERS // 2
    with watched(pid, driver, size.pace) as used:
        met = readers(
            url, size.crowd, "--readers", half, "--listeners", half, "--reports", names, "--after", size.crowd / 6
        )
    beyond = max(0.0, p99(met["waits"]) - p99(alone["waits"]))
    for sentence in sorted(set(met["failures"]))[:10]:
        print(sentence, file=sys.stderr)
    ages, made = met["ages"] or [float("nan")], list(met["reports"].values()) or [float("nan")]
    rows = [
        row(f"answer among {READERS} readers and {size.reports} reports, p99 beyond idle's", [beyond], "s", "at most 0.3"),
        row("answer alone, p99", [p99(alone["waits"])], "s"),
        row("answer alone", alone["waits"], "s"),
        row(f"answer among {READERS} readers and {size.reports} reports, p99", [p99(met["waits"])], "s"),
        row(f"answer among {READERS} readers and {size.reports} reports", met["waits"], "s"),
        row("lateness of the readers' own process, p99", [p99(met["late"])], "s"),
        row("age of an event when it arrives, p99", [p99(ages)], "s"),
        row("events that a listener got a second", [len(met["ages"]) / size.crowd / half], "events"),
        row("answers and streams that failed", [len(met["failures"])], "answers", "at most 0"),
        row(f"{size.reports} reports asked for at once, one of the large study: made", [len(met["reports"])], "reports",
            f"at least {size.reports}"),
        row(f"{size.reports} reports asked for at once, one of the large study", made, "s"),
        row("memory at the end / after a fifth of the time", [_growth(used.memory)], "ratio", "at most 1.1"),
        row("memory of the service", used.memory, "MiB"),
        row("processor time of the service", [used.share], "cores"),
    ]  # fmt: skip
    return rows, used


def _growth(sizes: list[float]) -> float:
    """Returns the mean of the last tenth of the sizes, as a part of that of the tenth after a fifth."""
    tenth = max(1, len(sizes) // 10)
    return mean(sizes[-tenth:]) / mean(sizes[2 * tenth : 3 * tenth])


def alike(url: str, cache: Path, study: str) -> Row:
    """Asks for a report 8 times at once, forgets it, and asks 8 times again: it must be the same in every byte."""
    found = set[str]()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(2):
            for kept in cache.rglob("made/*.html"):
                kept.unlink()
            time.sleep(2.0)  # what the service has just read it need not read again
            found |= set(threads.map(lambda _: _report(url, study), range(8)))
    return row("different contents of a report made twice for 8 at once", [len(found)], "reports", "at most 1")


def _report(url: str, study: str) -> str:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        with urllib.request.urlopen(f"{url}/api/v1/studies/{study}/report", timeout=WAIT_SECONDS) as answer:
            body = answer.read()
            if answer.status == 200:
                return hashlib.sha256(body).hexdigest()
        if time.monotonic() > until:
            return f"none within {WAIT_SECONDS:g} s"
        time.sleep(0.5)


def p99(values: list[float]) -> float:
    """Returns the value that one in a hundred exceeds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def main(quick: bool = False) -> list[Row]:
    """Returns the bench's rows."""
    size = QUICK if quick else WHOLE
    found = looks(size.rows, size.looks)
    with tempfile.TemporaryDirectory() as folder:
        store, cache = Path(folder) / "store", Path(folder) / "made"
        for number, name in enumerate(others(size.reports)):
            large_store.write(str(store), name, trials=5, seed=number)
        with Driver(str(store), size.rows) as driver:
            before = _rests(driver, size.pace)
            service = ServedProcess(store, Path(folder), "--no-token", "--cache", str(cache))
            service.start()
            try:
                rows, used = crowd(service.url, service.pid, size, driver)
                found += rows
                found.append(alike(service.url, cache, others(size.reports)[0]))
            finally:
                service.end(signal.SIGTERM)
            after = _rests(driver, size.pace)
    return [
        *found,
        row("driver's epochs a second, with readers and reports / without", [used.pace / mean((before, after))], "ratio",
            "at least 0.95"),
        row("driver's epochs a second without a service, before and after", [before, after], "epochs"),
        row(f"driver's epochs a second with readers and reports, each {size.pace:g} s", used.paces, "epochs"),
    ]  # fmt: skip


def _rests(driver: Driver, seconds: float) -> float:
    """Returns the driver's pace while nothing else happens."""
    mark = driver.mark()
    time.sleep(seconds)
    return driver.pace(mark)


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
