"""A place: named files below one root, in a folder, below an S3 prefix, or, to be read only, in a sealed archive."""

from __future__ import annotations

from typing import Protocol

from hpo.files import expanded
from hpo.storage.archive import ArchivePlace
from hpo.storage.archive_file import is_archive
from hpo.storage.entry import Entry
from hpo.storage.errors import StorageError
from hpo.storage.local import LocalPlace


class Place(Protocol):
    """Named byte strings below one root; names use slashes. A file appears whole or not at all.

    Every call raises Unreachable if the place does not answer now, StorageError if it never will as it is.
    """

    uri: str
    streams: int  # how many files to read at a time

    def read(self, name: str) -> bytes | None:
        """Returns the content, or None if there is no such file."""

    def create(self, name: str, content: bytes) -> bool:
        """Writes a new file. Returns False, with nothing changed, if the file exists."""

    def replace(self, name: str, content: bytes | memoryview) -> None:
        """Writes a file, over an older one if there is one."""

    def delete(self, name: str) -> None:
        """Deletes a file; does nothing if there is none."""

    def delete_all(self) -> None:
        """Deletes every file below the root, and a local root itself."""

    def names(self, folder: str) -> list[str]:
        """Returns the names of a folder's files, sorted, without hidden ones; none if there is no such folder."""

    def entries(self, folder: str) -> list[Entry]:
        """Returns a folder's files as `names` does, with their tags and ages: one request where that costs no more."""

    def beginning(self, start: str) -> list[str]:
        """Returns the names of the files at the root that begin with `start`, sorted: cheap among very many others."""

    def folders(self) -> list[str]:
        """Returns the names of the folders at the root, sorted."""

    def files(self) -> list[Entry]:
        """Returns every file below the root, at any depth, but none that is still being written."""


def place(uri: str, *, large: bool = False, within: str = "") -> Place:
    """Opens the place at an address.

    `large`: its files are large enough that a server may be silent for longer before it counts as away. `within`: the
    address that it lies in; a local one must exist whenever a file is written, and is never made.
    Raises StorageError if there can be no place at the address.
    """
    if uri.startswith("s3://"):
        from hpo.storage.s3 import S3Place

        return S3Place(uri, large=large)
    if "://" in uri:
        raise StorageError(f"an address must be a folder or s3://bucket/prefix, but got {uri}; name one of these")
    if is_sealed(uri):
        return ArchivePlace(uri)
    return LocalPlace(uri, within)


def absolute(uri: str) -> str:
    """Returns the address in the one form that means the same in every folder: a local one with its links followed."""
    return uri.rstrip("/") if "://" in uri else str(expanded(uri).resolve())


def is_sealed(uri: str) -> bool:
    """Tells whether the address is that of an archive's file, which nothing is written into."""
    return "://" not in uri and is_archive(uri) and not expanded(uri).is_dir()
