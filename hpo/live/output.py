"""Standard output for results alone: what other threads print goes to standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OneThreads:
    """Standard output as the thread that makes this sees it; to other threads it is standard error."""

    def __init__(self) -> None:
        self._mine, self._out = threading.get_ident(), sys.stdout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out if threading.get_ident() == self._mine else sys.stderr, name)


@contextmanager
def for_results() -> Iterator[None]:
    """Keeps standard output for this thread during the block.

    Ray tells of dead workers and nodes there, in threads of its own, as long as this process is connected; results are
    printed while the cluster goes down.
    """
    before = sys.stdout
    split: Any = OneThreads()
    sys.stdout = split
    try:
        yield
    finally:
        sys.stdout = before
