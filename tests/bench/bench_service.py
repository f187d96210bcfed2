"""The service's engine under load: looks at a study of 100,000 epochs that grows, readings for many, reports at once.

    python tests/bench/bench_service.py [--quick] [--json FILE]

A writer in a process of its own goes on writing while the service reads. Half of the readers listen; the others ask.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell

from hpo.results import anytime
from hpo.service.analysis import Analysis, handing
from hpo.service.context import Making, Reading, Settings
from hpo.service.readings import Readings
from hpo.service.readings.study import StudyLook, nobody
from hpo.store import read
from tests.bench.growing_store import NAME, Growing

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
        look = StudyLook(folder, NAME, nobody)
        look()
        new, nothing = [], []
        for _ in range(times):
            growing.grow()
            began = time.perf_counter()
            look()
            new.append(time.perf_counter() - began)
            began = time.perf_counter()
            look()
            nothing.append(time.perf_counter() - began)
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
        row(f"look at {rows:,} epochs that finds nothing new", nothing, "s"),
        row(f"whole reading of {rows:,} epochs", [whole], "s"),
        row(f"{rows:,} epochs to a process and back into memory", [handed], "s"),
    ]


@contextmanager
def driver(folder: str) -> Iterator[list[float]]:
    """A process that goes on writing the study; yields a list that has its steps a second once it has ended."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "growing_store.py"), folder],
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


def detail(reading: Reading) -> str:
    """What a page asks for of a study, about as the API makes it."""
    data = reading.data
    played = anytime.played(data.charges, data.epochs.slice(0, 0), str(data.definition["mode"]))
    curves = {run: anytime.corners(one.charged, one.best) for run, one in played.items()}
    return json.dumps({"summary": reading.summary.to_json(), "runs": data.runs.to_pylist(), "curves": curves})


async def asking(readings: Readings, seconds: float, waits: list[float], listening: bool) -> None:
    """One reader: listens, or asks now and then and notes how long an answer took."""
    rng, until = random.Random(id(waits)), time.monotonic() + seconds
    if listening:
        async for reading in readings.changes(NAME):
            await reading.later("detail", lambda reading=reading: detail(reading))
            if time.monotonic() > until:
                return
    while time.monotonic() < until:
        began = time.perf_counter()
        reading = await readings.reading(NAME)
        await reading.later("detail", lambda reading=reading: detail(reading))
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(rng.uniform(0.5, 1.5))


async def load(settings: Settings, seconds: float) -> list[Row]:
    """The waits of readers: alone, among 200, and while 20 reports are asked for at once; and the memory."""
    found, sizes, ended = [], [], threading.Event()
    watch = threading.Thread(target=_memory, args=(sizes, ended), daemon=True)
    async with Readings(settings) as readings, Analysis(settings) as analysis:
        alone: list[float] = []
        await asking(readings, 0, [], True)
        await asking(readings, seconds / 4, alone, False)
        watch.start()
        many: list[list[float]] = [[] for _ in range(READERS)]
        readers = [
            asyncio.create_task(asking(readings, seconds, waits, number % 2 == 0)) for number, waits in enumerate(many)
        ]
        await asyncio.sleep(seconds / 2)
        first = await readings.reading(NAME)
        began = time.monotonic()
        asked = [analysis.wait("report", [replace(first, contents=f"{number}")]) for number in range(REPORTS)]
        reports = asyncio.gather(*asked)
        assert isinstance(await analysis.ask("report", [replace(first, contents="0")]), Making)
        await asyncio.gather(*readers)
        contents = {made.content for made in await reports}
        took = time.monotonic() - began
        ended.set()
    waits = [wait for mine in many for wait in mine]
    found += [
        row(f"answer among {READERS} readers and {REPORTS} reports, p99 beyond idle's", [max(0.0, p99(waits) - p99(alone))],
            "s", "at most 0.3"),
        row("answer alone, p99", [p99(alone)], "s"),
        row(f"answer among {READERS} readers and {REPORTS} reports", waits, "s"),
        row(f"{REPORTS} reports of {first.data.epochs.num_rows:,} epochs", [took], "s"),
        row("different reports among them", [len(contents)], "reports", "at most 1"),
        row("memory at the end / after a fifth of the time", [sizes[-1] / sizes[len(sizes) // 5]], "ratio", "at most 1.1"),
        row("memory of the service", [size / 2**20 for size in sizes], "MiB"),
    ]  # fmt: skip
    return found


def _memory(sizes: list[float], ended: threading.Event) -> None:
    process = psutil.Process()
    while not ended.wait(1.0):
        sizes.append(process.memory_info().rss)


def p99(values: list[float]) -> float:
    """Returns the value that one in a hundred exceeds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def main(quick: bool = False) -> list[Row]:
    """Returns the bench's rows."""
    found = looks(*((20_000, 5) if quick else (100_000, 20)))
    seconds = 20.0 if quick else 600.0
    with tempfile.TemporaryDirectory() as folder:
        with driver(str(Path(folder) / "first")) as before:
            time.sleep(min(30.0, seconds))
        settings = Settings(str(Path(folder) / "again"), Path(folder) / "cache")
        with driver(settings.store) as during:
            found += asyncio.run(load(settings, seconds))
    found.append(
        row(
            "driver's steps a second, with readers and reports / alone",
            [during[0] / before[0]],
            "ratio",
            "at least 0.95",
        )
    )
    return found


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
