"""Standard output for results alone: what other threads print goes to standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
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
    printed while the cluster goes down. A study that is played beside a main thread leaves it its standard output.
    """
    if not _alone():
        yield
        return
    before = sys.stdout
    split: Any = OneThreads()
    sys.stdout = split
    try:
        yield
    finally:
        sys.stdout = before


def for_messages() -> AbstractContextManager[Any]:
    """Makes standard output standard error during the block: Ray reports dead workers and nodes there."""
    return redirect_stdout(sys.stderr) if _alone() else nullcontext()


def _alone() -> bool:
    """Whether the study is played by the main thread, so that nobody else's output passes through this process."""
    return threading.current_thread() is threading.main_thread()
