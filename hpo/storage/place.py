"""What a store needs of the place where it lies, be it a folder or an S3 prefix."""

from __future__ import annotations

from typing import Protocol

from hpo.storage.errors import StoreError
from hpo.storage.local import LocalPlace


class Place(Protocol):
    """Named byte strings below one root; names use slashes. A file appears whole or not at all.

    Every call raises Unreachable where the place does not answer now, StoreError where it never will as it is.
    """

    uri: str
    streams: int  # how many files are best read at a time

    def read(self, name: str) -> bytes | None:
        """The content; None where there is no such file."""

    def create(self, name: str, content: bytes) -> bool:
        """Writes a file that must not exist yet; False, and nothing is changed, where it does."""

    def replace(self, name: str, content: bytes) -> None:
        """Writes a file, in place of an older one where there is one."""

    def delete(self, name: str) -> None:
        """Removes a file; nothing happens where there is none."""

    def names(self, folder: str) -> list[str]:
        """The files in a folder, sorted; none where there is no such folder. Hidden files are not counted."""

    def folders(self) -> list[str]:
        """The names of the folders at the root, sorted."""


def place(uri: str) -> Place:
    """The place of a store's URI. Raises StoreError where it cannot be one."""
    if uri.startswith("s3://"):
        from hpo.storage.s3 import S3Place

        return S3Place(uri)
    if "://" in uri:
        raise StoreError(f"a store must be a folder or s3://bucket/prefix, but got {uri}; name one of these")
    return LocalPlace(uri)
