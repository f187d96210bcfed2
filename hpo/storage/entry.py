"""A file as its place lists it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file's name below the root, its size in bytes, and when it was written in seconds since the epoch.

    `tag` changes with the content where the place keeps one, as S3 does; it is empty elsewhere.
    """

    name: str
    size: int
    written: float
    tag: str = ""
