"""One sitting at a study: store opened, cluster reached, game played, report written. What `hpo run` does."""

from __future__ import annotations

import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import store as stores
from hpo.errors import InterruptedStudy
from hpo.game.runs import epoch_cost, runs_of
from hpo.live.dispatch import Dispatch
from hpo.live.monitor import Gauges, Observing
from hpo.live.progress import Progress
from hpo.live.tracking import MlFlow, TensorBoard, Tracking
from hpo.store import layout
from hpo.store.recover import prior_observations, scripts
from hpo.study import environment
from hpo.study.study import Study

if TYPE_CHECKING:
    from cluster.connect import Connection

JOURNAL_SECONDS = 10.0
AHEAD = 64  # segments of an oblivious method that are planned beyond its virtual workers


def play(study: Study, *, address: str | None, workers: int | None, quiet: bool, command: str) -> None:
    """Runs the study, or goes on with it, to the end of every run and exam.

    Raises StudyError or StoreError for bad input before anything is written, StudyFailed where it cannot go on,
    InterruptedStudy on SIGINT and SIGTERM.
    """
    from cluster import connect

    connect.check(address)
    _check_trainable(study)
    with _listening(command) as listen:
        _play(study, address, workers, quiet, command, listen)


def _play(
    study: Study, address: str | None, workers: int | None, quiet: bool, command: str, listen: Callable[[], None]
) -> None:
    runs = runs_of(study, prior=prior_observations(study), cost=epoch_cost(study))
    writer = stores.StudyWriter.open(
        study.store,
        study=study.study,
        definition=study.definition,
        digest=study.digest,
        environment={**environment.collect(), "command": command},
        space_kinds=study.kinds,
    )
    try:
        if study.clock == "arrival":
            stored = scripts(writer.stored)
            runs = runs_of(study, prior=prior_observations(study), cost=epoch_cost(study), scripts=stored)
        dispatch = Dispatch(study, runs, writer, checkpoint_place(study), AHEAD, tracking(study))
    except BaseException:
        writer.close(compact=False)
        raise
    if dispatch.finished:
        dispatch.finish(complete=True)
    else:
        with redirect_stdout(sys.stderr):  # Ray says on stdout which workers and nodes died; stdout is for results
            _drive(study, dispatch, address, workers, quiet, command, listen)


@contextmanager
def _listening(command: str) -> Iterator[Callable[[], None]]:
    """Before the game begins and after it, SIGINT and SIGTERM end the command at once; the driver has its own way.

    What is yielded listens again: Ray puts a handler of its own in its place.
    """

    def stop(number: int, frame: object) -> None:
        name = signal.Signals(number).name
        raise InterruptedStudy(f"stopped by {name}; what was trained is in the store; to go on: {command}")

    def listen() -> None:
        for number in before:
            signal.signal(number, stop)

    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in ((signal.SIGINT, signal.SIGTERM) if here else ())}
    listen()
    try:
        yield listen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drive(
    study: Study, dispatch: Dispatch, address: str | None, workers: int | None, quiet: bool, command: str,
    listen: Callable[[], None],
) -> None:  # fmt: skip
    try:
        connection = _connected(study, address, workers, quiet, listen)
    except BaseException:
        dispatch.finish(complete=False)
        raise
    from hpo.live.tune.driver import Interrupted, drive

    whole = {"command": command, "address": connection.address, "dashboard": connection.dashboard}
    if connection.dashboard and not quiet:
        print(f"dashboard: {connection.dashboard}", file=sys.stderr)
    observing, gauges, shown = Observing(), Gauges(study.study), [0.0]
    with connection, dispatch.writer.journal() as journal, Progress(quiet=quiet) as progress:
        journal.write("begun", **whole, runs=len(dispatch.arena.runs))

        def observe(dispatch: Dispatch, slots: int) -> None:
            progress(dispatch, slots)
            figures = observing.take(dispatch, slots)
            gauges.show(figures)
            if time.monotonic() - shown[0] > JOURNAL_SECONDS:
                shown[0] = time.monotonic()
                journal.write("figures", **asdict(figures))

        try:
            drive(dispatch, study.resources, limit=workers, observe=observe)
        except Interrupted as signal:
            charged = sum(run.ledger.committed for run in dispatch.arena.runs)
            journal.write("interrupted", signal=str(signal), charged_epochs=charged)
            raise InterruptedStudy(
                f"stopped by {signal} with {charged} epochs charged, all of them in {study.store}; to go on: {command}"
            ) from None
        except BaseException as error:
            journal.write("failed", reason=str(error))
            raise
        finally:
            progress(dispatch, 0)
        journal.write("figures", **asdict(observing.take(dispatch, 0)))
        journal.write("done")


def _connected(
    study: Study, address: str | None, workers: int | None, quiet: bool, listen: Callable[[], None]
) -> Connection:
    """A cluster that can run the study; one of our own needs no preflight."""
    from cluster.connect import connect

    connection = connect(address, workers=workers, cpus_per_worker=study.resources.cpus)
    listen()
    if not connection.local:
        try:
            _preflight(study, connection, quiet)
        except BaseException:
            connection.close()
            raise
    return connection


def _preflight(study: Study, connection: Connection, quiet: bool) -> None:
    """What the study needs against what the cluster has: shown as a table, refused where it cannot work."""
    from rich.console import Console

    from cluster.preflight import Needs, installed, preflight

    packages = installed(environment.PACKAGES)
    located = study.located()["data"].get("root")
    needs = Needs(
        cpus=study.resources.cpus,
        gpus=study.resources.gpus,
        memory=int((study.resources.memory_gb or 0) * 2**30),
        packages=packages,
        python=".".join(platform.python_version_tuple()[:2]),
        data_root=located,
        store=study.store if "://" in study.store else str(Path(study.store).resolve()),
    )
    report = preflight(connection, needs)
    if not quiet or not report.ok:
        Console(stderr=True).print(report.table())
    report.check()


def _check_trainable(study: Study) -> None:
    if study.trainable == "image_classifier":
        environment.check_torch()
        return
    from trainables import load
    from trainables.errors import BadTrainable

    try:
        load(study.trainable)
    except (ImportError, AttributeError, ValueError, BadTrainable) as error:
        raise study.error(
            ("trainable",), f"the trainable must be importable, but {study.trainable!r} is not: {error}"
        ) from None


def tracking(study: Study) -> Tracking:
    """What the study file says about pages elsewhere."""
    track = study.track
    folder = TensorBoard(str(study.folder / track.tensorboard), study.study) if track.tensorboard else None
    server = MlFlow(track.mlflow, study.study) if track.mlflow else None
    return Tracking(*(tracker for tracker in (folder, server) if tracker is not None), mode=study.mode)


def checkpoint_place(study: Study) -> str:
    """Checkpoints lie beside the study's tables."""
    base = study.store if "://" in study.store else str(Path(study.store).resolve())
    return f"{base.rstrip('/')}/{layout.checkpoints(study.study)}"
