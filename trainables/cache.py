"""The node's cache directory and the locks that guard it. Everything in it can be deleted between studies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_directory() -> Path:
    """HPO_CACHE, or ~/.cache/hpo-arena."""
    return Path(os.environ.get("HPO_CACHE") or Path.home() / ".cache" / "hpo-arena")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` (made if need be) for this process alone; the system frees it if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
