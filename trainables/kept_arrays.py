"""Large arrays kept once per node, mapped and shared by every process that needs them.

They lie in shared memory up to HPO_ACTIVATIONS_MEMORY (default 1G) and beyond it in files in the cache directory up to
HPO_ACTIVATIONS_DISK (default 50G). Arrays that no process uses make room for others, the longest unused first. The last
process to end empties the shared memory.

An array is in use while its file is locked (flock): shared by its readers, exclusively by the process that fills it.
filelock cannot do this: its locks are exclusive, and it truncates the file that it locks.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import logging
import math
import os
import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from hpo.files import appearing
from trainables.cache import cache_directory, locked
from trainables.errors import BadData

log = logging.getLogger(__name__)
Fill = Callable[["np.ndarray[Any, Any]"], None]
SHARED_MEMORY = Path("/dev/shm")  # files here are memory; missing on some systems
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def limit(variable: str, default: str) -> int:
    """Returns the bytes that an environment variable such as 500M or 4G names."""
    text = os.environ.get(variable, default)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if not match:
        raise BadData(f"{variable} must be a size such as 500M or 4G, but got {text!r}")
    return int(float(match[1]) * UNITS[match[2]])


class Kept:
    """An array mapped from a file, which is not removed while this object lives. Never write to `values`.

    Takes over the open file, whose lock marks the array as in use.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        # Copy-on-write: torch wants a writable array, and no page is copied as long as nobody writes.
        self.values = torch.from_numpy(np.memmap(file, dtype, "c", file.tell(), shape))
        weakref.finalize(self, file.close).atexit = False  # _release needs it open
        _held.add(self)

    def let_go(self) -> None:
        """Marks the array as no longer in use; its mapped values stay readable."""
        fcntl.flock(self._file, fcntl.LOCK_UN)


_held: weakref.WeakSet[Kept] = weakref.WeakSet()
_memory_used: set[Tier] = set()


class _NoRoom(Exception):
    """An array does not fit under a tier's limit, or on its disk."""


@dataclass(frozen=True)
class Tier:
    """A folder that holds arrays up to `limit` bytes."""

    folder: Path
    limit: int

    def find(self, key: str) -> Kept | None:
        """Returns the array kept here under `key`, marked as used now."""
        with ExitStack() as opened:
            try:
                file = opened.enter_context((self.folder / f"{key}.npy").open("rb"))
            except FileNotFoundError:
                return None
            fcntl.flock(file, fcntl.LOCK_SH)
            os.utime(file.fileno())
            return self._kept(file, opened)

    def make(self, key: str, shape: Sequence[int], dtype: np.dtype[Any], fill: Fill) -> Kept:
        """Reserves room for an array, fills it, and keeps it under `key`. Raises _NoRoom."""
        size = math.prod(shape) * dtype.itemsize
        if size > self.limit:
            raise _NoRoom
        with ExitStack() as opened:
            with appearing(self.folder / f"{key}.npy") as beside:
                with locked(_lock()):
                    self._make_room(size)
                    if self._used() + size > self.limit:
                        raise _NoRoom
                    file = opened.enter_context(beside.open("w+b"))
                    self._reserve(file, shape, dtype, size)
                array = np.memmap(file, dtype, "r+", file.tell(), tuple(shape))
                fill(array)
                array.flush()
            fcntl.flock(file, fcntl.LOCK_SH)
            file.seek(0)
            return self._kept(file, opened)

    def _kept(self, file: BinaryIO, opened: ExitStack) -> Kept:
        """The array of the locked file, which stays open."""
        if self.folder.is_relative_to(SHARED_MEMORY):
            _memory_used.add(self)
        kept = Kept(file)
        opened.pop_all()
        return kept

    def _reserve(self, file: BinaryIO, shape: Sequence[int], dtype: np.dtype[Any], size: int) -> None:
        """Locks the new file, writes its header and takes the room that the array will need."""
        fcntl.flock(file, fcntl.LOCK_EX)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        try:  # room that is only promised would end in a bus error
            os.posix_fallocate(file.fileno(), 0, file.tell() + size)
        except OSError as error:
            log.warning("no room for %d MB of activations in %s: %s", size >> 20, self.folder, error.strerror)
            raise _NoRoom from None

    def empty(self) -> None:
        """Removes every array that no process uses."""
        if self.folder.is_dir():
            with locked(_lock()):
                self._make_room(self.limit + 1)

    def _make_room(self, size: int) -> None:
        """Removes unused arrays, the longest unused first, until `size` bytes fit or nothing is left to remove."""
        for path, _ in sorted(self._entries(), key=lambda entry: entry[1].st_mtime):
            if self._used() + size <= self.limit:
                return
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _used(self) -> int:
        return sum(about.st_size for _, about in self._entries())

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process has just given it its final name
                yield path, path.stat()


def _lock() -> Path:
    return cache_directory() / "locks" / "activations"


def tiers() -> tuple[Tier, ...]:
    """Returns shared memory, where the system has it, then the cache directory."""
    found = []
    if os.access(SHARED_MEMORY, os.W_OK):
        # One folder for each cache directory: users with their own cache have their own activations.
        own = hashlib.sha256(str(cache_directory().resolve()).encode()).hexdigest()[:8]
        found.append(Tier(SHARED_MEMORY / f"hpo-arena-{os.getuid()}-{own}", limit("HPO_ACTIVATIONS_MEMORY", "1G")))
    found.append(Tier(cache_directory() / "activations", limit("HPO_ACTIVATIONS_DISK", "50G")))
    return tuple(found)


@atexit.register
def _release() -> None:
    """Empties the shared memory that this process used last: it would stay taken until the machine restarts."""
    for kept in list(_held):
        kept.let_go()
    for tier in _memory_used:
        tier.empty()


def lookup(key: str) -> Kept | None:
    """Returns the array kept under `key`, or None."""
    return next((kept for tier in tiers() if (kept := tier.find(key)) is not None), None)


def keep(key: str, shape: Sequence[int], dtype: np.dtype[Any], fill: Fill) -> Kept | None:
    """Returns the array under `key`; if it is missing, one process of the node makes it by `fill`. None: no room.

    A process that dies while it fills leaves a hidden file that nobody reads and that makes room like any other.
    """
    with locked(cache_directory() / "locks" / f"activations-{key}"):
        found = lookup(key)
        if found is not None:
            return found
        for tier in tiers():
            with suppress(_NoRoom):
                return tier.make(key, shape, dtype, fill)
    return None
