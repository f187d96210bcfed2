"""What each technique brings alone: our images per second with it over those without it, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import torch
from on_gpu.cases import RATE, Case, Scale, forget, ours, repeated, timed, warm
from on_gpu.report import NOT_RUN, without_number
from plain_loop import PlainLoop
from rows import Row, row

from trainables import feed
from trainables.fine_tuning import FineTuning
from trainables.settings import Settings


@contextmanager
def chosen_kernels() -> Iterator[None]:
    """Lets cuDNN try its kernels and choose the fastest for each shape."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def nothing_resident() -> Iterator[None]:
    """Leaves the images and kept activations in the CPU's memory."""
    before = feed.RESIDENT_SHARE  # type: ignore[attr-defined]
    feed.RESIDENT_SHARE = 0  # type: ignore[attr-defined]
    try:
        yield
    finally:
        feed.RESIDENT_SHARE = before  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Technique:
    """A change of our default: by `settings`, or by what is held `around` the trial. `on`: the default has it on."""

    name: str
    on: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    around: Callable[[], AbstractContextManager[None]] = nullcontext


TECHNIQUES = (
    Technique("CUDA graphs", True, {"graphs": False}),
    Technique("bf16", True, {"bf16": False}),
    Technique("channels_last", True, {"channels_last": False}),
    Technique("data on the GPU", True, around=nothing_resident),
    Technique("cudnn.benchmark", False, around=chosen_kernels),
)
COMPILE = Technique("compile", False, {"compile": True})


@lru_cache(maxsize=1)
def _default(scale: Scale, case: Case) -> FineTuning:
    model = ours(scale, case)
    warm(model)
    return model


def alone(scale: Scale, case: Case, technique: Technique) -> list[Row]:
    """Returns the row of one technique, or why it cannot be switched here."""
    what = f"with / without {technique.name}, {case}"
    if missing := set(technique.settings) - {key.name for key in fields(Settings)}:
        return [without_number(what, NOT_RUN, f"Settings has no {', '.join(missing)}")]
    if technique.around is nothing_resident and not hasattr(feed, "RESIDENT_SHARE"):
        return [without_number(what, NOT_RUN, "trainables.feed has no RESIDENT_SHARE")]
    base = _default(scale, case)
    images = len(base.dataset.train)
    usual, other = [], []
    with technique.around():
        changed = ours(scale, case, **technique.settings)
        warm(changed)
    for _ in range(scale.turns):
        usual += repeated(base.train_epoch, scale.seconds)
        with technique.around():
            other += repeated(changed.train_epoch, scale.seconds)
    having, lacking = (usual, other) if technique.on else (other, usual)
    without = statistics.median(lacking)
    detail = f"{images / statistics.median(having):,.0f} against {images / without:,.0f} images/s"
    return [row(what, [without / seconds for seconds in having], "ratio", detail=detail)]


def plain_alone(scale: Scale, case: Case) -> list[Row]:
    """Returns what cudnn.benchmark brings to the plain loop."""
    _default.cache_clear()
    forget()
    found = []
    for around in (nullcontext, chosen_kernels):
        loop = PlainLoop(
            scale.root, model=case.model, image_size=scale.pixels, batch_size=case.batch, layers=case.layers,
            learning_rate=RATE, workers=scale.workers,
        )  # fmt: skip
        with around():
            loop.epoch()
            found.append(statistics.median(timed(loop.epoch) for _ in range(scale.turns)))
    without, having = found
    detail = f"{loop.images / having:,.0f} against {loop.images / without:,.0f} images/s"
    return [row(f"plain loop with / without cudnn.benchmark, {case}", [without / having], "ratio", detail=detail)]
