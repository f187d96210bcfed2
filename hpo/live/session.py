"""One sitting at a study: opens the store, reaches the cluster, plays the game. What `hpo run` does before its report."""

from __future__ import annotations

import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo import store as stores
from hpo.errors import InterruptedStudy
from hpo.files import expanded
from hpo.game.runs import epoch_cost, runs_of
from hpo.live.dispatch import Dispatch
from hpo.live.monitor import Monitor
from hpo.live.occupancy import Occupancy
from hpo.live.progress import Progress
from hpo.live.sharing import grows, most, shared
from hpo.live.tracking import MlFlow, TensorBoard, Tracking
from hpo.live.validation import validate
from hpo.methods import origins, origins_of
from hpo.store import layout
from hpo.store.agreement import METHOD_PACKAGES
from hpo.store.journal import Journal
from hpo.store.recover import prior_observations
from hpo.study import environment
from hpo.study.study import Study
from hpo.text import encodable

if TYPE_CHECKING:
    from cluster.connect import Connection
    from cluster.needs import Needs
    from cluster.sharing.client import Sharing

AHEAD = 64  # segments of an oblivious method that are planned beyond its virtual workers


def play(study: Study, *, address: str | None, workers: int | None, quiet: bool, command: str) -> None:
    """Runs the study, or goes on with it, to the end of every run and exam.

    Raises StudyError or StoreError for bad input before anything is written, StudyFailed where it cannot go on,
    InterruptedStudy on SIGINT and SIGTERM.
    """
    from cluster import connect

    connect.check(address)
    validate(study, elsewhere=address is not None)
    with _listening(command) as listen:
        _Sitting(study, address, workers, quiet, command, listen).play()


@contextmanager
def _listening(command: str) -> Iterator[Callable[[], None]]:
    """Makes SIGINT and SIGTERM end the command at once, before the game and after it; the driver has its own handlers.

    Yields a function that listens again, for Ray puts handlers of its own in their place.
    """

    def stop(number: int, frame: object) -> None:
        name = signal.Signals(number).name
        raise InterruptedStudy(f"stopped by {name}; what was trained is in the store; to continue: {command}")

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


@dataclass(frozen=True)
class _Sitting:
    """A study, and how the user asked for it to be played. `command` is what the user repeats to continue it."""

    study: Study
    address: str | None
    workers: int | None
    quiet: bool
    command: str
    listen: Callable[[], None]

    def play(self) -> None:
        dispatch = self._opened()
        if dispatch.finished:
            dispatch.finish(complete=True)
        else:
            with redirect_stdout(sys.stderr):  # Ray reports dead workers and nodes on stdout, which is for results
                self._play(dispatch)

    def _opened(self) -> Dispatch:
        """Opens the study's store and recovers what it holds."""
        study = self.study
        prior, cost = prior_observations(study), epoch_cost(study)
        runs = runs_of(study, prior=prior, cost=cost)
        writer = stores.StudyWriter.open(
            study.store,
            study=study.study,
            definition=study.definition,
            digest=study.digest,
            environment={**environment.collect(), **foreign(study), "command": encodable(self.command)},
            space_kinds=study.kinds,
        )
        try:
            return Dispatch(study, runs, writer, checkpoint_place(study), AHEAD, tracking(study))
        except BaseException:
            writer.close(compact=False)
            raise

    def _play(self, dispatch: Dispatch) -> None:
        """Plays the rest of the study on a cluster, in sight of the user, the monitors and the journal."""
        try:
            connection = self._connected()
        except BaseException:
            dispatch.finish(complete=False)
            raise
        if connection.dashboard and not self.quiet:
            print(f"dashboard: {connection.dashboard}", file=sys.stderr)
        cluster = {"address": connection.address, "dashboard": connection.dashboard}
        with connection, dispatch.writer.journal() as journal, Progress(quiet=self.quiet) as progress:
            journal.write("begun", command=self.command, **cluster, runs=len(dispatch.arena.runs))
            monitor = Monitor(self.study.study, journal)

            def observe(dispatch: Dispatch, occupancy: Occupancy) -> None:
                progress(dispatch, occupancy)
                monitor.watch(dispatch, occupancy)

            try:
                with shared(self.study, connection, self.workers) as sharing:
                    self._drive(dispatch, observe, journal, sharing)
            finally:
                progress(dispatch, Occupancy())
            monitor.conclude(dispatch)
            journal.write("done")

    def _drive(
        self,
        dispatch: Dispatch,
        observe: Callable[[Dispatch, Occupancy], None],
        journal: Journal,
        sharing: Sharing | None,
    ) -> None:
        """Drives the study, and writes to the journal why it ends early."""
        from hpo.live.tune.driver import Interrupted, drive

        try:
            target, spare = (None, None) if sharing is None else (sharing.target, sharing.spare)
            drive(dispatch, self.study.resources, limit=self.workers, target=target, spare=spare, observe=observe)
        except Interrupted as stop:
            charged = sum(run.ledger.committed for run in dispatch.arena.runs)
            journal.write("interrupted", signal=stop.name, charged_epochs=charged)
            raise InterruptedStudy(
                f"{stop} with {charged} epochs charged, all of them in {self.study.store}; to continue: {self.command}"
            ) from None
        except BaseException as error:
            journal.write("failed", reason=str(error))
            raise

    def _connected(self) -> Connection:
        """Returns a cluster that can run the study; of one of our own, only the room is in doubt."""
        from cluster.connect import connect
        from cluster.preflight import check_room

        connection = connect(self.address, workers=self.workers, cpus_per_worker=self.study.resources.cpus_in_all)
        self.listen()
        try:
            if connection.local:
                check_room(_needs(self.study))
            else:
                _preflight(self.study, connection, self.workers, self.quiet)
        except BaseException:
            connection.close()
            raise
        return connection


