"""The only file that imports ray.tune: one Tuner whose searcher and scheduler are thin adapters over the dispatch.

A Tune trial is one assignment (a segment of a trial, or an exam), or where epochs are short some of them, one after the
other: handing over takes some 30 ms. Its actor then takes the next (reuse_actors), so that a slot starts one process.
Pausing and resuming are our own checkpoints, which any node reads: Tune's snapshots drop scheduler state and are off.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1000000")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_TUNE_DISABLE_AUTO_CALLBACK_SYNCER", "1")

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from hpo.worker.training import REPORT_SECONDS, Assignment, Report, Training

if TYPE_CHECKING:  # workers import this file too, and need neither the store nor the study
    from hpo.live.dispatch import Dispatch
    from hpo.study.study import Resources

MOST_SLOTS = 4096
# Processes start side by side: with one trial pending at a time, Tune's default here, one after the other.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(MOST_SLOTS))
LEAST_CPU = 0.0001  # of a trial that asks for nothing: Tune has no empty requests, and Ray no smaller share
WORKER_DEATHS = 10  # of a trial before it is given up: its own fault, and not its node's, by then
BATCH_SECONDS = 2.0  # what a worker is given at a time, where it is known to be this short
REFRESH_SECONDS = 2.0
START_SECONDS = 30.0  # that an assignment waits while no process starts, before it takes the next one's place
KEEP_SECONDS = 30.0  # that free processes are kept while nothing is handed out and none starts: many times a start


class Interrupted(Exception):
    """The study was asked to stop; everything that arrived is in the store."""


class SegmentWorker(tune.Trainable):
    """The actor side: takes an assignment, trains, reports."""

    _training: Training | None = None
    _sequence = 0

    def setup(self, config: dict[str, Any]) -> None:
        ranks, cpus = int(config["ranks"]), float(config["rank_cpus"])

        def make(trainable: str, arguments: dict[str, Any]) -> Any:
            from hpo.worker.ranks import Ranks

            return Ranks(trainable, ranks, cpus, **arguments)

        self._make = make if ranks > 1 else None
        self._left = [Assignment(**given) for given in json.loads(config["assignments"])]
        self._begin()

    def _begin(self) -> None:
        self._training = Training(self._left.pop(0), self._training, self._make)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        began, done = time.monotonic(), False
        reports: list[tuple[str, dict[str, Any]]] = []
        while not done and (not reports or time.monotonic() - began < REPORT_SECONDS):
            assert self._training is not None
            report = self._training.step()
            reports.append((self._training.assignment.trial, asdict(report)))
            if report.done and self._left:
                self._begin()
            else:
                done = report.done
        self._sequence += 1
        worker = f"{socket.gethostname()}:{os.getpid()}"
        text = json.dumps(reports)  # Tune flattens what is nested before it hands it to the scheduler
        return {"reports": text, "worker": worker, "sequence": self._sequence, "done": done}

    def cleanup(self) -> None:
        if self._training is not None:
            self._training.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Ours are written by the training itself."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Ours are read by the training itself."""


class Slots:
    """How many assignments may be under way: what the cluster's living nodes can hold, at most `limit`."""

    def __init__(self, resources: Resources, limit: int | None) -> None:
        self.ranks = int(resources.gpus) if resources.gpus > 1 else 1
        self.rank_cpus = resources.cpus
        cpus = resources.cpus if self.ranks == 1 else 1 + self.ranks * resources.cpus
        self._need = {"CPU": cpus, "GPU": resources.gpus, "memory": (resources.memory_gb or 0) * 2**30}
        self._limit = limit or MOST_SLOTS
        self._count, self._at = 0, -REFRESH_SECONDS

    @property
    def count(self) -> int:
        if time.monotonic() - self._at > REFRESH_SECONDS:
            self._at = time.monotonic()
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._count = min(self._limit, sum(self._fit(node) for node in nodes))
        return self._count

    def _fit(self, node: Mapping[str, float]) -> int:
        needs = [int(node.get(name, 0) / amount + 1e-9) for name, amount in self._need.items() if amount > 0]
        return min(needs, default=self._limit)


