"""Plays a study on the cluster that ray is connected to.

A Tune trial is one assignment (a segment of a trial, or an exam); where epochs are short, it is several of them, one
after the other, because handing one over takes some 30 ms. Its process then takes the next Tune trial (reuse_actors),
so that a slot starts one process. To pause and resume we use our own checkpoints, which any node can read: Tune's
snapshots would drop the scheduler's state and are switched off.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner

from cluster import owned
from hpo.errors import InterruptedStudy
from hpo.live.dispatch import Dispatch
from hpo.live.tune import MOST_SLOTS
from hpo.live.tune.adapters import ArenaScheduler, ArenaSearcher, LinkObserver, LinkStopper
from hpo.live.tune.link import Link
from hpo.live.tune.slots import Slots
from hpo.live.tune.worker import SegmentWorker
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
    observe: Callable[[Dispatch, int], None] = lambda dispatch, slots: None,
) -> None:
    """Plays the study until every run is over and every exam taken, with at most `limit` assignments at a time.

    Raises Interrupted on SIGINT and SIGTERM, StudyFailed, or the error that ended the study. In each case the store
    holds all that had arrived, and the same call goes on from there.
    """
    logging.getLogger("ray.tune").setLevel(
        logging.CRITICAL
    )  # no stack traces of lost workers: the store has the reasons
    link = Link(dispatch, Slots(resources, limit), observe)
    complete = False
    try:
        if not dispatch.finished:
            with _signals(link), _scratch() as scratch:
                _tuner(link, scratch).fit()
        if link.error is not None:
            raise link.error
        if link.interrupted:
            raise Interrupted(link.interrupted)
        complete = dispatch.finished
    finally:
        dispatch.finish(complete)


def _tuner(link: Link, scratch: str) -> Tuner:
    request = link.slots.request()
    return Tuner(
        tune.with_resources(SegmentWorker, request),
        tune_config=TuneConfig(
            search_alg=ArenaSearcher(link),
            scheduler=ArenaScheduler(link, request),
            num_samples=-1,
            max_concurrent_trials=MOST_SLOTS,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=RunConfig(
            name="study",
            storage_path=scratch,
            verbose=0,
            stop=LinkStopper(link),
            callbacks=[LinkObserver(link)],
            failure_config=FailureConfig(max_failures=0),  # the dispatch hands lost work out anew, as it stands by then
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            log_to_file=False,
        ),
    )


@contextmanager
def _scratch() -> Iterator[str]:
    """Yields a folder for Tune's own files and deletes it: nothing in them is needed again."""
    folder = owned.Owned(owned.DRIVERS_SCRATCH)
    try:
        yield str(folder.path)
    finally:
        folder.delete()


@contextmanager
def _signals(link: Link) -> Iterator[None]:
    """Makes SIGINT and SIGTERM end the study cleanly, and a second one end it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        if link.interrupted:
            raise KeyboardInterrupt
        link.interrupted = signal.Signals(number).name

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
