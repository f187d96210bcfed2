"""Activations at a boundary of a network, computed once a node and mapped by every process that wants them.

They lie in shared memory up to HPO_ACTIVATIONS_MEMORY (default 4G) and beyond it in files in the cache directory up to
HPO_ACTIVATIONS_DISK (default 50G); what no process uses makes way, the longest unused first. Where neither has room,
activations are computed anew in each epoch.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from trainables.cache import cache_directory, locked
from trainables.errors import BadData
from trainables.machine import Machine
from trainables.network import Boundary, Network

log = logging.getLogger(__name__)
CHUNK = 64  # images in one forward pass: always the same, so that whoever computes gets the same bits
Fill = Callable[["np.ndarray[Any, Any]"], None]
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def limit(variable: str, default: str) -> int:
    """Bytes named by an environment variable such as 500M or 4G."""
    text = os.environ.get(variable, default)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if not match:
        raise BadData(f"{variable} must be a size such as 500M or 4G, but got {text!r}")
    return int(float(match[1]) * UNITS[match[2]])


class Kept:
    """An array in a file, mapped. The file is not removed while this object lives; `values` must not be written to."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file  # its lock says that the array is in use
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        # Copy-on-write: torch wants a writable array, and no page is copied as long as nobody writes.
        self.values = torch.from_numpy(np.memmap(file, dtype, "c", file.tell(), shape))


@dataclass(frozen=True)
class Tier:
    """A folder that holds activations up to `limit` bytes."""

    folder: Path
    limit: int

    def find(self, key: str) -> Kept | None:
        """The array kept here under `key`, marked as used now."""
        try:
            file = (self.folder / f"{key}.npy").open("rb")
        except FileNotFoundError:
            return None
        fcntl.flock(file, fcntl.LOCK_SH)
        os.utime(file.fileno())
        return Kept(file)

    def make(self, key: str, shape: Sequence[int], dtype: np.dtype[Any], fill: Fill) -> Kept | None:
        """Reserves room for an array, fills it, and keeps it under `key`; None where there is no room."""
        partial = self.folder / f"{key}.partial"
        with locked(cache_directory() / "locks" / "activations"):
            file = self._reserve(partial, shape, dtype)
        if file is None:
            return None
        offset = file.tell()
        array = np.memmap(file, dtype, "r+", offset, tuple(shape))
        fill(array)
        array.flush()
        os.replace(partial, self.folder / f"{key}.npy")
        fcntl.flock(file, fcntl.LOCK_SH)
        file.seek(0)
        return Kept(file)

    def _reserve(self, partial: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> BinaryIO | None:
        size = math.prod(shape) * dtype.itemsize
        if size > self.limit:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(size)
        if self._used() + size > self.limit:
            return None
        file = partial.open("w+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        try:  # room that is only promised would end in a bus error
            os.posix_fallocate(file.fileno(), 0, file.tell() + size)
        except OSError as error:
            log.warning("no room for %d MB of activations in %s: %s", size >> 20, self.folder, error.strerror)
            partial.unlink()
            file.close()
            return None
        return file

    def _make_room(self, size: int) -> None:
        """Removes what no process uses, the longest unused first, until `size` bytes fit."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime):
            if self._used() + size <= self.limit:
                return
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                path.unlink()

    def _used(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


def tiers() -> tuple[Tier, ...]:
    """Shared memory first, where the system has it, then the cache directory."""
    found = []
    shared = Path("/dev/shm")  # the system's shared memory: what lies there is memory
    if os.access(shared, os.W_OK):
        # Apart by cache directory: whoever has their own cache has their own activations.
        own = hashlib.sha256(str(cache_directory().resolve()).encode()).hexdigest()[:8]
        found.append(Tier(shared / f"hpo-arena-{os.getuid()}-{own}", limit("HPO_ACTIVATIONS_MEMORY", "4G")))
    found.append(Tier(cache_directory() / "activations", limit("HPO_ACTIVATIONS_DISK", "50G")))
    return tuple(found)


def lookup(key: str) -> Kept | None:
    """The array kept under `key`, if it is there."""
    return next((kept for tier in tiers() if (kept := tier.find(key)) is not None), None)


def keep(key: str, shape: Sequence[int], dtype: np.dtype[Any], fill: Fill) -> Kept | None:
    """The array under `key`; where it is not there yet, one process of the node makes it by `fill`. None: no room.

    A process that dies while it fills leaves a partial file that nobody reads and that makes way for the next.
    """
    with locked(cache_directory() / "locks" / f"activations-{key}"):
        found = lookup(key)
        if found is not None:
            return found
        return next((kept for tier in tiers() if (kept := tier.make(key, shape, dtype, fill)) is not None), None)


class Activations:
    """The activations of one frozen backbone for one set of images, uint8 [N, 3, S, S].

    `key` must differ wherever weights, images, precision or layout do.
    """

    def __init__(self, network: Network, machine: Machine, images: Tensor, key: str) -> None:
        self._network = network
        self._machine = machine
        self._images = images
        self._key = key
        self._last: tuple[Boundary, Boundary, nn.Module] | None = None

    def before(self, boundary: Boundary) -> tuple[Boundary, Kept | None]:
        """The activations [N, ...] at the boundary, as `Machine.pack` makes them.

        Where there is no room for them: the nearest boundary before it that is kept, or the image with None.
        """
        image = self._network.boundaries[0]
        if boundary == image or not len(self._images):
            return image, None
        sample = self._rows(image, None, boundary, slice(0, 1))
        dtype = np.dtype(str(sample.dtype).removeprefix("torch."))
        shape = (len(self._images), *sample.shape[1:])
        kept = keep(self._name(boundary), shape, dtype, lambda array: self._fill(boundary, torch.from_numpy(array)))
        if kept is None:
            log.warning("activations at %s are not kept: %d MB exceed the limits", boundary.value, math.prod(shape) * dtype.itemsize >> 20)
        return (boundary, kept) if kept is not None else self._nearest(boundary)

    def _fill(self, boundary: Boundary, out: Tensor) -> None:
        start, kept = self._nearest(boundary)
        log.info("computing activations of %d images at %s, from %s", len(out), boundary.value, start.value)
        for first in range(0, len(out), CHUNK):
            rows = slice(first, first + CHUNK)
            out[rows] = self._rows(start, kept, boundary, rows)

    def _rows(self, start: Boundary, kept: Kept | None, stop: Boundary, rows: slice) -> Tensor:
        section = self._section(start, stop)
        # A copy of what is kept: the first step may work in place.
        batch = self._machine.prepare(self._images[rows]) if kept is None else self._machine.unpack(kept.values[rows].clone())
        with torch.no_grad(), self._machine.autocast():
            return self._machine.pack(section(batch))

    def _section(self, start: Boundary, stop: Boundary) -> nn.Module:
        if self._last is None or self._last[:2] != (start, stop):
            self._last = (start, stop, self._network.section(start, stop).eval())
        return self._last[2]

    def _nearest(self, boundary: Boundary) -> tuple[Boundary, Kept | None]:
        """The last boundary before this one that is kept already, or the image."""
        for earlier in reversed([b for b in self._network.boundaries if 0 < b.position < boundary.position]):
            kept = lookup(self._name(earlier))
            if kept is not None:
                return earlier, kept
        return self._network.boundaries[0], None

    def _name(self, boundary: Boundary) -> str:
        return f"{self._key}-{boundary.position}-{boundary.value}"
