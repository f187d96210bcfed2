"""A Ray cluster of this process's own: begun beside other work, ended beside the report, gone when this process is gone.

`ray.init()` starts seven processes, waits for them one by one, and ends them one by one. A single machine that a single
program uses needs three: the control store, the raylet, and the agent of runtime environments. The dashboard, its agent,
the autoscaler's monitor and the log monitor serve other people; who wants them starts a cluster with `ray start --head`.
"""

from __future__ import annotations

import atexit
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import owned, tokens

OBJECT_STORE_BYTES = 256 * 2**20  # enough: trials share data through files, nothing large passes through Ray
PREFIX = "hpo-ray-"
PATIENCE_SECONDS = 60.0
GRACE_SECONDS = 0.3  # before a cluster begins that nobody has asked for yet


@dataclass(frozen=True)
class Shape:
    """What the cluster should be ready for.

    cpus: logical ones; None for as many as Ray counts. processes: workers that start with the cluster, before they have
    work; None for one a CPU. modules: what these import meanwhile. threads: of each for OpenMP, which reads it only
    once; 0 leaves that to Ray.
    """

    cpus: int | None = None
    processes: int | None = None
    modules: tuple[str, ...] = ()
    threads: int = 0


class OwnCluster:
    """A cluster that starts in a thread, soon by itself or at once by `begin`, and ends by `end` or with this process.

    The thread stays as long as the cluster: Linux ends the cluster's processes with the thread that started them.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._folder: owned.Owned | None = None
        self._asked_to_begin, self._up, self._asked_to_end = threading.Event(), threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._keep_logs = False
        self._thread = threading.Thread(target=self._live, name="cluster", daemon=True)
        atexit.register(self._finish)  # for a signal that comes before anybody else can end it
        self._give_back = tokens.lend()
        self._thread.start()

    @property
    def logs(self) -> Path | None:
        return None if self._folder is None else self._folder.path

    def begin(self) -> None:
        """Starts the cluster now, if it has not started yet."""
        self._asked_to_begin.set()

    def wait(self) -> None:
        """Waits until this process is connected. Raises what kept the cluster from starting."""
        self._up.wait()
        if self._error is not None:
            raise self._error

    def end(self, *, keep_logs: bool = False) -> None:
        """Asks the cluster to end, and returns at once."""
        self._keep_logs = self._keep_logs or keep_logs
        self._asked_to_end.set()
        self._asked_to_begin.set()

    def join(self) -> None:
        """Waits until the cluster's processes are gone."""
        self._thread.join(PATIENCE_SECONDS)  # it ends with this process at the latest
        atexit.unregister(self._finish)

    def _finish(self) -> None:
        if self._thread.ident is not None:
            self.end()
            self._thread.join(PATIENCE_SECONDS)

    def _live(self) -> None:
        try:
            self._asked_to_begin.wait(GRACE_SECONDS)
            if not self._asked_to_end.is_set():
                self._folder = owned.Owned(PREFIX)
                self._play(self._folder.path)
        except Exception as error:
            self._error, self._keep_logs = error, True
        finally:
            if self._folder is not None:
                self._folder.keep() if self._keep_logs else self._folder.delete()
            self._give_back()
            self._up.set()

    def _play(self, folder: Path) -> None:
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # it warns that only the main thread may set signal handlers
        node = _start(self._shape, folder)
        try:
            if not self._asked_to_end.is_set():
                ray.init(address=node.address, logging_level=logging.ERROR, log_to_driver=False)
                self._up.set()
                owned.sweep(PREFIX, owned.DRIVERS_SCRATCH)
                self._asked_to_end.wait()
        finally:
            ray.shutdown()
            node.end()


def _start(shape: Shape, folder: Path) -> Any:
    """Starts the processes of a cluster whose logs and sockets lie in `folder`. Imports Ray."""
    from cluster.lean_node import LeanNode

    return LeanNode.start(
        folder, cpus=shape.cpus, processes=shape.processes, modules=shape.modules, threads=shape.threads,
        object_store=OBJECT_STORE_BYTES,
    )  # fmt: skip
