"""A Ray node with the processes that one program on one machine needs, each in a session of its own.

Everything here that no document of Ray's promises is listed in tests/unit/test_ray_private.py. Tested with Ray 2.60.
"""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ray._private import ray_constants, services
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._raylet import persist_port  # type: ignore[attr-defined]

# The raylet wants an agent of the dashboard, and dies with it. This one only waits for the raylet's end.
STAND_IN = """
import ctypes, os, signal
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
while os.getppid() == int(os.environ["RAY_RAYLET_PID"]):
    signal.pause()
"""
# Ray's agents look for their raylet now and then, and then try for a minute to tell the control store of its end. The one of
# runtime environments gives way to the workers: nobody waits for it.
BOUND = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL); os.nice(5); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
UNUSED_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
PATIENCE_SECONDS = 5.0  # for processes that the kernel is taking apart
NONE = -1  # how Ray's agents write that they do not serve a port


class LeanNode(Node):  # type: ignore[misc]  # Ray has no types
    """A head node without dashboard, agent of the dashboard, autoscaler and log monitor."""

    processes: int | None = None
    _reserved: socket.socket

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        cpus: int | None,
        processes: int | None,
        modules: Sequence[str],
        threads: int,
        object_store: int,
    ) -> LeanNode:
        """Starts the node and returns it when it has registered; see `own.Shape`. Raises what Ray raises."""
        variables = {"RAY_preload_python_modules": ",".join(modules)} if modules else {}
        if threads and "OMP_NUM_THREADS" not in os.environ:
            variables["OMP_NUM_THREADS"] = str(threads)
        cls.processes = processes
        reserved = _reserved()
        parameters = RayParams(
            num_cpus=cpus,
            object_store_memory=object_store,
            temp_dir=str(folder),
            include_dashboard=False,
            include_log_monitor=False,
            no_monitor=True,
            runtime_env_agent_port=reserved.getsockname()[1],
            env_vars=variables,
        )
        try:
            with _own_sessions():
                node = cls(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True, ray_init_cluster=True)
        except BaseException:
            reserved.close()
            raise
        node._reserved = reserved
        return node

    def end(self) -> None:
        """Ends the node's processes, and waits until they are gone, the raylet's own among them."""
        import psutil  # type: ignore[import-untyped]  # Ray brings it along

        grandchildren = []
        for _, process in self.live_processes():
            with suppress(psutil.Error):
                grandchildren += psutil.Process(process.pid).children(recursive=True)
        self.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
        psutil.wait_procs(grandchildren, PATIENCE_SECONDS)
        self._reserved.close()

    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        """Starts none, and says so where drivers and workers look for its address."""
        self._webui_url = ""
        self.get_gcs_client().internal_kv_put(b"webui:url", b"", True, ray_constants.KV_NAMESPACE_DASHBOARD)

    def start_raylet(self, *arguments: Any, **options: Any) -> None:
        """Starts the raylet without waiting for agents: their ports are there before it looks."""
        for name in UNUSED_PORTS:
            persist_port(str(self._session_dir), str(self._node_id), name, NONE)
        with _changed_start(self._lean):
            super().start_raylet(*arguments, **options)

    def _lean(self, command: Sequence[str]) -> list[str]:
        """Returns the raylet's command with the stand-in, an agent that ends with the raylet, and as many processes."""
        named = (word.partition("=") for word in command)
        return [name + by + self._changed(name, value) for name, by, value in named]

    def _changed(self, name: str, value: str) -> str:
        python = [sys.executable, "-I", "-S", "-c"]
        match name:
            case "--dashboard_agent_command":
                return subprocess.list2cmdline([*python, STAND_IN])
            case "--runtime_env_agent_command":
                return f"{subprocess.list2cmdline([*python, BOUND])} {value}"
            case "--num_prestart_python_workers" if self.processes is not None:
                return str(self.processes)
        return value


def _reserved() -> socket.socket:
    """Returns a socket that keeps a port for the agent of runtime environments, and serves nothing.

    Linux lets two sockets that reuse addresses have a port as long as one of them listens at most, and gives it to no
    other process. Without a port that is known beforehand, the raylet waits a second for the agent to choose one.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("", 0))
    return reserved


@contextmanager
def _own_sessions() -> Iterator[None]:
    """Keeps the block's processes out of this process group, so that a signal to all of it reaches this process alone.

    They still die with the thread that starts them: Ray asks the kernel for that.
    """
    before = services.ConsolePopen
    services.ConsolePopen = functools.partial(subprocess.Popen, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = before


@contextmanager
def _changed_start(change: Callable[[Sequence[str]], list[str]]) -> Iterator[None]:
    """Applies `change` to the commands of the block's processes."""
    before = services.start_ray_process

    def start(command: list[str], *arguments: Any, **options: Any) -> Any:
        return before(change(command), *arguments, **options)

    services.start_ray_process = start
    try:
        yield
    finally:
        services.start_ray_process = before
