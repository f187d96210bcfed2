"""One sitting at a study: opens the store, reaches the cluster, plays the game. What `hpo run` does before its report."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo import store as stores
from hpo.errors import InterruptedStudy, StudyFailed
from hpo.game.runs import epoch_cost, runs_of
from hpo.live import code, output
from hpo.live.dispatch import Dispatch
from hpo.live.monitor import Monitor
from hpo.live.occupancy import Occupancy
from hpo.live.progress import Progress
from hpo.live.sharing import grows, most, shared
from hpo.live.stopping import stoppable
from hpo.live.tracking import tracking
from hpo.live.validation import validate
from hpo.storage.place import absolute
from hpo.store import layout
from hpo.store.journal import Journal
from hpo.store.recover import prior_observations
from hpo.study import environment
from hpo.study.study import Study
from hpo.text import encodable

if TYPE_CHECKING:
    from cluster.connect import Beginning, Connection, Shape
    from cluster.needs import Needs
    from cluster.sharing.client import Sharing

NEEDS_TORCH = ("image_classifier", "mlp")
AHEAD = 64  # segments of an oblivious method that are planned beyond its virtual workers


def play(
    studies: Sequence[Study],
    *,
    address: str | None,
    workers: int | None,
    quiet: bool,
    command: str,
    then: Callable[[], None] = lambda: None,
    plain: bool = False,
) -> None:
    """Runs the studies, or goes on with them, to the end of every run and exam; then calls `then`, and returns.

    They are checked together, and run one after the other on one cluster. A cluster of this process's own starts
    while they are checked and the store is read, and ends beside `then`. `plain`: show progress as lines of text. `quiet`:
    show none.

    Raises StudyError or StoreError for bad input before anything is written, StudyFailed where it cannot go on,
    InterruptedStudy on SIGINT and SIGTERM.
    """
    from cluster import connect

    with stoppable(command), output.for_results():
        connect.check(address)
        with connect.begin(address, _shape(studies, workers)) as beginning:
            for each in studies:
                validate(each, elsewhere=address is not None)
            beginning.wanted()
            for each in studies:
                show, last = Progress(quiet=quiet, plain=plain), each is studies[-1]
                with _named(each, alone=len(studies) == 1):
                    _Sitting(each, beginning, workers, quiet, command, show, last).play()
            then()


@contextmanager
def _named(study: Study, *, alone: bool) -> Iterator[None]:
    """Names the study that failed, where it is one of several."""
    try:
        yield
    except StudyFailed as error:
        raise error if alone else StudyFailed(f"{study.study}: {error}") from None


def _shape(studies: Sequence[Study], workers: int | None) -> Shape:
    """Returns the cluster of this machine's own that suits the studies: its workers import what they will need."""
    from cluster.connect import Shape, cpus_for

    largest = max((study.resources for study in studies), key=lambda resources: resources.cpus_in_all)
    cpus, alone = cpus_for(workers, largest.cpus_in_all), largest.ranks == 1
    torch = ("torch",) if alone and any(study.trainable in NEEDS_TORCH for study in studies) else ()
    return Shape(
        cpus=cpus,
        processes=workers if workers is not None and alone else None,
        modules=("hpo.live.tune.worker", *torch),
        threads=max(1, int(largest.cpus)) if torch else 0,
    )


@dataclass(frozen=True)
class _Sitting:
    """A study, and how the user asked for it to be played. `command` is what the user repeats to continue it.

    `last`: no other study needs the cluster afterwards.
    """

    study: Study
    beginning: Beginning
    workers: int | None
    quiet: bool
    command: str
    show: Progress
    last: bool = True

    def play(self) -> None:
        dispatch = self._opened()
        if dispatch.finished:
            if not self.quiet:
                print(f"{self.study.study}: the store has all of it, nothing is left to train", file=sys.stderr)
            dispatch.finish(complete=True)
        else:
            with output.for_messages():
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
            environment={**environment.collect(), **code.foreign(study), "command": encodable(self.command)},
            space_kinds=study.kinds,
        )
        try:
            code.keep(study)
            self.show.tell(f"{study.study} starts")
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
        if connection.dashboard:
            self.show.tell(f"dashboard: {connection.dashboard}")
        cluster = {"address": connection.address, "dashboard": connection.dashboard}
        with dispatch.writer.journal() as journal, self.show as progress:
            whose = {"owner": self.study.owner, "priority": self.study.priority}
            journal.write("begun", command=self.command, **cluster, **whose, runs=len(dispatch.arena.runs))
            monitor = Monitor(self.study.study, journal)

            def observe(dispatch: Dispatch, occupancy: Occupancy) -> None:
                progress(dispatch, occupancy)
                monitor.watch(dispatch, occupancy)

            try:
                with shared(self.study, connection, self.workers) as sharing:
                    self._drive(dispatch, observe, journal, sharing)
            finally:
                progress(dispatch, None)
            if self.last:
                connection.leave()
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
        except (Interrupted, KeyboardInterrupt) as stop:  # the second: asked more than once
            name = stop.name if isinstance(stop, Interrupted) else str(stop) or "SIGINT"
            charged = sum(run.charged_epochs for run in dispatch.arena.runs)
            journal.write("interrupted", signal=name, charged_epochs=charged)
            raise InterruptedStudy(
                f"stopped by {name} with {charged} epochs charged, all of them in {self.study.store}; "
                f"to continue: {self.command}"
            ) from None
        except BaseException as error:
            journal.write("failed", reason=str(error))
            raise

    def _connected(self) -> Connection:
        """Returns a cluster that can run the study; of one of our own, only the room is in doubt."""
        from cluster.preflight import check_room
        from hpo.live.tune import driver  # noqa: F401  # a second's work, meanwhile the cluster starts

        connection = self.beginning.connected()
        if connection.local:
            check_room(_needs(self.study))
        else:
            _preflight(self.study, connection, self.workers, self.quiet)
        return connection


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
        console = Console(stderr=True, markup=False, emoji=False)
        console.print(*report.lines(console.width), sep="\n")
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
        store=absolute(study.store),
    )


def checkpoint_place(study: Study) -> str:
    """Returns where the study's checkpoints lie: beside its tables."""
    return f"{absolute(study.store)}/{layout.checkpoints(study.study)}"
