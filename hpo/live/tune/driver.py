"""Plays a study on the cluster that ray is connected to.

A Tune trial is a slot: its process starts once and lasts, and trains one assignment (a segment of a trial, or an exam) after
the other. Tune starts, places and ends the processes, in a thread of its own; the assignments go to them by calls, one of
them ahead, so that neither a process nor Tune stands between a result and the next decision. To pause and resume trials we
use our own checkpoints, which any node can read: Tune's snapshots would drop the scheduler's state and are switched off.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hpo.errors import InterruptedStudy
from hpo.live.dispatch import Dispatch
from hpo.live.tune.keeper import Keeper
from hpo.live.tune.loop import Loop, Observe
from hpo.live.tune.slots import Slots, Spare, Target
from hpo.live.tune.tuner import tuner
from hpo.study.study import Resources


class Interrupted(InterruptedStudy):
    """The signal `name` stopped the study; everything that had arrived is in the store."""

    def __init__(self, name: str) -> None:
        super().__init__(f"stopped by {name}")
        self.name = name


def drive(
    dispatch: Dispatch,
    resources: Resources,
    *,
    limit: int | None = None,
    target: Target | None = None,
    spare: Spare | None = None,
    observe: Observe = lambda dispatch, occupancy: None,
) -> None:
    """Plays the study until every run is over and every exam taken, with at most `limit` slots, or as many as `target` says.

    Raises Interrupted on SIGINT and SIGTERM, StudyFailed, or the error that ended the study. In each case the store
    holds all that had arrived, and the same call goes on from there.
    """
    slots = Slots(resources, limit)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    keeper = Keeper(inbox)
    loop = Loop(dispatch, keeper, inbox, target or slots.target, slots.shares, observe, spare or (lambda node: False))
    complete = False
    try:
        if not dispatch.finished:
            with _signals(loop), keeper.running(lambda scratch: tuner(keeper, slots.request(), scratch).fit()):
                loop.play()
        if loop.interrupted:
            raise Interrupted(loop.interrupted)
        complete = dispatch.finished
    finally:
        dispatch.finish(complete)


@contextmanager
def _signals(loop: Loop) -> Iterator[None]:
    """Makes SIGINT and SIGTERM end the study cleanly, and a second one end it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        if loop.interrupted:
            raise KeyboardInterrupt
        loop.interrupted = signal.Signals(number).name

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
