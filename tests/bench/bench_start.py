"""Start and end of `hpo run`, compared with a bare ray.init() and ray.shutdown() in the same run.

    python tests/bench/bench_start.py [--quick] [--json FILE] [--before FOLDER]

A study of 8 instant epochs on 2 workers, with its report: the whole command, until the game begins, until the first epoch
is trained, and from the last epoch to the end of the process. The demonstration (`make demo`): until the first epoch is
trained. --before is a checkout of another version, measured in turns with this one: the bars that speak of it are ratios.
CPU seconds are those of the command and of every process that it waited for, in user and system mode.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, tell

from hpo.store import StoreError, read

STUDY = """
study: start
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 8, max_epochs: 4}
methods: [random]
parallelism: 2
"""

BARE = "import ray; ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False); ray.shutdown()"
DEMO_SECONDS = 120.0


@dataclass(frozen=True)
class Phases:
    """Wall seconds of one study since its command began; `cpu` in CPU seconds."""

    whole: float
    game: float
    first: float
    after: float
    cpu: float


def timed(words: list[str], version: Path) -> tuple[float, float]:
    """Runs a command that must succeed; returns its wall seconds and the CPU seconds of all its processes."""
    before, began = _cpu(), time.perf_counter()
    subprocess.run(
        words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_variables(version), cwd=version
    )
    return time.perf_counter() - began, _cpu() - before


def study(folder: Path, version: Path) -> Phases:
    """Runs the study of 8 epochs in a new store."""
    file = folder / "start.yaml"
    file.write_text(STUDY)
    began = time.time()
    whole, cpu = timed(_hpo("run", file, "--store", folder / "store", "--workers", 2), version)
    finished = read(str(folder / "store")).epochs["finished"].to_pylist()
    log = (folder / "store" / "start" / "driver.jsonl").read_text().splitlines()
    game = next(entry["time"] for entry in map(json.loads, log) if entry["event"] == "begun")
    return Phases(whole, game - began, min(finished) - began, began + whole - max(finished), cpu)


def demo(folder: Path, version: Path) -> float:
    """Begins the demonstration and stops it when an epoch is in the store; returns the seconds until it was trained."""
    began = time.time()
    process = subprocess.Popen(
        _hpo("run", "digits", "--store", folder / "demo"), env=_variables(version), cwd=version,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    finished: list[float] = []
    while not finished and process.poll() is None and time.time() - began < DEMO_SECONDS:
        time.sleep(0.2)
        with suppress(StoreError):
            finished = read(str(folder / "demo")).epochs["finished"].to_pylist()
    process.send_signal(signal.SIGINT)
    process.wait(120)
    return min(finished) - began


def _hpo(*words: object) -> list[str]:
    return [sys.executable, "-m", "hpo.cli", *map(str, words)]


def _variables(version: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(version)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(quick: bool = False, before: Path | None = None) -> list[Row]:
    """Returns the bench's rows; with `quick` one round instead of five."""
    versions = {"now": ROOT, **({"before": before} if before else {})}
    bare: list[tuple[float, float]] = []
    studies: dict[str, list[Phases]] = {name: [] for name in versions}
    demos: dict[str, list[float]] = {name: [] for name in versions}
    for _ in range(1 if quick else 5):
        bare.append(timed([sys.executable, "-c", BARE], ROOT))
        for name, version in versions.items():
            with tempfile.TemporaryDirectory() as scratch:
                studies[name].append(study(Path(scratch), version))
                demos[name].append(demo(Path(scratch), version))
    return [*_own(studies["now"], demos["now"], bare), *(_compared(studies, demos, bare) if before else [])]


def _own(found: list[Phases], demos: list[float], bare: list[tuple[float, float]]) -> list[Row]:
    parts: dict[str, Callable[[Phases], float]] = {
        "8 instant epochs: until the game begins": lambda phases: phases.game,
        "8 instant epochs: until the first epoch is trained": lambda phases: phases.first,
        "8 instant epochs: from the last epoch to the end": lambda phases: phases.after,
        "8 instant epochs: CPU of all processes": lambda phases: phases.cpu,
    }
    ratios = [one.whole / wall for one, (wall, _) in zip(found, bare, strict=True)]
    return [
        row("8 instant epochs / bare ray.init and ray.shutdown", ratios, "ratio"),
        row("8 instant epochs, the whole command", [one.whole for one in found], "s", "at most 7"),
        *(row(what, [part(one) for one in found], "s") for what, part in parts.items()),
        row("bare ray.init and ray.shutdown", [wall for wall, _ in bare], "s"),
        row("bare ray.init and ray.shutdown: CPU of all processes", [cpu for _, cpu in bare], "s"),
        row("make demo: until the first epoch is trained", demos, "s"),
    ]  # fmt: skip


def _compared(
    studies: dict[str, list[Phases]], demos: dict[str, list[float]], bare: list[tuple[float, float]]
) -> list[Row]:
    pairs = list(zip(studies["now"], studies["before"], strict=True))
    firsts = [now / then for now, then in zip(demos["now"], demos["before"], strict=True)]
    return [
        row("8 instant epochs / the version before", [now.whole / then.whole for now, then in pairs], "ratio", "at most 0.55"),
        row("8 instant epochs: CPU / the version before", [now.cpu / then.cpu for now, then in pairs], "ratio"),
        row("8 instant epochs: first / the version before", [now.first / then.first for now, then in pairs], "ratio"),
        row("8 instant epochs: after the last / the version before", [now.after / then.after for now, then in pairs], "ratio"),
        row("make demo: first epoch / the version before", firsts, "ratio", "at most 0.5"),
        row("8 instant epochs, the version before", [then.whole for _, then in pairs], "s"),
        row("8 instant epochs, the version before: CPU of all processes", [then.cpu for _, then in pairs], "s"),
        row("make demo: until the first epoch is trained, the version before", demos["before"], "s"),
    ]  # fmt: skip


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="a checkout of another version")
    given = parser.parse_args()
    tell(main(given.quick, given.before), given.json)
