"""What was measured of each charged epoch: any stored metric, its seconds, the time and epochs spent so far. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hpo.errors import HpoError
from hpo.results.anytime import Vector, epoch_rows, of_epochs
from hpo.store import columns as stored
from hpo.store import schema
from hpo.text import nearest, shown

if TYPE_CHECKING:
    from hpo.store import StudyData

TIMES = ("seconds", "train_seconds", "epoch")  # measured in every study, beside the trainable's metrics


class UnknownMeasure(HpoError):
    """A name that no stored metric has."""


def names(data: StudyData) -> list[str]:
    """Returns what was measured: the trainable's metrics, then TIMES."""
    own = set(schema.columns("epochs"))
    fields = [f.name for f in data.epochs.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]
    return [name for name in fields if name not in own and not name.startswith(stored.PREFIX)] + list(TIMES)


def measured(data: StudyData, name: str) -> Vector:
    """Returns a measure of each charged epoch, NaN where it is unknown [charges].

    `seconds`: what the epoch took. `train_seconds`: what the trial took up to this epoch. `epoch`: its number. Any other
    name: the metric as the trainable reported it after the epoch. Raises UnknownMeasure.
    """
    known = names(data)
    if name not in known:
        raise UnknownMeasure(
            f"an objective or a constraint must name something that {data.name} has stored for its epochs, but got "
            f"{shown(name)}; {nearest(name, known)}"
        )
    if name == "epoch":
        return stored.numbers(data.charges, "epoch")
    if name == "train_seconds":
        return _so_far(data)
    return of_epochs(data.epochs, name, epoch_rows(data.charges, data.epochs))


def _so_far(data: StudyData) -> Vector:
    """Returns the seconds that each charged epoch's trial had been trained for after it [charges]."""
    charges = data.charges
    seconds = of_epochs(data.epochs, "seconds", epoch_rows(charges, data.epochs))
    run = stored.codes(charges["run"], charges["run"].unique().to_pylist())
    trial = run * (1 + stored.whole(charges, "number").max(initial=0)) + stored.whole(charges, "number")
    order = np.lexsort((stored.whole(charges, "epoch"), trial))
    total = np.cumsum(seconds[order])
    starts = np.flatnonzero(np.diff(trial[order], prepend=-1))
    before = np.append(0.0, total)[starts]
    found = np.empty_like(total)
    found[order] = total - np.repeat(before, np.diff(np.append(starts, len(total))))
    return found