class Link:
    """What searcher, scheduler, stopper and callback share. An error in any of them stops the experiment and is kept."""

    def __init__(self, dispatch: Dispatch, slots: Slots, observe: Callable[[Dispatch, int], None]) -> None:
        self.dispatch = dispatch
        self.slots = slots
        self.error: BaseException | None = None
        self.interrupted: str = ""
        self._observe = observe
        self._running: dict[str, dict[str, Assignment]] = {}  # Tune's trial -> ours -> what it is to do
        self._seen: dict[str, tuple[str, int]] = {}
        self._deaths: Counter[str] = Counter()
        self._handed: dict[str, float] = {}  # when, of those under way
        self._handed_last = self._started_last = -math.inf
        self._workers: set[str] = set()
        self.excused: set[str] = set()  # whose process, free until then, was dead before they were given to it
        self.last_words = "it left no message"

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles what it is given, for snapshots that nothing reads: the store is the state."""
        return {}

    @property
    def stopping(self) -> bool:
        return self.error is not None or bool(self.interrupted)

    @contextmanager
    def kept(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = self.error or error

    def suggest(self, name: str) -> dict[str, Any] | str | None:
        with self.kept():
            if self.stopping or self.dispatch.finished:
                return str(Searcher.FINISHED)
            free = self.slots.count - len(self._running)
            if free <= 0:
                return None
            batch = self.dispatch.batch(BATCH_SECONDS, free - 1)
            if not batch and not self.dispatch.live and self.dispatch.waiting:
                self.dispatch.think(1.0)  # Tune would sleep a whole second where nothing runs
                batch = self.dispatch.batch(BATCH_SECONDS, free - 1)
            if batch:
                self._running[name] = {given.trial: given for given in batch}
                self._handed[name] = self._handed_last = time.monotonic()
                self.dispatch.busy = len(self._running)
                text = json.dumps([asdict(given) for given in batch])
                return {"assignments": text, "ranks": self.slots.ranks, "rank_cpus": self.slots.rank_cpus}
        return None

    def receive(self, name: str, result: Mapping[str, Any]) -> None:
        """A worker's reports. Tune shows the last ones again when a trial completes: each counts once."""
        with self.kept():
            stamp = (str(result.get("worker")), int(result.get("sequence", 0)))
            if "reports" not in result or self._seen.get(name) == stamp or name not in self._running:
                return
            self._seen[name] = stamp
            if stamp[0] not in self._workers:
                self._workers.add(stamp[0])
                self._started_last = time.monotonic()
            running = self._running[name]
            for trial, values in json.loads(result["reports"]):
                report = Report(**values)
                self.dispatch.report(running[trial], report, stamp[0])
                if report.done:
                    running.pop(trial)
            if not running:
                self._forget(name)

    def died(self, name: str) -> None:
        """Tune has given the trial up. What it was to do is handed out anew, unless its workers have died too often."""
        with self.kept():
            running = list(self._running.get(name, {}).values())
            if running and not self.stopping:
                for given in running:
                    self.dispatch.live.pop(given.trial, None)
                current = running[0]
                self._deaths[current.trial] += name not in self.excused
                if self._deaths[current.trial] >= WORKER_DEATHS:
                    self.dispatch.lost(current, f"its workers died again and again; the last: {self.last_words}")
            self._forget(name)

    def is_late(self, name: str) -> bool:
        """Whether it should have begun by now, or has lost its place."""
        waited = time.monotonic() - max(self._handed.get(name, math.inf), self._started_last)
        return waited > START_SECONDS or len(self._running) > self.slots.count

    @property
    def busy_lately(self) -> bool:
        """Whether processes that are free now are likely to be wanted soon."""
        return time.monotonic() - max(self._handed_last, self._started_last) < KEEP_SECONDS

    def _forget(self, name: str) -> None:
        for kept in (self._running, self._seen, self._handed):
            kept.pop(name, None)
        self.excused.discard(name)
        self.dispatch.busy = len(self._running)

    def observe(self) -> None:
        with self.kept():
            self._observe(self.dispatch, self.slots.count)


class ArenaSearcher(Searcher):
    """Hands the dispatch's assignments to Tune."""

    def __init__(self, link: Link) -> None:
        super().__init__(metric=None, mode=None)
        self._link = link

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._link.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Of a good end the scheduler has told the dispatch already."""
        if error:
            self._link.died(trial_id)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        return True

    def save(self, checkpoint_path: str) -> None:
        """The store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """The store is the state."""


