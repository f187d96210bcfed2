"""The service under load: a study of 100,000 epochs that grows, 200 readers over HTTP, 20 reports at once.

    python tests/bench/bench_service.py [--quick] [--json FILE]

A driver in a process of its own computes and writes all the while. Half of the readers listen to server-sent events; the
others ask for the study once a second. A look reads only what is new; it is timed beside a whole reading.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell
from served_process import ServedProcess

from hpo.service.analysis import handing
from hpo.service.readings.study import StudyLook, nobody, nothing
from hpo.store import read
from tests.bench import large_store
from tests.bench.growing_store import NAME, Growing

API = "/api/v1"
HERE = Path(__file__).parent
READERS = 200
REPORTS = 20


def looks(rows: int, times: int) -> list[Row]:
    """Times a whole reading, a look that finds 20 new epochs, and one that finds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        growing = Growing(folder, rows)
        began = time.perf_counter()
        read(folder, NAME)
        whole = time.perf_counter() - began
        look = StudyLook(folder, NAME, nobody, nothing)
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


@contextmanager
def driver(folder: str, rows: int) -> Iterator[list[float]]:
    """A process that goes on writing the study; yields a list that has its steps a second once it has ended."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "growing_store.py"), folder, str(rows)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pace: list[float] = []
    try:
        assert process.stdout.readline().strip() == "ready"
        yield pace
        process.stdin.close()
        pace.append(float(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


async def listen(session: aiohttp.ClientSession, until: float, events: list[int]) -> None:
    """One reader that listens to the study; counts its events."""
    async with session.get(f"{API}/studies/{NAME}/events") as answer:
        while (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                events.append((await asyncio.wait_for(answer.content.readline(), left)).startswith(b"event: study"))


async def ask(session: aiohttp.ClientSession, until: float, waits: list[float], seed: int) -> None:
    """One reader that asks now and then; notes how long each answer took."""
    rng = random.Random(seed)
    while time.monotonic() < until:
        began = time.perf_counter()
        async with session.get(f"{API}/studies/{NAME}") as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(rng.uniform(0.5, 1.5))


async def report(session: aiohttp.ClientSession, study: str) -> None:
    """Asks for a report until it is there."""
    while True:
        async with session.get(f"{API}/studies/{study}/report") as answer:
            await answer.read()
            if answer.status != 202:
                assert answer.status == 200
                return
        await asyncio.sleep(1.0)


async def load(url: str, pid: int, seconds: float, reports: int) -> list[Row]:
    """The waits of readers: alone, and among 200 while reports are asked for at once; and the memory."""
    connections = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(url, connector=connections, timeout=timeout) as session:
        await ask(session, time.monotonic() + 3, [], 0)
        alone, waits, events = list[float](), list[float](), list[int]()
        await ask(session, time.monotonic() + seconds / 4, alone, 0)
        until = time.monotonic() + seconds
        listeners = [asyncio.create_task(listen(session, until, events)) for _ in range(READERS // 2)]
        readers = [asyncio.create_task(ask(session, until, waits, number)) for number in range(READERS // 2)]
        sizes = asyncio.create_task(memory(pid, until))
        await asyncio.sleep(seconds / 4)
        began = time.monotonic()
        await asyncio.gather(*(report(session, study) for study in (NAME, *others(reports))))
        took = time.monotonic() - began
        await asyncio.gather(*listeners, *readers)
        grown = await sizes
    return [
        row(f"answer among {READERS} readers and {reports} reports, p99 beyond idle's", [max(0.0, p99(waits) - p99(alone))],
            "s", "at most 0.3"),
        row("answer alone, p99", [p99(alone)], "s"),
        row(f"answer among {READERS} readers and {reports} reports", waits, "s"),
        row("events that a listener got a second", [sum(events) / seconds / (READERS // 2)], "events"),
        row(f"{reports} reports, one of the large study", [took], "s"),
        row("memory at the end / after a fifth of the time", [grown[-1] / grown[len(grown) // 5]], "ratio", "at most 1.1"),
        row("memory of the service", grown, "MiB"),
    ]  # fmt: skip


def others(reports: int) -> list[str]:
    """The names of the smaller studies whose reports are asked for too."""
    return [f"small{number:02d}" for number in range(reports - 1)]


async def memory(pid: int, until: float) -> list[float]:
    """The service's memory each second, without its processes'."""
    sizes, process = [], psutil.Process(pid)
    while time.monotonic() < until:
        sizes.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(1.0)
    return sizes


def p99(values: list[float]) -> float:
    """Returns the value that one in a hundred exceeds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def main(quick: bool = False) -> list[Row]:
    """Returns the bench's rows."""
    rows, seconds, reports = (20_000, 20.0, 3) if quick else (100_000, 600.0, REPORTS)
    found = looks(rows, 5 if quick else 20)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        for number, name in enumerate(others(reports)):
            large_store.write(str(store), name, trials=5, seed=number)
        with driver(str(Path(folder) / "alone"), rows) as before:
            time.sleep(min(60.0, seconds))
        with driver(str(store), rows) as during:
            service = ServedProcess(store, Path(folder), "--no-token")
            service.start()
            try:
                found += asyncio.run(load(service.url, service.pid, seconds, reports))
            finally:
                service.end(signal.SIGTERM)
    kept = during[0] / before[0]
    return [
        *found,
        row("driver's steps a second, with readers and reports / alone", [kept], "ratio", "at least 0.95"),
    ]


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
