"""How long a study will take, judged by epochs of the same kind that the store has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.service.context import Context, Reading
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


async def estimate(
    context: Context, work: Sequence[Work], workers: int | None = None, *, known: Reading | None = None
) -> Estimate:
    """Returns an estimate for the studies that a job plays one after another, with at most `workers` trials at a time.

    `known`: the one study itself, where the store has it; its own epochs tell more than those of others.
    """
    epochs = sum(each.epochs for each in work)
    slots = await _slots(context, work[0]) if work else None
    seconds, busy, gpus, per_epoch, judged = 0.0, 0.0, 0.0, 0.0, list[str]()
    for each in work:
        own = [known] if known is not None and known.data.epochs.num_rows else await _alike(context, each)
        found, names = await asyncio.to_thread(_seconds_an_epoch, own)
        if found is None:
            return Estimate(round(epochs), slots)
        at_once = max(1, min(count for count in (each.workers, slots, workers) if count is not None))
        seconds += each.epochs * found / at_once
        busy += each.epochs * found
        gpus += each.epochs * found * each.gpus
        judged += names
    per_epoch, placed = busy / epochs if epochs else 0.0, (slots, workers) != (None, None)
    hours = gpus / 3600 if gpus else None
    return Estimate(round(epochs), slots, per_epoch, seconds if placed else None, hours, tuple(dict.fromkeys(judged)))


async def _slots(context: Context, work: Work) -> int | None:
    try:
        queue = queue_of(context)
        return await queue.ask(queue.slots, work.bundles, work.labels) or None
    except Problem:
        return None


async def _alike(context: Context, work: Work) -> list[Reading]:
    """Returns the last studies of the same trainable, data and model."""
    try:
        found = [each for each in await context.readings.summaries() if _is_alike(each, work)]
        last = sorted(found, key=lambda summary: -(summary.updated or 0))[:STUDIES]
        return [await context.readings.reading(each.study) for each in last]
    except (StoreError, Problem):  # away, or gone meanwhile
        return []


def _is_alike(summary: Summary, work: Work) -> bool:
    return (summary.trainable, summary.task) == (work.trainable, work.task) and summary.trained_epochs > 0


def _seconds_an_epoch(readings: Sequence[Reading]) -> tuple[float | None, list[str]]:
    """Returns the mean time of an epoch, and the names of the studies that trained any."""
    import pyarrow.compute as pc

    seconds = {
        reading.data.name: reading.data.epochs["seconds"] for reading in readings if reading.data.epochs.num_rows
    }
    count, total = sum(map(len, seconds.values())), sum(pc.sum(each).as_py() or 0.0 for each in seconds.values())
    return (total / count if count and total else None), list(seconds)
