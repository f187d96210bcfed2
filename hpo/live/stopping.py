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

    def stop(number: int, frame: FrameType | None, tries: int = IMPORT_TRIES) -> None:
        if tries and _imports(frame):
            signal.signal(signal.SIGALRM, lambda _, then: stop(number, then, tries - 1))
            signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS)
            return
        raise _Stopped(signal.Signals(number).name)

    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, stop) for number in ((signal.SIGINT, signal.SIGTERM) if here else ())}
    try:
        yield
    except BaseException as error:
        stopped = None if isinstance(error, InterruptedStudy) else _stop_behind(error)
        if stopped is None:
            raise
        name = str(stopped) or "SIGINT"
        raise InterruptedStudy(f"stopped by {name}; what was done is in the store; to continue: {command}") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Returns the stop that an error was made of: pydantic makes one of its own of what is raised in its serializers."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


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
