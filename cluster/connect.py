"""Reaching a Ray cluster, or starting one on this machine."""

from __future__ import annotations

import logging
import os
from types import TracebackType


class ConnectError(ValueError):
    """A cluster that cannot be reached: one sentence that says what to do."""


class Connection:
    """A connection to a cluster; leaving it disconnects, and stops a cluster that it started itself."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        ray.shutdown()


def connect(address: str | None, *, workers: int | None = None, cpus_per_worker: float = 1) -> Connection:
    """Connects to `address` (auto, HOST:PORT), or starts a local cluster with room for `workers` trials.

    Raises ConnectError where no cluster answers, and for ray:// and http:// addresses.
    """
    if address is not None and "://" in address:
        raise ConnectError(
            f"the driver must run inside the cluster, but got {address}; "
            "submit the study as a job: hpo submit STUDY --address http://HOST:8265"
        )
    _quiet()
    import ray

    if address is None:
        cpus = _local_cpus(workers, cpus_per_worker)
        os.environ["RAY_AUTH_MODE"] = "disabled"  # a cluster on loopback that lives as long as this process
        ray.init(num_cpus=cpus, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
        return Connection("local")
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConnectError(f"a Ray cluster must answer at {address}, but none does: {first}") from None
    return Connection(address)


def _local_cpus(workers: int | None, cpus_per_worker: float) -> int:
    if workers is None:
        return os.cpu_count() or 1
    return max(1, -int(-workers * cpus_per_worker // 1))


def _quiet() -> None:
    """Ray speaks up for itself on stderr; the progress display speaks for all."""
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
