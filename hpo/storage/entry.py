"""A file as its place lists it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file's name below the root, its size in bytes, and when it was written in seconds since the epoch.

    `tag` changes with the content where the place keeps one, as S3 does, and wherever one folder alone was listed; it is
    empty elsewhere. `age`: seconds since it was written, by the place's own clock, where one folder alone was listed.
    """

    name: str
    size: int
    written: float
    tag: str = ""
    age: float = math.inf
