"""Signals that ask a study to stop: they end it with one sentence, wherever it is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hpo.errors import InterruptedStudy

IMPORT_SECONDS, IMPORT_TRIES = 0.02, 500  # how often a signal is put off while a module is being imported


class _Stopped(KeyboardInterrupt):
    """A signal that asks this process to end. No `except Exception` on the way takes it for a fault of its own."""


@contextmanager
def stoppable(command: str) -> Iterator[None]:
    """Makes SIGINT and SIGTERM end the block at once with InterruptedStudy, however often they come.

    While the game is played the driver has its own handlers, so that it ends between two reports. `command` continues.
    """

    asked: list[str] = []

    def stop(number: int, frame: FrameType | None, tries: int = IMPORT_TRIES) -> None:
        if tries and _imports(frame):
            signal.signal(signal.SIGALRM, lambda _, then: stop(number, then, tries - 1))
            signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS)
            return
        asked.append(signal.Signals(number).name)
        raise _Stopped(asked[-1])

    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, stop) for number in ((signal.SIGINT, signal.SIGTERM) if here else ())}
    try:
        yield
    except BaseException as error:
        if not asked and not isinstance(error, KeyboardInterrupt):
            raise
        # a library on the way may have made another error of the stop: pydantic does, of what its serializers raise
        name = asked[0] if asked else "SIGINT"
        raise InterruptedStudy(f"stopped by {name}; what was done is in the store; to continue: {command}") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _imports(frame: FrameType | None) -> bool:
    """Tells whether a module is being imported.

    An exception in the middle of an import may leave Python's import lock held, for which the cluster's thread would wait
    for ever.
    """
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