def foreign(study: Study) -> dict[str, dict[str, str]]:
    """Returns the versions of users' and third parties' methods, and of such a trainable, as parts of the environment."""
    trainable = dict(origins_of(study.trainable)) if ":" in study.trainable else {}
    found = {METHOD_PACKAGES: origins(study.methods), "trainable_packages": trainable}
    return {name: packages for name, packages in found.items() if packages}


def check_cluster(study: Study, address: str) -> None:
    """Raises ClusterError where the cluster at `address` cannot be reached or cannot run the study."""
    from cluster.connect import connect

    with connect(address) as connection:
        _preflight(study, connection, None, quiet=False)


def _preflight(study: Study, connection: Connection, workers: int | None, quiet: bool) -> None:
    """Compares what the study needs with what the cluster has: shows a table, and raises where the study cannot run."""
    from rich.console import Console

    from cluster.preflight import PreflightError, preflight

    growing, limited = grows(), most(study, workers) is not None
    report = preflight(connection, _needs(study), elastic=growing and limited)
    if not quiet or not report.ok:
        Console(stderr=True, markup=False, emoji=False).print(report.table())
    if report.elastic and not quiet:
        print(f"the autoscaler may add nodes, for up to {most(study, workers)} trials at a time", file=sys.stderr)
    if report.shortage and growing:
        raise PreflightError(
            f"{report.shortage}; or set resources.max_workers or --workers, the most trials at a time up to which this "
            "cluster's autoscaler may be asked for nodes"
        )
    report.check()


def _needs(study: Study) -> Needs:
    from cluster.preflight import Needs, installed
    from cluster.slots import Request

    return Needs(
        request=Request(study.resources.bundles, study.resources.labels),
        packages=installed(environment.PACKAGES),
        python=".".join(platform.python_version_tuple()[:2]),
        data_root=study.located()["data"].get("root"),
        store=_absolute(study.store),
    )


def tracking(study: Study) -> Tracking:
    """Returns the trackers that the study file names."""
    track = study.track
    folder = TensorBoard(str(study.folder / expanded(track.tensorboard)), study.study) if track.tensorboard else None
    server = MlFlow(track.mlflow, study.study) if track.mlflow else None
    return Tracking(*(tracker for tracker in (folder, server) if tracker is not None), mode=study.mode)


def checkpoint_place(study: Study) -> str:
    """Returns where the study's checkpoints lie: beside its tables."""
    return f"{_absolute(study.store).rstrip('/')}/{layout.checkpoints(study.study)}"


def _absolute(store: str) -> str:
    return store if "://" in store else str(expanded(store).resolve())
