"""One trial of ours against the plain loop, both in one process, their epochs in turns; and waits for the GPU."""

from __future__ import annotations

import gc
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from plain_loop import PlainLoop
from rows import Row, row

from trainables import data
from trainables.fine_tuning import FineTuning
from trainables.sections import ImageTask
from trainables.settings import Settings

RATE = 1e-4  # whatever trains without diverging: the speed does not depend on it
BARS = {0: 20.0, 9: 4.0, 18: 2.5, None: 1.3}  # images per second against the plain loop's, by finetuned_layers


@dataclass(frozen=True)
class Case:
    """What is trained: a model, its batch size, and finetuned_layers (None: all)."""

    model: str
    batch: int
    layers: int | None

    def __str__(self) -> str:
        return f"{self.model}, batch {self.batch}, layers {'all' if self.layers is None else self.layers}"


@dataclass(frozen=True)
class Scale:
    """On what and how long is measured: an image folder, pixels, the loader's processes, repetitions.

    In each of `turns` turns our epochs are repeated for `seconds`. Only with `bars` must numbers reach their bars.
    """

    root: Path
    pixels: int
    workers: int
    turns: int
    seconds: float
    bars: bool

    def bar(self, text: str) -> str:
        """Returns the bar where one holds."""
        return text if self.bars else ""


def task_of(scale: Scale, model: str) -> ImageTask:
    """Returns the task: the image folder, and a model without pretrained weights."""
    about = {"name": "image_folder", "root": str(scale.root)}
    return ImageTask.of({"data": about, "model": {"name": model, "weights": "none"}})


def dataset_of(scale: Scale) -> data.Dataset:
    """Returns the decoded images, which the first call of a process reads or makes."""
    return data.load(task_of(scale, "mobilenet_v2").data, image_size=scale.pixels)


def ours(scale: Scale, case: Case, images: int | None = None, **more: Any) -> FineTuning:
    """Returns a trial of the product's fine-tuning, on a GPU in bf16; `more` are settings. `images`: the first ones."""
    task, dataset = task_of(scale, case.model), dataset_of(scale)
    if images is not None:
        first = data.Split(dataset.train.images[:images], dataset.train.labels[:images])
        dataset = replace(dataset, train=first, digest=f"{dataset.digest}-first{images}")
    options: dict[str, Any] = {"learning_rate": RATE, "bf16": torch.cuda.is_available(), **more}
    settings = Settings(image_size=scale.pixels, batch_size=case.batch, finetuned_layers=case.layers, **options)
    return FineTuning(settings, task, dataset, 0, 10_000)


def warm(model: FineTuning) -> None:
    """Trains two epochs: after them activations are kept, graphs are captured, libraries have chosen their kernels."""
    for _ in range(2):
        model.train_epoch()


def synchronize() -> None:
    """Waits for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[], Any]) -> float:
    """Returns the seconds that the work takes, the GPU's part included."""
    synchronize()
    began = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - began


def repeated(work: Callable[[], Any], seconds: float, most: int = 50) -> list[float]:
    """Returns the seconds of each of up to `most` repetitions, begun until `seconds` have passed."""
    found = [timed(work)]
    while sum(found) < seconds and len(found) < most:
        found.append(timed(work))
    return found


def forget() -> None:
    """Returns the memory of what is no longer referenced to the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def compare(scale: Scale, case: Case) -> list[Row]:
    """Returns the rows of one case: our images per second over the plain loop's, and waits in an epoch's steps."""
    model = ours(scale, case)
    warm(model)
    loop = PlainLoop(
        scale.root, model=case.model, image_size=scale.pixels, batch_size=case.batch, layers=case.layers,
        learning_rate=RATE, workers=scale.workers,
    )  # fmt: skip
    loop.epoch()
    images = len(model.dataset.train)
    assert images == loop.images
    mine, plain = [], []
    for _ in range(scale.turns):
        plain.append(timed(loop.epoch))
        mine += repeated(model.train_epoch, scale.seconds)
    usual = statistics.median(plain)
    detail = (
        f"{images / statistics.median(mine):,.0f} against {images / usual:,.0f} images/s; medians of {len(mine)} "
        f"and {len(plain)} epochs of {images} images, validation included"
    )
    bar = scale.bar(f"at least {BARS[case.layers]:g}")
    found = [row(f"images/s / plain loop's, {case}", [usual / s for s in mine], "ratio", bar, detail=detail)]
    if torch.cuda.is_available():
        places = waits(model)
        told = ", ".join(f"{place} {count}x" for place, count in places.most_common(6))
        count, bar = [sum(places.values())], scale.bar("at most 3")
        found.append(row(f"waits for the GPU in an epoch, {case}", count, "count", bar, detail=told))
    return found


def waits(model: FineTuning) -> Counter[str]:
    """Returns how often the CPU waits for the GPU in a training epoch, by place in the code, as torch reports it."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model._train()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    synced = [warning for warning in caught if "synchroniz" in str(warning.message)]
    return Counter(f"{Path(warning.filename).name}:{warning.lineno}" for warning in synced)


def epoch_parts(scale: Scale, case: Case) -> list[Row]:
    """Returns where the time of an epoch goes: the steps, the training metrics at their end, validation, the rest."""
    import trainables.fine_tuning as module

    model = ours(scale, case)
    warm(model)
    spent = 0.0

    def watched(function: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal spent
        answer: list[Any] = []
        spent += timed(lambda: answer.append(function(*arguments)))
        return answer[0]

    whole = statistics.median(repeated(model.train_epoch, scale.seconds))
    validation = statistics.median(repeated(lambda: model.evaluation.of(model.validation), scale.seconds / 2))
    training = repeated(model._train, scale.seconds / 2)
    names = [name for name in ("confusion", "measures") if hasattr(module, name)]
    before = {name: getattr(module, name) for name in names}
    try:
        for name, function in before.items():
            setattr(module, name, partial(watched, function))
        runs = len(repeated(model._train, scale.seconds / 2))
    finally:
        for name, function in before.items():
            setattr(module, name, function)
    metrics = spent / runs
    steps = -(-len(model.dataset.train) // case.batch)
    usual = statistics.median(training)
    detail = (
        f"{steps} steps {1e3 * (usual - metrics):.2f} ms, their metrics {1e3 * metrics:.2f} ms"
        f"{'' if names else ' (not told apart)'}, validation {1e3 * validation:.2f} ms, "
        f"the rest {1e3 * (whole - usual - validation):.2f} ms"
    )
    return [row(f"a whole epoch, {case}", [1e3 * whole], "ms", detail=detail)]
