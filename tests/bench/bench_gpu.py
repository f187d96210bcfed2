"""Fine-tuning on a GPU compared with a careful plain PyTorch loop on the same card, and what each technique brings.

    python tests/bench/bench_gpu.py [--quick] [--json FILE] [--rows [FILE]] [--seconds 180] [--only WORDS] [--data FOLDER]
    python tests/bench/bench_gpu.py --write [--from gpu.json]

docs/measured/gpu.md says what is compared. The folder holds train/, validation/ and test/ with a folder for each class; about
a thousand of its images are used (default: HPO_GPU_IMAGES, or made ones). What does not fit into the seconds is left out
and named. A measurement runs in a worker process: where it fails, the ones after it run in a new one. With --rows each
result is appended at once, as a JSON line, to FILE or the file that HPO_GPU_ROWS names. --write puts the results into
docs/measured/gpu.md: those of this run, or those that `make gpu` wrote to gpu.json. Without a GPU everything runs with small
sizes, as with --quick, and no number has to reach its bar.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from on_gpu import fixed, profiles, techniques, together
from on_gpu.cases import BARS, Case, Scale, compare, epoch_parts
from on_gpu.pictures import COUNTS, FEW, pictures
from on_gpu.report import FAILED, NOT_RUN, Report, table, without_number
from on_gpu.worker import Worker, WorkerFailed
from rows import ROOT, Row, command, tell, write

from trainables.kept_arrays import tiers

PAGE, TABLE = ROOT / "docs" / "measured" / "gpu.md", "table of make gpu"
LONGEST = 45.0 if torch.cuda.is_available() else 150.0  # seconds of a single call
SMALL, LARGE = Case("mobilenet_v2", 16, None), Case("resnet50", 64, None)


@dataclass(frozen=True)
class Step:
    """A piece of the plan: it begins only where `seconds` are left; `rows` takes the seconds that it may use."""

    name: str
    seconds: float
    rows: Callable[[float], Iterator[Row]]


class Measuring:
    """The worker process that measures one thing after another; after a failure a new one takes over."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def rows(self, function: Callable[..., list[Row]], *arguments: Any) -> Callable[[float], Iterator[Row]]:
        """Returns a step's rows: what the function returns in the worker."""

        def found(limit: float) -> Iterator[Row]:
            self._worker = self._worker or Worker()
            try:
                yield from self._worker.call(min(limit, LONGEST), function, *arguments)
            except WorkerFailed:
                self.close()
                raise

        return found

    def close(self) -> None:
        """Ends the process."""
        if self._worker is not None:
            self._worker.close(patience=2)
        self._worker = None


# -- the plan -----------------------------------------------------------------------------------------------------


def plan(scale: Scale, measuring: Measuring, quick: bool) -> list[Step]:
    """Returns all steps, the most important ones first. Their seconds are guesses for an H100."""

    def compared(model: str, batch: int, numbers: Sequence[int | None] = tuple(BARS)) -> list[Step]:
        cases = [Case(model, batch, layers) for layers in numbers]
        return [Step(f"against a plain loop: {case}", 6, measuring.rows(compare, scale, case)) for case in cases]

    def switched(case: Case, *chosen: techniques.Technique, seconds: float = 5) -> list[Step]:
        return [
            Step(f"{technique.name} alone: {case}", seconds, measuring.rows(techniques.alone, scale, case, technique))
            for technique in chosen or techniques.TECHNIQUES
        ]

    late, head = Case("mobilenet_v2", 16, 9), Case("mobilenet_v2", 16, 0)
    first = Step("fixed costs", 4, measuring.rows(fixed.costs, scale, late))
    parts = [Step(f"parts of an epoch: {case}", 3, measuring.rows(epoch_parts, scale, case)) for case in (head, SMALL)]
    watched = Step("profiles", 20, lambda limit: profile_rows(scale, (SMALL,) if quick else (LARGE, SMALL), limit))
    several = several_trials(scale, (late,) if quick else (SMALL, late), (1, 2) if quick else (1, 2, 4, 8))
    plain = Step(
        "cudnn.benchmark in the plain loop", 6, measuring.rows(techniques.plain_alone, scale, late if quick else LARGE)
    )
    if quick:
        few = [*compared("mobilenet_v2", 16), *compared("resnet50", 64, (9,))]
        fast = [technique for technique in techniques.TECHNIQUES if technique.name != "bf16"]  # CPUs emulate it
        return [first, *few, *parts[:1], watched, *switched(late, *fast), plain, *several]
    return [
        first, *compared("mobilenet_v2", 16), *compared("resnet50", 64), *parts, watched, *switched(SMALL), *several,
        *compared("mobilenet_v2", 64), *compared("resnet50", 16), *switched(LARGE), *switched(late), plain,
        *switched(SMALL, techniques.COMPILE, seconds=45),
    ]  # fmt: skip


def profile_rows(scale: Scale, cases: Sequence[Case], limit: float) -> Iterator[Row]:
    """Yields the profiles, measured in a process of their own."""
    end = time.monotonic() + min(limit, 2 * LONGEST)
    steps = profiles.STEPS if scale.bars else 1
    worker = Worker(profiles.ENVIRONMENT)
    try:
        walls = [worker.call(end - time.monotonic(), profiles.wall, scale, case, steps) for case in cases]
        for case, wall in zip(cases, walls, strict=True):
            yield from worker.call(end - time.monotonic(), profiles.profiled, scale, case, steps, wall)
    finally:
        worker.close()


