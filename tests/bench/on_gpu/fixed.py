"""What a trial costs besides its epochs: building it, its first epoch, saving and loading its checkpoint."""

from __future__ import annotations

import statistics
import tempfile

import torch
from on_gpu.cases import Case, Scale, dataset_of, ours, timed
from rows import Row, row

from trainables.fine_tuning import FineTuning


def costs(scale: Scale, case: Case) -> list[Row]:
    """Returns the seconds of each cost. Call it first in a new process, with an empty cache."""
    made: list[FineTuning] = []

    def build() -> None:
        made.append(ours(scale, case))

    found = {"decoding the images": [timed(lambda: dataset_of(scale))]}
    found["CUDA's start"] = [timed(lambda: torch.zeros(1, device="cuda"))] if torch.cuda.is_available() else []
    found["building the first trial"] = [timed(build)]
    found["building the second trial"] = [timed(build)]
    first, second = made
    found["the first trial's first epoch"] = [timed(first.train_epoch)]
    found["the second trial's first epoch"] = [timed(second.train_epoch)]
    found["a later epoch"] = [timed(first.train_epoch) for _ in range(5)][1:]
    with tempfile.TemporaryDirectory() as folder:
        found["saving a checkpoint"] = [timed(lambda: first.save(folder))]
        found["loading a checkpoint"] = [timed(lambda: second.load(folder))]
    told = "; ".join(f"{what} {statistics.median(seconds):.4f} s" for what, seconds in found.items() if seconds)
    detail = f"{len(first.dataset.train)} training images; {told}"
    whole = sum(found["building the second trial"] + found["the second trial's first epoch"])
    return [row(f"a trial's start with its first epoch, {case}", [whole], "s", detail=detail)]
