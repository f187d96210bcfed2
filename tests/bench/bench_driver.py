"""What a result costs the driver without Ray: `python tests/bench/bench_driver.py [--quick] [--json FILE]`.

A dispatch over a store in a temporary folder, whose slots are played by fake workers that answer at once: trials of one
epoch, by one method and by four, and segments of 16 epochs. Measured are the processor seconds of the whole process (the
store's thread included) in windows around trial 1,000, 10,000 and 100,000, the results a second, and the growth of the
process's memory with each finished trial. Each measurement runs in its own process.
"""

from __future__ import annotations

import gc
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console
from rows import ROOT, Row, command, row, tell

from hpo.game.runs import runs_of
from hpo.live.dispatch import Dispatch
from hpo.live.monitor import Meter
from hpo.live.occupancy import Occupancy
from hpo.live.progress import Progress
from hpo.store import StudyWriter
from hpo.study.study import Study
from hpo.worker.training import Assignment, Report

LOOK_SECONDS = 0.25  # between two looks of the progress and the monitor, as in the driver's loop
BATCH_SECONDS = 2.0  # of work for a slot, as the driver on a cluster asks for

STUDY = """
study: driver
trainable: curves
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
  dropout: {{type: float, low: 0.0, high: 0.5}}
  optimizer: {{type: choice, values: [adam, sgd, rmsprop, adadelta]}}
  finetuned_layers: {{type: choice, values: [9, 14, 18, all]}}
budget: {{epochs: {epochs}, max_epochs: {max_epochs}}}
methods: [{methods}]
parallelism: {parallelism}
seeds: {seeds}
store: {store}
"""


FOUR = "random, sobol, halton, asha"  # four whose decisions cost little; asha shares random's trials


@dataclass(frozen=True)
class Load:
    """What is played: `trials` of all runs together on `slots`; an epoch claims to take `seconds`."""

    methods: str
    trials: int
    slots: int = 64
    max_epochs: int = 1
    seconds: float = 0.06  # 64 slots give about 1,000 results a second
    together: int = 1  # epochs in a report
    seeds: int = 1

    @property
    def count(self) -> int:
        return self.methods.count(",") + 1

    @property
    def results(self) -> int:
        return self.trials * self.max_epochs


LOADS = {
    "one": Load("random", 100_000),
    "four": Load(FOUR, 100_000),
    "many": Load(FOUR, 20_000, slots=256, seconds=10.0, seeds=5),  # epochs so long that a slot gets one trial at a time
    "segments": Load("random", 20_000, max_epochs=16),
    "packed": Load("random", 20_000, max_epochs=16, together=16),
}


def begun(load: Load, folder: str) -> Dispatch:
    """Opens the dispatch of a study of that load."""
    path = Path(folder) / "driver.yaml"
    epochs = load.results // (max(1, load.count - 1) * load.seeds)
    path.write_text(
        STUDY.format(
            epochs=epochs, max_epochs=load.max_epochs, methods=load.methods,
            parallelism=load.slots // load.count, seeds=list(range(load.seeds)), store=Path(folder) / "store",
        )
    )  # fmt: skip
    study = Study.load(str(path))
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest,
        environment={}, space_kinds=study.kinds,
    )  # fmt: skip
    return Dispatch(study, runs_of(study), writer, str(Path(folder) / "checkpoints"), ahead=64)


def answers(given: Assignment, load: Load, rng: random.Random) -> Iterator[Report]:
    """Yields the reports of a worker that trains an assignment."""
    for known in range(given.known, given.stop, load.together):
        epochs = range(known + 1, min(known + load.together, given.stop) + 1)
        rows = [
            {"epoch": epoch, "metrics": measured(rng), "seconds": load.seconds, "ended": False, "finished": time.time()}
            for epoch in epochs
        ]
        yield Report(records=rows, done=epochs.stop > given.stop)


