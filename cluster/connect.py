"""Connects to a Ray cluster, or starts one on this machine. Imports Ray only to connect."""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster import tokens
from cluster.addresses import AddressError, cluster_endpoint
from cluster.errors import ClusterError, one_line

OBJECT_STORE_BYTES = 256 * 2**20  # enough: trials share data through files, nothing large passes through Ray
LONGEST_TEMPORARY = 40  # characters: Ray's socket paths below it must fit the kernel's limit of 107
PATIENCE_SECONDS = 5.0


class ConnectError(ClusterError):
    """A cluster that cannot be reached or started."""


class Connection:
    """A connection to a cluster. As a context manager it disconnects at the end, and stops a cluster that it started."""

    def __init__(
        self, address: str, logs: Path | None = None, dashboard: str = "", end: Callable[[], None] = lambda: None
    ) -> None:
        self.address = address
        self.logs = logs
        self._end = end
        self.dashboard = dashboard  # its URL as the head sees it; empty without a dashboard

    @property
    def local(self) -> bool:
        """Returns whether this process started the cluster."""
        return self.logs is not None

    def close(self, *, keep_logs: bool = False) -> None:
        """Disconnects. Stops a cluster that this process started, and deletes its logs unless `keep_logs`."""
        import ray

        ray.shutdown()
        self._end()
        if self.logs is not None and not keep_logs:
            shutil.rmtree(self.logs, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep_logs=kind is not None and issubclass(kind, Exception) and not issubclass(kind, ValueError))


def connect(address: str | None, *, workers: int | None = None, cpus_per_worker: float = 1) -> Connection:
    """Connects to `address` (auto, HOST:PORT), or starts a local cluster with room for `workers` trials.

    Without an address it follows Ray's convention: RAY_ADDRESS counts if it names a cluster. `workers` and
    `cpus_per_worker` size a local cluster only: it gets exactly their product of logical CPUs, or without `workers` as
    many as Ray counts. Raises ConnectError when no cluster answers, AddressError for ray:// and http:// addresses, and
    TokenError when a token is named but cannot be read.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # processes that ask for no GPU see none
    address = address or _named_cluster()
    return _start(workers, cpus_per_worker) if address is None else _join(address)


def _named_cluster() -> str | None:
    """Returns RAY_ADDRESS as the head sets it for a job's driver; ignores a job server's URL, which names no cluster."""
    named = os.environ.get("RAY_ADDRESS", "")
    return None if not named or named == "local" or "://" in named else named


def _start(workers: int | None, cpus_per_worker: float) -> Connection:
    """Starts a cluster that lives as long as this process, without a dashboard and with its logs in a folder of its own.

    It has a token, since its ports are open to the network.
    """
    import ray

    end = tokens.lend()
    cpus = None if workers is None else max(1, math.ceil(workers * cpus_per_worker))
    parent = tempfile.gettempdir() if len(tempfile.gettempdir()) <= LONGEST_TEMPORARY else "/tmp"
    logs = Path(tempfile.mkdtemp(prefix="hpo-ray-", dir=parent))
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
            log_to_driver=False,
            _temp_dir=str(logs),
        )
    except (ConnectionError, RuntimeError, OSError) as error:
        end()
        raise ConnectError(
            f"a Ray cluster must start on this machine, but did not: {one_line(error)}; its logs are in {logs}"
        ) from None
    return Connection("local", logs, end=end)


def check(address: str | None) -> None:
    """Raises what `connect` would raise at once: for an address of the wrong form, or one where nothing listens."""
    address = address or _named_cluster()
    endpoint = cluster_endpoint(address) if address is not None else None
    if endpoint is not None:
        check_listening(*endpoint)


def _join(address: str) -> Connection:
    check(address)
    mode = tokens.say_mode()
    import ray
    from ray.exceptions import RayError

    try:
        with _sigterm_later():
            joined = ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        ray.shutdown()
        raise ConnectError(_refusal(address, mode, error)) from None
    return Connection(address, dashboard=f"http://{joined.dashboard_url}" if joined.dashboard_url else "")


@contextmanager
def _sigterm_later() -> Iterator[None]:
    """Delays SIGTERM until Ray is up and the caller's handler is back: Ray's own would end us with a stack trace."""
    mine = signal.getsignal(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        with suppress(ValueError, TypeError):  # only the main thread may set handlers
            signal.signal(signal.SIGTERM, mine)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def check_listening(host: str, port: int) -> None:
    """Raises ConnectError when nothing listens; Ray itself would try for a minute."""
    try:
        socket.create_connection((host, port), PATIENCE_SECONDS).close()
    except OSError as error:
        raise ConnectError(f"a Ray cluster must answer at {host}:{port}, but none does: {error}") from None


def _refusal(address: str, mode: str, error: Exception) -> str:
    text = str(error)
    if "auth" in text.lower() or "token" in text.lower():
        have = "the one found here is wrong" if mode == "token" else "none is set"
        return (
            f"the cluster at {address} asks for its token, but {have}; "
            f"set {tokens.MODE}=token and {tokens.TOKEN_PATH} to the file that holds it"
        )
    return f"a Ray cluster must answer at {address}, but none does: {one_line(error)}"


__all__ = ["AddressError", "ConnectError", "Connection", "check", "connect"]