def several_trials(scale: Scale, cases: Sequence[Case], counts: Sequence[int]) -> list[Step]:
    """Returns the steps that train several trials at a time: without MPS, with it, and the better over a single trial."""
    rates: dict[Case, dict[str, together.Rates]] = {case: {} for case in cases}

    def measured(mode: str, limit: float) -> Iterator[Row]:
        end = time.monotonic() + min(limit, 2 * LONGEST)
        with together.Trials(scale, cases, max(counts), shared=mode == "with MPS") as trials:
            trials.prepare(end - time.monotonic())
            for case in cases:
                rates[case][mode] = trials.rates(case, counts, end - time.monotonic())
                yield together.row_of(case, mode, rates[case][mode])

    def served(limit: float) -> Iterator[Row]:
        if not torch.cuda.is_available():
            yield without_number("MPS", NOT_RUN, "no GPU")
            return
        try:
            yield from measured("with MPS", limit)
        except together.NotAvailable as error:
            yield without_number("MPS", NOT_RUN, f"MPS not available: {error}")

    def verdicts(_: float) -> Iterator[Row]:
        yield from (together.verdict(scale, case, modes) for case, modes in rates.items() if modes)

    return [
        Step("several trials at a time", 28, lambda limit: measured("without MPS", limit)),
        Step("several trials at a time, with MPS", 28, served),
        Step("several trials over a single one", 0, verdicts),
    ]


def play(steps: Sequence[Step], end: float, report: Report) -> None:
    """Runs the steps until the clock's `end`. A step that fails, or for which no time is left, becomes a row."""
    for step in steps:
        began = time.monotonic()
        left = end - began
        if left <= 0 or (torch.cuda.is_available() and left < step.seconds):
            reason = f"no time: {step.seconds:.0f} s are needed, {max(0.0, left):.0f} s are left"
            report.add(without_number(step.name, NOT_RUN, reason))
            continue
        report.begin(step.name)
        try:
            for found in step.rows(left):
                report.add(found)
        except Exception as error:  # whatever a measurement meets: the ones after it must run
            report.add(without_number(step.name, FAILED, f"{type(error).__name__}: {error}"))
        print(f"    [{time.monotonic() - began:.1f} s: {step.name}]", flush=True)


# -- all of it ----------------------------------------------------------------------------------------------------


def main(quick: bool, source: Path | None, seconds: float, workers: int, only: str, path: Path | None) -> Report:
    """Measures for `seconds` from the process's start and returns the rows."""
    end = time.monotonic() - age() + seconds
    if source is not None and not source.is_dir():
        raise SystemExit(f"--data or HPO_GPU_IMAGES must name an image folder, but {source} is none")
    measuring = Measuring()
    with tempfile.TemporaryDirectory(prefix="bench-gpu-", ignore_cleanup_errors=True) as folder:
        os.environ["HPO_CACHE"] = f"{folder}/cache"  # of this bench alone, shared by its processes
        root = pictures(source, Path(folder) / "images", FEW if quick else COUNTS)
        scale = Scale(root, 32, 2, 1, 0.05, False) if quick else Scale(root, 160, workers, 2, 0.3, True)
        report = Report(path, bars=scale.bars)
        try:
            play([step for step in plan(scale, measuring, quick) if only in step.name], end, report)
        finally:
            measuring.close()
            for tier in tiers():
                tier.empty()  # a killed process leaves its arrays in shared memory
    return report


def age() -> float:
    """Returns the seconds since this process began: imports take some of them."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def described(page: Path, results: Mapping[str, Any]) -> None:
    """Writes the table of the page. Raises SystemExit for results that were not measured on a GPU."""
    machine = results["machine"]
    if not machine.get("card"):
        raise SystemExit(
            f"{page.name} shows what a GPU did, but these results name no card; run `make gpu` where one is"
        )
    write(page, TABLE, table(machine, [one for one in results["rows"] if one["part"] == "speed"]))


def machine() -> dict[str, Any]:
    """Returns this machine as `make gpu` describes it."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda, "cores": os.cpu_count(),
            "python": platform.python_version()}  # fmt: skip


if __name__ == "__main__":
    parser = command(__doc__, writes=True)
    parser.add_argument("--rows", nargs="?", type=Path, const=os.environ.get("HPO_GPU_ROWS"), metavar="FILE")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--only", default="", metavar="WORDS", help="the steps whose names contain these words")
    parser.add_argument("--data", type=Path, default=os.environ.get("HPO_GPU_IMAGES"), metavar="FOLDER")
    parser.add_argument("--workers", type=int, default=8, help="processes of the plain loop's DataLoader")
    parser.add_argument("--from", dest="results", type=Path, metavar="FILE", help="measure nothing; for --write")
    given = parser.parse_args()
    if given.results:
        described(PAGE, json.loads(given.results.read_text()))
        raise SystemExit
    small = given.quick or not torch.cuda.is_available()
    done = main(small, given.data, given.seconds, given.workers, given.only, given.rows)
    tell(done.rows, given.json)
    if given.write and torch.cuda.is_available():
        described(PAGE, {"machine": machine(), "rows": done.lines})
    sys.exit(any(one["ok"] is False for one in done.lines))
