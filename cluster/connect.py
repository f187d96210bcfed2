"""Connects to a Ray cluster, or starts one on this machine. Imports Ray only to connect."""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster import tokens
from cluster.addresses import AddressError, cluster_endpoint
from cluster.errors import ClusterError, one_line
from cluster.job import BAD_INPUT, INTERRUPTED
from cluster.own import OwnCluster, Shape

PATIENCE_SECONDS = 5.0


class ConnectError(ClusterError):
    """A cluster that cannot be reached or started."""


class Connection:
    """A connection to a cluster. As a context manager it disconnects at the end, and stops a cluster that it started."""

    def __init__(self, address: str, own: OwnCluster | None = None, dashboard: str = "") -> None:
        self.address = address
        self.dashboard = dashboard  # its URL as the head sees it; empty without a dashboard
        self._own = own
        self._leaving: threading.Thread | None = None

    @property
    def local(self) -> bool:
        """Returns whether this process started the cluster."""
        return self._own is not None

    @property
    def logs(self) -> Path | None:
        """Returns where the logs are of a cluster that this process started."""
        return None if self._own is None else self._own.logs

    def leave(self, *, keep_logs: bool = False) -> None:
        """Begins to disconnect and returns at once: the cluster goes down beside what comes next. `close` waits for it.

        Until then no garbage is collected: Ray would end this process if something of its own were freed meanwhile.
        """
        gc.disable()
        if self._own is not None:
            self._own.end(keep_logs=keep_logs)
        elif self._leaving is None:
            import ray

            self._leaving = threading.Thread(target=ray.shutdown, name="leaving the cluster")
            self._leaving.start()

    def close(self, *, keep_logs: bool = False) -> None:
        """Disconnects. Stops a cluster that this process started, and deletes its logs unless `keep_logs`."""
        self.leave(keep_logs=keep_logs)
        if self._own is not None:
            self._own.join()
        elif self._leaving is not None:
            self._leaving.join()
        gc.enable()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep_logs=kind is not None and _worth_logs(kind))


def _worth_logs(kind: type[BaseException]) -> bool:
    """Tells whether Ray's logs may explain the exception: not bad input, and not that somebody stopped the study."""
    explained = getattr(kind, "exit_code", None) in (BAD_INPUT, INTERRUPTED)
    return issubclass(kind, Exception) and not issubclass(kind, ValueError) and not explained


class Beginning:
    """A connection that is being made beside other work. As a context manager it leaves no cluster behind.

    A cluster of this process's own begins when it is `wanted`, or after `GRACE_SECONDS` by itself: what is refused at
    once costs no cluster, and what takes long to check does not wait for one afterwards.
    """

    def __init__(self, address: str | None, own: OwnCluster | None) -> None:
        self._address, self._own = address, own
        self._made: Connection | None = None

    def wanted(self) -> None:
        """Says that the cluster will be needed."""
        if self._own is not None:
            self._own.begin()

    def connected(self) -> Connection:
        """Waits for the cluster and returns the connection, the same one each time. Raises what `connect` raises."""
        if self._made is not None:
            return self._made
        if self._address is not None:
            self._made = _join(self._address)
        else:
            assert self._own is not None
            self._made = _started(self._own)
        return self._made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        made = self._made or (Connection("local", self._own) if self._own is not None else None)
        if made is not None:
            made.close(keep_logs=self._made is not None and kind is not None and _worth_logs(kind))


def begin(address: str | None, shape: Shape = Shape()) -> Beginning:  # a frozen value
    """Begins what `connect` does, and returns at once; without an address, a local cluster of this shape.

    Raises TokenError when a token is named but cannot be read.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # processes that ask for no GPU see none
    address = address or _named_cluster()
    return Beginning(address, OwnCluster(shape) if address is None else None)


def connect(address: str | None, *, workers: int | None = None, cpus_per_worker: float = 1) -> Connection:
    """Connects to `address` (auto, HOST:PORT), or starts a local cluster with room for `workers` trials.

    Without an address it follows Ray's convention: RAY_ADDRESS counts if it names a cluster. `workers` and
    `cpus_per_worker` size a local cluster only: it gets exactly their product of logical CPUs, or without `workers` as
    many as Ray counts. Raises ConnectError when no cluster answers, AddressError for ray:// and http:// addresses, and
    TokenError when a token is named but cannot be read.
    """
    return begin(address, Shape(cpus=cpus_for(workers, cpus_per_worker))).connected()


def cpus_for(workers: int | None, cpus_per_worker: float) -> int | None:
    """Returns the logical CPUs of a local cluster with room for so many trials; None for as many as Ray counts."""
    return None if workers is None else max(1, math.ceil(workers * cpus_per_worker))


def _named_cluster() -> str | None:
    """Returns RAY_ADDRESS as the head sets it for a job's driver; ignores a job server's URL, which names no cluster."""
    named = os.environ.get("RAY_ADDRESS", "")
    return None if not named or named == "local" or "://" in named else named


def _started(own: OwnCluster) -> Connection:
    own.begin()
    try:
        own.wait()
    except (ConnectionError, RuntimeError, OSError) as error:
        own.join()
        raise ConnectError(
            f"a Ray cluster must start on this machine, but did not: {one_line(error)}; its logs are in {own.logs}"
        ) from None
    return Connection("local", own)


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


__all__ = ["AddressError", "Beginning", "ConnectError", "Connection", "Shape", "begin", "check", "connect"]
