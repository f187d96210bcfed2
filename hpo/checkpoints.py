"""Checkpoints of trials: one file each, whole or not at all, in a folder or under an S3 prefix. Any node reads any."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_NAME = re.compile(r"^(?P<trial>[0-9a-f]{16})-(?P<epoch>\d{6})\.tar$")


class Checkpoints:
    """The newest checkpoint of each trial of a study, as `<trial>-<epoch>.tar`.

    `uri` is a folder (shared by all nodes where there are several) or s3://bucket/prefix.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._remote = "://" in uri

    def save(self, trial: str, epoch: int, write: Callable[[Path], None]) -> int:
        """Stores what `write` puts into a folder; older checkpoints of the trial go. Returns the size in bytes."""
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch))
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                for file in sorted(Path(scratch).iterdir()):
                    tar.add(file, arcname=file.name)
        content = packed.getbuffer()
        self._put(f"{trial}-{epoch:06d}.tar", content)
        for name, at in self._of(trial):
            if at != epoch:
                self._delete(name)
        return len(content)

    @contextlib.contextmanager
    def open(self, trial: str, at_most: int | None = None) -> Iterator[tuple[int, Path] | None]:
        """The newest readable checkpoint of the trial (not beyond `at_most` epochs), unpacked; None where there is none."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, epoch in sorted(self._of(trial), key=lambda pair: -pair[1]):
                if at_most is not None and epoch > at_most:
                    continue
                try:
                    with tarfile.open(fileobj=io.BytesIO(self._get(name))) as tar:
                        tar.extractall(scratch, filter="data")
                except (OSError, tarfile.TarError):
                    continue  # torn or gone: an older one, or none, costs only epochs trained again
                yield epoch, Path(scratch)
                return
            yield None

    def trials(self) -> dict[str, int]:
        """The epoch of every trial's newest checkpoint."""
        found: dict[str, int] = {}
        for name in self._names():
            if match := _NAME.match(name):
                found[match["trial"]] = max(int(match["epoch"]), found.get(match["trial"], 0))
        return found

    def delete(self, trial: str) -> None:
        for name, _ in self._of(trial):
            self._delete(name)

    def delete_all(self) -> None:
        """Removes the whole place: nothing is left when a study is done."""
        if self._remote:
            fs, path = self._filesystem()
            with contextlib.suppress(OSError):
                fs.delete_dir(path)
        else:
            shutil.rmtree(self.uri, ignore_errors=True)

    def size(self) -> int:
        """Bytes that all checkpoints take together."""
        return sum(self._sizes().values())

    # -- places ---------------------------------------------------------------------------------------------------

    def _of(self, trial: str) -> list[tuple[str, int]]:
        matches = (_NAME.match(name) for name in self._names(trial))
        return [(m.string, int(m["epoch"])) for m in matches if m and m["trial"] == trial]

    def _filesystem(self) -> tuple[Any, str]:
        from pyarrow import fs

        system, path = fs.FileSystem.from_uri(self.uri)
        return system, path

    def _names(self, trial: str = "") -> list[str]:
        return [name for name in self._sizes() if name.startswith(trial)]

    def _sizes(self) -> dict[str, int]:
        if self._remote:
            from pyarrow import fs

            system, path = self._filesystem()
            infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
            return {info.base_name: info.size for info in infos if info.is_file}
        try:
            with os.scandir(self.uri) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        except FileNotFoundError:
            return {}

    def _put(self, name: str, content: memoryview) -> None:
        if self._remote:
            system, path = self._filesystem()
            with system.open_output_stream(f"{path}/{name}") as stream:
                stream.write(content)
            return
        folder = Path(self.uri)
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{name}.{os.getpid()}"
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, folder / name)

    def _get(self, name: str) -> bytes:
        if self._remote:
            system, path = self._filesystem()
            with system.open_input_stream(f"{path}/{name}") as stream:
                return bytes(stream.read())
        return (Path(self.uri) / name).read_bytes()

    def _delete(self, name: str) -> None:
        with contextlib.suppress(OSError):
            if self._remote:
                system, path = self._filesystem()
                system.delete_file(f"{path}/{name}")
            else:
                (Path(self.uri) / name).unlink()