class ArenaScheduler(FIFOScheduler):
    """Hands workers' reports to the dispatch. It never stops or pauses: an assignment ends where it was to end.

    It also keeps Tune from ending processes that will be wanted. Where trials are shorter than the start of a process,
    Tune by itself would have one process do all, and start and end others all the time: it gives a process that is free
    to a trial whose own is just starting, and ends that; and of those that are free it keeps no more than trials wait.
    """

    def __init__(self, link: Link, request: tune.PlacementGroupFactory) -> None:
        super().__init__()
        self._link = link
        self._request = request
        self._keeping = False

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Called before Tune starts processes and gives free ones away. The trial that is to have a free one: none, so that
        those get it that have none yet, but one whose process does not start, its place taken by others."""
        controller = tune_controller._tune_controller
        if self._keeping != self._link.busy_lately:
            self._keeping = not self._keeping
            cache = controller._actor_cache
            (cache.increase_max if self._keeping else cache.decrease_max)(self._request, MOST_SLOTS)
        waiting = [trial for trial in controller.get_live_trials() if trial.status == Trial.PENDING]
        for trial in waiting:
            if trial in controller._trial_to_actor:
                controller._resources_to_pending_trials[self._request].discard(trial)
        return next((trial for trial in waiting if self._link.is_late(trial.trial_id)), None)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        self._link.receive(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._link.receive(trial.trial_id, trial.last_result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Called for recoverable and final failures alike: the searcher is told of the final ones alone."""
        lines = str(trial.get_pickled_error() or "").strip().splitlines()
        self._link.last_words = lines[-1][:300] if lines else self._link.last_words
        if trial in tune_controller._resetting_trials:
            self._link.excused.add(trial.trial_id)


class LinkStopper(Stopper):
    def __init__(self, link: Link) -> None:
        self._link = link

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._link.stopping


class LinkObserver(Callback):
    def __init__(self, link: Link) -> None:
        self._link = link
        self._at = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._at > 0.25:
            self._at = time.monotonic()
            self._link.observe()


def drive(
    dispatch: Dispatch,
    resources: Resources,
    *,
    limit: int | None = None,
    observe: Callable[[Dispatch, int], None] = lambda dispatch, slots: None,
) -> None:
    """Plays the study on the cluster that ray is connected to, until every run is over and every exam taken.

    `limit`: the most assignments at a time. Raises Interrupted on SIGINT and SIGTERM, StudyFailed, or what went wrong;
    in each case the store holds all that arrived, and the same call goes on from there.
    """
    logging.getLogger("ray.tune").setLevel(
        logging.CRITICAL
    )  # its stack traces of lost workers: the store has the reasons
    link = Link(dispatch, Slots(resources, limit), observe)
    complete = False
    try:
        if not dispatch.finished:
            with _signals(link), _scratch() as scratch:
                _tuner(link, resources, scratch).fit()
        if link.error is not None:
            raise link.error
        if link.interrupted:
            raise Interrupted(link.interrupted)
        complete = dispatch.finished
    finally:
        dispatch.finish(complete)


def _tuner(link: Link, resources: Resources, scratch: str) -> Tuner:
    request = _request(link.slots, resources)
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
            failure_config=FailureConfig(max_failures=0),  # what is lost is handed out anew, as it stands by then
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            log_to_file=False,
        ),
    )


def _request(slots: Slots, resources: Resources) -> tune.PlacementGroupFactory:
    """What a trial asks of the cluster: one bundle, or with several GPUs one for itself and one a rank."""
    first: dict[str, float] = {"CPU": resources.cpus if slots.ranks == 1 else 1}
    if resources.memory_gb:
        first["memory"] = resources.memory_gb * 2**30
    if not any(first.values()) and not resources.gpus:
        first["CPU"] = LEAST_CPU
    if slots.ranks == 1:
        return tune.PlacementGroupFactory([{**first, **({"GPU": resources.gpus} if resources.gpus else {})}])
    return tune.PlacementGroupFactory([first, *[{"GPU": 1, "CPU": slots.rank_cpus}] * slots.ranks])


@contextmanager
def _scratch() -> Iterator[str]:
    """Tune's own files: nothing in them is needed again."""
    folder = tempfile.mkdtemp(prefix="hpo-tune-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _signals(link: Link) -> Iterator[None]:
    """SIGINT and SIGTERM end the study cleanly; a second one ends it at once."""
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
