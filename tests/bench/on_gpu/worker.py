"""Processes that measure for the bench. What one does cannot hurt the others: a CUDA error stays in its process."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from hpo.worker import mps

SPAWN = get_context("spawn")  # a forked child cannot use CUDA


class WorkerFailed(RuntimeError):
    """A worker's function raised an error, or its process died or took too long."""


class Worker:
    """A process that calls functions one after another; its modules keep their state from call to call."""

    def __init__(self, environment: Mapping[str, str] | None = None, gpus: float = 1) -> None:
        """`gpus`: the share of a GPU that it is meant to use; below 1 it joins MPS where HPO_MPS=1."""
        self._pipe, theirs = SPAWN.Pipe()
        # No daemon: those may not start processes of their own, and a DataLoader does.
        self._process = SPAWN.Process(target=_serve, args=(theirs, gpus), daemon=False)
        with _environment(environment or {}):
            self._process.start()
        theirs.close()

    def send(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Begins a call, whose answer `receive` returns."""
        try:
            self._pipe.send((function, arguments))
        except OSError:
            raise WorkerFailed("the worker had died before") from None

    def receive(self, limit: float) -> Any:
        """Returns what the call returned. Raises WorkerFailed after `limit` seconds, and kills the process then."""
        if not self._pipe.poll(max(0.0, limit)):
            self.close()
            raise WorkerFailed(f"the worker took longer than {limit:.0f} s and was killed")
        try:
            ok, answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(5)
            raise WorkerFailed(f"the worker died with exit code {self._process.exitcode}") from None
        if not ok:
            raise WorkerFailed(answer)
        return answer

    def call(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what the function returns in the worker."""
        self.send(function, *arguments)
        return self.receive(limit)

    def close(self, patience: float = 0.0) -> None:
        """Ends the process: after `patience` seconds it is killed."""
        self._pipe.close()
        if patience:
            self._process.join(patience)
        self._process.kill()
        self._process.join(5)


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """Sets variables that a process started inside inherits."""
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _serve(pipe: Connection, gpus: float) -> None:
    """Calls what arrives until the pipe closes."""
    mps.join(gpus)  # before anything asks CUDA
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # threads that wait for one another crawl where other processes have the cores
    with suppress(EOFError, OSError):
        while True:
            function, arguments = pipe.recv()
            try:
                answer = True, function(*arguments)
            except Exception as error:
                where = "".join(traceback.format_tb(error.__traceback__)[-3:])
                answer = False, f"{type(error).__name__}: {error}\n{where}"
            pipe.send(answer)
