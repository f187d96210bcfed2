"""Several trials at a time on one GPU, each in a process of its own: images per second in total."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from on_gpu.cases import Case, Scale, ours, warm
from on_gpu.worker import Worker
from rows import Row, row

from hpo.worker import mps
from trainables.fine_tuning import FineTuning

Rates = dict[int, float]  # images per second in total, by the number of trials at a time
LEAD = 0.2  # seconds from the word to the common start
BAR = 3  # 8 trials over the best single one

_models: dict[Case, FineTuning] = {}  # of this worker process


class NotAvailable(Exception):
    """MPS cannot be used here."""


def prepare(scale: Scale, cases: Sequence[Case], threads: int, share: float) -> str:
    """Builds and warms this process's trials; returns whether it is under MPS, or why not."""
    torch.set_num_threads(threads)
    for case in cases:
        _models[case] = ours(scale, case)
        warm(_models[case])
    return mps.join(share)


def train(case: Case, start: float, seconds: float) -> float:
    """Trains whole epochs from the clock's `start` for at least `seconds`; returns this process's images per second.

    Its last epoch may outlast those of the others by a part of an epoch.
    """
    model = _models[case]
    time.sleep(max(0.0, start - time.monotonic()))
    began, epochs = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        model.train_epoch()
        epochs += 1
    return epochs * len(model.dataset.train) / (time.monotonic() - began)


class Trials:
    """Processes that each hold a trial of every case. Use as a context; they are killed at its end if need be."""

    def __init__(self, scale: Scale, cases: Sequence[Case], count: int, *, shared: bool) -> None:
        """`shared`: under MPS."""
        self._scale, self._cases, self._shared = scale, cases, shared
        self._workers = [Worker({mps.SWITCH: str(int(shared))}, 1 / count) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.close(0.0 if error[0] else 3.0)

    def prepare(self, limit: float) -> None:
        """Raises WorkerFailed for a process that is not ready within `limit` seconds, NotAvailable for one without MPS."""
        end = time.monotonic() + limit
        threads = max(1, (os.cpu_count() or 1) // len(self._workers))
        for worker in self._workers:
            worker.send(prepare, self._scale, self._cases, threads, 1 / len(self._workers))
        states = {worker.receive(end - time.monotonic()) for worker in self._workers}
        if self._shared and not all(state.startswith(mps.ON) for state in states):
            raise NotAvailable("; ".join(sorted(states)))

    def rates(self, case: Case, counts: Sequence[int], limit: float) -> Rates:
        """Returns the images per second of so many trials at a time."""
        found = {}
        end = time.monotonic() + limit
        for count in counts:
            start = time.monotonic() + LEAD
            chosen = self._workers[:count]
            for worker in chosen:
                worker.send(train, case, start, 3 * self._scale.seconds)
            found[count] = sum(worker.receive(end - time.monotonic()) for worker in chosen)
        return found


def told(rates: Rates) -> str:
    """Returns the rates as text."""
    return ", ".join(f"{count}: {rate:,.0f}" for count, rate in rates.items()) + " images/s"


def row_of(case: Case, mode: str, rates: Rates) -> Row:
    """Returns the row of one case, without or with MPS."""
    most = max(rates)
    what = f"{most} trials at a time, {mode}, {case}"
    return row(what, [rates[most]], "images/s", detail=f"trials at a time: {told(rates)}")


def verdict(scale: Scale, case: Case, modes: Mapping[str, Rates]) -> Row:
    """Returns the best total of most trials over the best single one, of all modes."""
    best = {mode: rates[max(rates)] for mode, rates in modes.items()}
    mode = max(best, key=best.__getitem__)
    single = max(rates[1] for rates in modes.values())
    most = max(modes[mode])
    what = f"{most} trials / the best single one, {case}"
    detail = "; ".join(f"{name}: {told(rates)}" for name, rates in modes.items())
    return row(what, [best[mode] / single], "ratio", scale.bar(f"at least {BAR}"), detail=f"best {mode}; {detail}")
