"""How long a study will take, judged by epochs of the same kind that the store has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.service.context import Context
from hpo.service.problems import Problem
from hpo.service.submitting.examined import Work
from hpo.service.submitting.queue import queue_of
from hpo.store.errors import StoreError

if TYPE_CHECKING:
    from hpo.store.summary import Summary

STUDIES = 3  # that are read to judge by, the last ones of the same kind


@dataclass(frozen=True)
class Estimate:
    """What a study will take: the most epochs, and what follows from earlier ones, None without any.

    slots: trials at a time that the cluster's nodes hold now, None where nobody knows. studies: those judged by.
    """

    epochs: int
    slots: int | None = None
    seconds_an_epoch: float | None = None
    seconds: float | None = None
    gpu_hours: float | None = None
    studies: tuple[str, ...] = ()


async def estimate(context: Context, work: Sequence[Work], workers: int | None = None) -> Estimate:
    """Returns an estimate for the studies that a job plays one after another, with at most `workers` trials at a time."""
    epochs = sum(each.epochs for each in work)
    slots = await _slots(context, work[0]) if work else None
    seconds, busy, gpus, per_epoch, judged = 0.0, 0.0, 0.0, 0.0, list[str]()
    for each in work:
        found, names = await _seconds_an_epoch(context, each)
        if found is None:
            return Estimate(round(epochs), slots)
        at_once = max(1, min(count for count in (each.workers, slots, workers) if count is not None))
        seconds += each.epochs * found / at_once
        busy += each.epochs * found
        gpus += each.epochs * found * each.gpus
        judged += names
    per_epoch = busy / epochs if epochs else 0.0
    return Estimate(
        round(epochs), slots, per_epoch, seconds, gpus / 3600 if gpus else None, tuple(dict.fromkeys(judged))
    )


async def _slots(context: Context, work: Work) -> int | None:
    try:
        queue = queue_of(context)
        return await queue.ask(queue.slots, work.bundles, work.labels) or None
    except Problem:
        return None


async def _seconds_an_epoch(context: Context, work: Work) -> tuple[float | None, list[str]]:
    """Returns the mean time of an epoch in the last studies of the same trainable, data and model, and their names."""
    try:
        found = [each for each in await context.readings.summaries() if _alike(each, work)]
    except StoreError:
        return None, []
    import pyarrow.compute as pc

    total, count, names = 0.0, 0, []
    for each in sorted(found, key=lambda summary: -(summary.updated or 0))[:STUDIES]:
        epochs = (await context.readings.reading(each.study)).data.epochs
        if epochs.num_rows:
            total += pc.sum(epochs["seconds"]).as_py() or 0.0
            count += epochs.num_rows
            names.append(each.study)
    return (total / count, names) if count and total else (None, names)


def _alike(summary: Summary, work: Work) -> bool:
    return (summary.trainable, summary.task) == (work.trainable, work.task) and summary.trained_epochs > 0
