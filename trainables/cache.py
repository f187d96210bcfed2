"""The node's cache directory and the locks that guard it. Everything in it can be deleted between studies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


def cache_directory() -> Path:
    """Returns HPO_CACHE, or ~/.cache/hpo-arena."""
    return Path(os.environ.get("HPO_CACHE") or Path.home() / ".cache" / "hpo-arena")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` for this thread alone. The system releases it if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield
