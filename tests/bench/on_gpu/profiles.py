"""Where a training step's time goes, by torch's profiler: run in a process of its own, since CUPTI slows what follows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from on_gpu.cases import Case, Scale, dataset_of, ours, repeated, timed, warm
from rows import Row, row
from torch._C._autograd import DeviceType  # whose values the raw events have
from torch.profiler import ProfilerActivity, profile

from trainables.fine_tuning import FineTuning

STEPS, TOP = 20, 8
# Graphs replayed under CUPTI crash when it is torn down between two profiles (torch.profiler sets the same).
ENVIRONMENT = {"TEARDOWN_CUPTI": "0", "DISABLE_CUPTI_LAZY_REINIT": "1"}


def _trial(scale: Scale, case: Case, steps: int) -> FineTuning:
    """A warm trial whose epoch has at most so many steps, all of them whole."""
    whole = len(dataset_of(scale).train) // case.batch
    model = ours(scale, case, images=case.batch * max(1, min(steps, whole)))
    warm(model)
    return model


def wall(scale: Scale, case: Case, steps: int) -> float:
    """Returns the milliseconds of a training step without a profiler; call it before the first `profiled`."""
    model = _trial(scale, case, steps)
    return 1e3 * min(repeated(model._train, scale.seconds)) / -(-len(model.dataset.train) // case.batch)


@lru_cache(maxsize=1)
def _ready() -> None:
    """Starts CUPTI: kernels of graphs that were captured before may go unseen."""
    with profile(activities=_activities()):
        torch.zeros(1, device="cuda" if torch.cuda.is_available() else "cpu").add_(1)


def _activities() -> list[ProfilerActivity]:
    return [ProfilerActivity.CUDA if torch.cuda.is_available() else ProfilerActivity.CPU]


def profiled(scale: Scale, case: Case, steps: int, unwatched: float) -> list[Row]:
    """Returns a step's profile; `unwatched` are its milliseconds without a profiler."""
    _ready()
    model = _trial(scale, case, steps)
    with profile(activities=_activities()) as watch:
        timed(model._train)
    steps = -(-len(model.dataset.train) // case.batch)
    return [summary(case, watch.profiler.kineto_results.events(), steps, unwatched)]


def summary(case: Case, events: Iterable[Any], steps: int, unwatched: float) -> Row:
    """Returns the row of the profiler's events: kernels on a GPU, else torch's operations, nested ones included."""
    gpu = torch.cuda.is_available()
    device = DeviceType.CUDA if gpu else DeviceType.CPU
    kernels: dict[str, list[float]] = defaultdict(list)
    calls: Counter[str] = Counter()
    for event in events:
        name = event.name()
        if event.device_type() == device and not event.is_user_annotation():
            kernels[name].append(event.duration_ns() / 1e6)
        elif "Launch" in name:
            calls[name] += 1
    total = sum(map(sum, kernels.values()))
    top = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:TOP]
    parts = [f"{sum(spans) / total:.0%} {short(name)} ({len(spans) / steps:.3g}x)" for name, spans in top if total]
    told = ", ".join(f"{count / steps:.3g} {name}" for name, count in calls.most_common(4))
    detail = (
        f"wall {unwatched:.3f} ms, kernels {total / steps:.3f} ms a step"
        f"{f': the GPU is busy {total / steps / unwatched:.0%}' if gpu else ' (nested operations: no GPU)'}; "
        f"{sum(map(len, kernels.values())) / steps:.0f} kernels a step, launched by: {told or 'none seen'}; "
        f"longest: {'; '.join(parts)}"
    )
    return row(f"a training step, {case}", [unwatched], "ms", detail=detail)


def short(name: str, most: int = 70) -> str:
    """Returns a kernel's name without its return type and arguments."""
    return name.removeprefix("void ").replace("at::native::", "").replace("(anonymous namespace)::", "")[:most]
