"""What one node sees, asked on the node itself.

The preflight sends this module whole, so that it runs on nodes without this project: it imports only the standard
library, and boto3 where a question needs it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

UNSHARED = "it does not hold the file that the driver wrote: the nodes do not share it"


class Probe:
    """An actor on one node. Its answers are plain data; a failure is a sentence in them, not an exception."""

    def look(self, packages: Sequence[str], data_root: str | None, store: str | None, mark: str) -> dict[str, Any]:
        """Returns versions, the GPUs' memory in bytes, what the machine has left, and what is wrong with the data root and
        the store (None: nothing).

        `mark` names a file that the driver wrote to the store: this node must see it, and writes its own beside it.
        """
        return {
            "python": platform.python_version(),
            "packages": versions(packages),
            "gpu_memory": gpu_memory(),
            "machine": machine(),
            "data_root": None if data_root is None else readable(data_root),
            "store": None if store is None else shared(store, mark),
        }

    def now(self) -> float:
        """Returns this node's time in seconds since the epoch."""
        return time.time()


def versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Returns the installed versions; None for a missing package."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def gpu_memory() -> list[int]:
    """Returns the memory of each GPU in bytes as nvidia-smi reports it; empty without it."""
    try:
        return [int(line) * 2**20 for line in _gpus("memory.total")]
    except ValueError:
        return []


def _gpus(field: str) -> list[str]:
    """Returns a field of each GPU as nvidia-smi reports it; none without it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.splitlines() if line.strip()]


def machine() -> dict[str, Any]:
    """Returns what this machine has: CPUs, its GPUs' names and driver, and room as {"free", "total"} in bytes.

    Room is None where it cannot be told: shared memory on some systems, a temporary folder that is gone.
    """
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory": memory(),
        "shared_memory": room("/dev/shm"),
        "temp": {"path": tempfile.gettempdir(), **(room(tempfile.gettempdir()) or {"free": 0, "total": 0})},
        "gpus": _gpus("name"),
        "driver": next(iter(_gpus("driver_version")), ""),
    }


def memory() -> dict[str, int]:
    """Returns the memory that processes here may have, and what is left of it: the container's where it has a limit."""
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as lines:
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
        most, used = (_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
        total, free = min(total, most), min(free, most - used)
    return {"free": max(0, free), "total": total}


def _number(path: str) -> int:
    with open(path) as stream:
        return int(stream.read())


def room(path: str) -> dict[str, int] | None:
    """Returns the bytes of the file system that holds `path`, or its nearest folder; None where it cannot be told."""
    where = os.path.abspath(path)
    while not os.path.isdir(where) and where != os.path.dirname(where):
        where = os.path.dirname(where)
    try:
        usage = shutil.disk_usage(where)
    except OSError:
        return None
    return {"free": usage.free, "total": usage.total}


def readable(root: str) -> str | None:
    """Returns why a data root cannot be read, or None if it can."""
    try:
        if root.startswith("s3://"):
            bucket, prefix = _split(root)
            found = _s3().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
            return None if found.get("KeyCount") else "there is nothing there"
        if os.path.isdir(root):
            with os.scandir(root) as entries:
                return None if next(entries, None) else "the folder is empty"
        with open(root, "rb") as stream:
            stream.read(1)
    except Exception as error:
        return _one_line(error)
    return None


def shared(store: str, mark: str) -> str | None:
    """Returns why this node cannot see the driver's file or cannot write beside it, or None if it can do both."""
    try:
        if read(store, mark) != mark.encode():
            return UNSHARED
        own = f"{mark}-{uuid.uuid4().hex}"
        write(store, own)
        remove(store, own)
    except FileNotFoundError:
        return UNSHARED
    except Exception as error:
        return _one_line(error)
    return None


def write(store: str, name: str) -> None:
    """Writes a small file that holds its own name."""
    if store.startswith("s3://"):
        bucket, key = _split(f"{store.rstrip('/')}/{name}")
        _s3().put_object(Bucket=bucket, Key=key, Body=name.encode())
        return
    os.makedirs(store, exist_ok=True)
    with open(os.path.join(store, name), "xb") as stream:
        stream.write(name.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read(store: str, name: str) -> bytes:
    """Returns the file's content. Raises FileNotFoundError."""
    if store.startswith("s3://"):
        bucket, key = _split(f"{store.rstrip('/')}/{name}")
        client = _s3()
        try:
            return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except client.exceptions.NoSuchKey:
            raise FileNotFoundError(key) from None
    with open(os.path.join(store, name), "rb") as stream:
        return stream.read()


def remove(store: str, name: str) -> None:
    """Deletes the file if it is still there."""
    if store.startswith("s3://"):
        bucket, key = _split(f"{store.rstrip('/')}/{name}")
        _s3().delete_object(Bucket=bucket, Key=key)
        return
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(store, name))


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def _s3() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError:
        raise RuntimeError("boto3 must be installed, but is not: pip install 'hpo-arena[s3]'") from None

    limits: Mapping[str, Any] = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 2}}
    return boto3.client("s3", config=Config(**limits))


def _one_line(error: Exception) -> str:  # not from cluster.errors, which nodes may lack
    return (str(error).strip() or type(error).__name__).splitlines()[0]