def measured(rng: random.Random) -> dict[str, float]:
    return {name: rng.random() for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_f1")}


def results(dispatch: Dispatch, load: Load) -> Iterator[int]:
    """Plays the study; yields the number of results so far after each report."""
    rng, count = random.Random(0), 0
    work: dict[int, deque[tuple[Assignment, Iterator[Report]]]] = {slot: deque() for slot in range(load.slots)}
    free = load.slots
    with Looks(dispatch, load.slots) as looks:
        while not dispatch.arena.done:
            looks.look()
            for slot, queue in work.items():
                if not queue:
                    batch = dispatch.batch(BATCH_SECONDS, free - 1)
                    queue.extend((given, answers(given, load, rng)) for given in batch)
                    free -= bool(queue)
                if queue:
                    given, reports = queue[0]
                    report = next(reports)
                    dispatch.report(given, report, f"host:{slot}")
                    count += len(report.records)
                    if report.done:
                        queue.popleft()
                        free += not queue
                    yield count


class Terminal(io.StringIO):
    """A terminal of 100 x 30 that forgets what it shows."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


class Looks:
    """What looks at a dispatch now and then: the display on a terminal, and the monitor."""

    def __init__(self, dispatch: Dispatch, slots: int) -> None:
        self._dispatch, self._slots = dispatch, slots
        console = Console(file=Terminal(), force_terminal=True, width=100, height=30, markup=False, emoji=False)
        self._progress = Progress(console=console)
        self._meter, self._due = Meter(), 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.__exit__(None, None, None)

    def look(self) -> None:
        if time.monotonic() > self._due:
            self._due = time.monotonic() + LOOK_SECONDS
            self._dispatch.wants(self._slots)
            self._meter.read(self._dispatch, Occupancy(self._slots, self._slots))
            self._progress(self._dispatch, Occupancy(self._slots, self._slots))


def windows(total: int) -> dict[str, tuple[int, int]]:
    """Returns the results of which each window begins and ends."""
    found = {f"{at:,}": (at // 2, at * 3 // 2) for at in (1_000, 10_000) if at * 3 // 2 < total * 0.9}
    return found | {f"{total:,}": (total * 85 // 100, total * 98 // 100)}


def measure(load: Load) -> dict[str, float]:
    """Plays a load in this process; returns its figures."""
    total = load.results
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        dispatch = begun(load, folder)
        marks = {mark for window in windows(total).values() for mark in window} | {total // 2}
        state: dict[int, tuple[float, float, float]] = {}
        for count in results(dispatch, load):
            for mark in [mark for mark in marks if mark <= count]:
                marks.remove(mark)
                dispatch.writer.flush()  # what is delivered in a window was handed over in it
                state[mark] = time.process_time(), time.perf_counter(), resident()
        for name, (first, last) in windows(total).items():
            (cpu, wall, _), (cpu_then, wall_then, _) = state[first], state[last]
            found[f"cpu {name}"] = 1000 * (cpu_then - cpu) / (last - first)
            found[f"rate {name}"] = (last - first) / (wall_then - wall)
        first, last = total // 2, max(state)
        found["memory"] = (state[last][2] - state[first][2]) / (last - first) * load.max_epochs
        dispatch.finish(complete=False)
    return found


def resident() -> float:
    """Returns this process's memory in kB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1000


def apart(name: str, quick: bool) -> dict[str, float]:
    """Measures a load in its own process, so that its memory is that of one measurement."""
    line = [sys.executable, __file__, "--load", name, *(["--quick"] if quick else [])]
    answer = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def sized(name: str, quick: bool) -> Load:
    load = LOADS[name]
    return Load(**{**vars(load), "trials": max(4_000, load.trials // 20)}) if quick else load


WORDS = {
    "one": "a one-epoch trial, random on 64 slots",
    "four": "a one-epoch trial, 4 methods on 64 slots",
    "many": "a one-epoch trial, 20 runs on 256 slots",
    "segments": "an epoch in segments of 16, one a report",
    "packed": "an epoch in segments of 16, all in a report",
}


def main(quick: bool = False) -> list[Row]:
    """Returns the bench's rows."""
    rows = []
    for name, words in WORDS.items():
        found = apart(name, quick)
        cpu = {key.removeprefix("cpu "): value for key, value in found.items() if key.startswith("cpu ")}
        bar = "<= 0.3" if LOADS[name].max_epochs > 1 else "<= 1"
        rows += [row(f"driver: {words}, at result {at}", [value], "cpu ms", bar) for at, value in cpu.items()]
        if LOADS[name].slots == 64:
            first, last = next(iter(cpu.values())), next(reversed(cpu.values()))
            rows.append(row(f"driver: {words}, last / first", [last / first], "ratio", "at most 1.2"))
        rates = [value for key, value in found.items() if key.startswith("rate ")]
        rows.append(row(f"driver: {words}, results", rates, "/ s", "at least 1,000"))
        rows.append(row(f"driver: {words}, memory of a finished trial", [found["memory"]], "kB", "<= 10"))
    return rows


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--load", choices=LOADS, help="one measurement, in this process")
    given = parser.parse_args()
    if given.load:
        print(json.dumps(measure(sized(given.load, given.quick))))
    else:
        tell(main(given.quick), given.json)
