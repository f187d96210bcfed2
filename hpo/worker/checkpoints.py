"""Checkpoints of trials: one file each, whole or not at all, in a folder or under an S3 prefix that every node reads."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hpo.files import unpack
from hpo.storage.errors import StorageError
from hpo.storage.place import Place, place

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0  # with a place that does not answer, before a trial begins anew
PAUSE_SECONDS = 1.0
CHECKSUM = "HPO.crc32"  # in the archive's global header

_NAME = re.compile(r"^(?P<trial>[0-9a-f]{16})-(?P<epoch>\d{6})\.tar$")


@dataclass(frozen=True)
class Kept:
    """One checkpoint as its place lists it: `size` in bytes, `written` in Unix seconds."""

    name: str
    trial: str
    epoch: int
    size: int
    written: float


class Checkpoints:
    """The newest checkpoint of each trial of a study, as `<trial>-<epoch>.tar`.

    `uri` is a folder (shared by all nodes where there are several) or s3://bucket/prefix. `within` is the study's; if it
    is a folder and is gone, it was moved or deleted, and nothing is saved in its place.
    """

    def __init__(self, uri: str, within: str = "") -> None:
        self.uri, self._within = uri, within
        self._opened: Place | None = None

    @contextlib.contextmanager
    def _place(self) -> Iterator[Place]:
        """Yields the place, opened when it is first needed; whatever is wrong with it is an OSError."""
        try:
            if self._opened is None:
                self._opened = place(self.uri, large=True, within=self._within)
            yield self._opened
        except StorageError as error:
            raise OSError(str(error)) from None

    def save(self, trial: str, epoch: int, write: Callable[[Path], None]) -> int:
        """Stores what `write` puts into a folder, and deletes the trial's other checkpoints. Returns the size in bytes."""
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch))
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w", pax_headers={CHECKSUM: _checksum(Path(scratch))}) as tar:
                for file in sorted(Path(scratch).iterdir()):
                    tar.add(file, arcname=file.name)
        content = packed.getbuffer()
        with self._place() as where:
            where.replace(f"{trial}-{epoch:06d}.tar", content)
        for name, at in self._of(trial):
            if at != epoch:
                self._delete(name)
        return len(content)

    @contextlib.contextmanager
    def opened(self, trial: str, at_most: int | None = None) -> Iterator[Iterator[tuple[int, Path]]]:
        """Yields the epochs and unpacked folders of the trial's readable checkpoints, the newest first.

        A checkpoint beyond epoch `at_most` does not count.
        """
        found = [(name, epoch) for name, epoch in self._patiently(trial) if at_most is None or epoch <= at_most]
        if not found:
            yield iter(())
            return
        with tempfile.TemporaryDirectory() as scratch:
            yield self._unpacked(trial, sorted(found, key=lambda pair: -pair[1]), Path(scratch))

    def _unpacked(self, trial: str, names: list[tuple[str, int]], scratch: Path) -> Iterator[tuple[int, Path]]:
        for name, epoch in names:
            folder = scratch / str(epoch)
            try:
                with tarfile.open(fileobj=io.BytesIO(self._read(name))) as tar:
                    unpack(tar, folder)
                    kept = tar.pax_headers.get(CHECKSUM)
                if kept not in (None, found := _checksum(folder)):  # none: written by a version before this one
                    raise ValueError(f"its checksum must be {kept}, but is {found}")
            except Exception as error:  # torn, altered or deleted: tarfile raises a dozen kinds for it
                log.warning("could not unpack the checkpoint of trial %s at epoch %d: %s", trial, epoch, error)
                continue
            yield epoch, folder

    def _patiently(self, trial: str) -> list[tuple[str, int]]:
        """Returns the trial's checkpoints by name and epoch; a place that does not answer for a minute counts as empty."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._of(trial)
            except OSError as error:
                if time.monotonic() > until:
                    log.warning("could not list the checkpoints of trial %s, which begins anew: %s", trial, error)
                    return []
                time.sleep(PAUSE_SECONDS)

    def kept(self) -> list[Kept]:
        """Returns all checkpoints, the oldest first. Raises OSError where the place does not answer."""
        with self._place() as where:
            files = where.files()
        found = [
            Kept(file.name, match["trial"], int(match["epoch"]), file.size, file.written)
            for file in files
            if (match := _NAME.match(file.name))
        ]
        return sorted(found, key=lambda kept: (kept.written, kept.name))

    def trials(self) -> dict[str, int]:
        """Returns the epoch of every trial's newest checkpoint."""
        found: dict[str, int] = {}
        for kept in self.kept():
            found[kept.trial] = max(kept.epoch, found.get(kept.trial, 0))
        return found

    def delete(self, trials: Collection[str]) -> None:
        """Deletes all checkpoints of the trials. Raises OSError where the place does not answer."""
        for kept in self.kept():
            if kept.trial in trials:
                self._delete(kept.name)

    def trim(self, limit: float, needed: Collection[str], dropped: Collection[str] = ()) -> None:
        """Deletes the checkpoints of `dropped` trials, and then the oldest ones, but none of a `needed` trial, until all
        together take at most `limit` bytes. Raises OSError where the place does not answer.
        """
        kept = self.kept()
        total = sum(one.size for one in kept)
        for one in sorted(kept, key=lambda one: one.trial not in dropped):
            if one.trial in dropped or (total > limit and one.trial not in needed):
                self._delete(one.name)
                total -= one.size

    def delete_all(self) -> None:
        """Deletes the whole place, for a study that is done. Raises OSError where the place does not answer."""
        with self._place() as where:
            where.delete_all()

    def _of(self, trial: str) -> list[tuple[str, int]]:
        with self._place() as where:
            names = where.beginning(f"{trial}-")
        return [(name, int(match["epoch"])) for name in names if (match := _NAME.match(name))]

    def _read(self, name: str) -> bytes:
        """Returns the content of a checkpoint, empty if it has been deleted since it was listed."""
        with self._place() as where:
            return where.read(name) or b""

    def _delete(self, name: str) -> None:
        with contextlib.suppress(OSError), self._place() as where:
            where.delete(name)


def _checksum(folder: Path) -> str:
    """Returns a checksum of the files' names and contents: a changed one must not resume a trial as if it were sound."""
    found = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found = zlib.crc32(file.read_bytes(), zlib.crc32(str(file.relative_to(folder)).encode(), found))
    return f"{found:08x}"
