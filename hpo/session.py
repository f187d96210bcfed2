"""One sitting at a study: store opened, cluster reached, game played, report written. What `hpo run` does."""

from __future__ import annotations

import platform
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import environment, plan
from hpo import store as stores
from hpo.dispatch import Dispatch, StudyFailed, scripts
from hpo.figures import Observing
from hpo.progress import Progress
from hpo.space import Value
from hpo.study import Study
from hpo.tracking import MlFlow, TensorBoard, Tracking
from hpo.trial import Observation
from hpo.yaml_text import StudyError

if TYPE_CHECKING:
    from cluster.connect import Connection

JOURNAL_SECONDS = 10.0
AHEAD = 64  # segments of an oblivious method that are planned beyond its virtual workers


class InterruptedStudy(Exception):
    """The study was asked to stop; the sentence says how to go on."""


__all__ = ["InterruptedStudy", "StudyFailed", "play", "prior_observations", "write_report"]


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
    runs = plan.runs(study, prior=prior_observations(study), cost=plan.epoch_cost(study))
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
            runs = plan.runs(study, prior=prior_observations(study), cost=plan.epoch_cost(study), scripts=stored)
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
    from hpo.driver import Interrupted, drive
    from hpo.gauges import Gauges

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

    try:
        load(study.trainable)
    except (ImportError, AttributeError, ValueError) as error:
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
    return f"{base.rstrip('/')}/{study.study}/checkpoints"


def prior_observations(study: Study) -> Sequence[Observation]:
    """Earlier results of a store for the searchers to learn from: oriented, larger is better."""
    if study.prior is None:
        return ()
    data = stores.read(study.prior)
    sign = 1.0 if study.mode == "max" else -1.0
    if study.metric not in data.epochs.column_names:
        raise StudyError(f"prior must hold the study's metric {study.metric!r}, but {study.prior} has no such column")
    names = list(study.space.names)
    columns = [f"config_{name}" for name in names]
    missing = [c for c in columns if c not in data.epochs.column_names]
    if missing:
        raise StudyError(f"prior must hold every hyperparameter of the space, but {study.prior} has no {missing[0]!r}")
    found = []
    for row in data.epochs.select([*columns, "epoch", "attempt", study.metric]).to_pylist():
        config = {n: _typed(study, n, row[f"config_{n}"]) for n in names if row[f"config_{n}"] is not None}
        value = row[study.metric]
        if row["attempt"] == 0 and value is not None and value == value and config in study.space:
            found.append(Observation(config, row["epoch"], sign * value))
    return found


def _typed(study: Study, name: str, value: Value) -> Value:
    """A column's value as the space has it: mixed choices are stored as text."""
    options = getattr(study.space.domains[name], "options", None)
    if options is None:
        return value
    return next((option for option in options if option == value or str(option) == str(value)), value)


def write_report(study: Study, command: str) -> Path | str:
    """The HTML report beside a local store's tables; for S3 in the working folder. Returns its path."""
    from hpo import report
    from hpo.compare import compare
    from hpo.importance import importance_or_none

    data = stores.read(study.store, study.study)
    folder = Path() if "://" in study.store else Path(study.store) / study.study
    path = folder / ("report.html" if folder != Path() else f"{study.study}.html")
    report.write_html(
        data, compare(data), importance_or_none(data, seed=0), path, command=command or shlex.join(["hpo"])
    )
    return path
