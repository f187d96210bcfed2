"""A sealed archive: files with a manifest of their digests, in one .tar.gz or .zip file, which opens as a read-only place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from hpo.files import expanded, write_whole
from hpo.storage.archive_file import is_archive, packed, unpacked
from hpo.storage.entry import Entry
from hpo.storage.errors import StorageError

MANIFEST = "manifest.json"
FORMAT, VERSION = "hpo-bundle", 1


class FrozenPlace:
    """Files in memory as a place that can be read only."""

    streams = 1

    def __init__(self, uri: str, files: Mapping[str, bytes]) -> None:
        self.uri, self.contents = uri, files

    def read(self, name: str) -> bytes | None:
        return self.contents.get(name)

    def create(self, name: str, content: bytes) -> bool:
        self._refuse()

    def replace(self, name: str, content: bytes | memoryview) -> None:
        self._refuse()

    def delete(self, name: str) -> None:
        self._refuse()

    def delete_all(self) -> None:
        self._refuse()

    def names(self, folder: str) -> list[str]:
        return sorted(name for name in self.contents if name.rpartition("/")[0] == folder and not _hidden(name))

    def entries(self, folder: str) -> list[Entry]:
        return [Entry(name, len(self.contents[name]), 0.0, "sealed") for name in self.names(folder)]

    def beginning(self, start: str) -> list[str]:
        return sorted(name for name in self.contents if name.startswith(start) and "/" not in name)

    def folders(self) -> list[str]:
        return sorted({name.split("/")[0] for name in self.contents if "/" in name and not _hidden(name)})

    def files(self) -> list[Entry]:
        return [Entry(name, len(content), 0.0) for name, content in sorted(self.contents.items()) if not _hidden(name)]

    def _refuse(self) -> NoReturn:
        raise StorageError(f"{self.uri} is a bundle, and nothing is written into one; name another store")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


class ArchivePlace(FrozenPlace):
    """A sealed archive. `manifest`: what it says of itself, with the digest of each file.

    Raises StorageError for a file that is no sealed archive, or one of a newer version. Checks no digest: `broken` does.
    """

    def __init__(self, uri: str) -> None:
        path = expanded(uri).resolve()
        super().__init__(uri, _contents(path, uri, *_state(path, uri)))
        self.manifest = _manifest(self.contents.get(MANIFEST), uri)

    def broken(self) -> Iterator[str]:
        """Yields a sentence for each file that is not as the manifest says, is missing, or that the manifest lacks."""
        if self.manifest.get("digest_of_manifest") != _digest(_without_digest(self.manifest)):
            yield f"{MANIFEST} was changed after the bundle was made"
        listed: dict[str, str] = self.manifest["files"]
        for name in sorted(listed.keys() | self.contents.keys() - {MANIFEST}):
            if name not in self.contents:
                yield f"{name} is missing"
            elif name not in listed:
                yield f"{name} was added after the bundle was made"
            elif hashlib.sha256(self.contents[name]).hexdigest() != listed[name]:
                yield f"{name} was changed after the bundle was made"


def _state(path: Path, uri: str) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise StorageError(f"{uri} must be readable, but: {error.strerror}; is the path right?") from None
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=2)  # one command opens its bundle several times, and two where it compares them
def _contents(path: Path, uri: str, written: int, size: int) -> Mapping[str, bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{uri} must be readable, but: {error.strerror}; change its permissions") from None
    return MappingProxyType(unpacked(content, uri))


def _manifest(content: bytes | None, uri: str) -> dict[str, Any]:
    try:
        found = dict(json.loads(content or b""))
        version = int(found["version"])
        known = found["format"] == FORMAT
        listed = {str(name): str(digest) for name, digest in dict(found["files"]).items()}
    except (ValueError, KeyError, TypeError, RecursionError):
        known, version, listed = False, 0, {}
    if not known:
        raise StorageError(
            f"{uri} must be a bundle that `hpo bundle` made, but it has no {MANIFEST} of one; name another"
        )
    if version > VERSION:
        raise StorageError(
            f"{uri} must be a bundle of version {VERSION} or older, but it is of version {version}; upgrade hpo-arena"
        )
    return {**found, "files": listed}


def sealed(files: Mapping[str, bytes], about: Mapping[str, Any]) -> dict[str, bytes]:
    """Returns the files with a manifest of their digests, which also says what is in `about`."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    manifest = {"format": FORMAT, "version": VERSION, **about, "files": digests}
    manifest["digest_of_manifest"] = _digest(manifest)
    return {**files, MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode()}


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files as one archive, whole or not at all. Raises StorageError for a path that cannot be one."""
    if not is_archive(path.name):
        raise StorageError(f"a bundle's name must end in .tar.gz or .zip, but got {path.name}; name another file")
    try:
        write_whole(path, packed(files, path.name))
    except OSError as error:
        raise StorageError(f"{path} must be writable, but: {error.strerror}; name another file") from None


def _without_digest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name != "digest_of_manifest"}


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
