"""Calls a function in a process of its own, which ends: what it imports does not stay with the caller.

A driver lives for days, and torch would keep some 600 MB of it for one look into a model. Writes nothing.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from importlib import import_module
from typing import Any

from hpo.text import one_line

_CHILD = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); import trainables.apart as a; a.answer()"


def called(function: str, *arguments: Any) -> Any:
    """Returns what `function`, "module:name", returns for the arguments, in another process; raises what it raises.

    A process that has imported torch already calls it itself.
    """
    if "torch" in sys.modules:
        return _named(function)(*arguments)
    question = pickle.dumps(sys.path) + pickle.dumps((function, arguments))
    command = [sys.executable, "-P", "-c", _CHILD]
    # A session of its own: Ctrl-C reaches the caller alone, who kills the child.
    child = subprocess.run(command, input=question, stdout=subprocess.PIPE, check=False, start_new_session=True)
    if child.returncode:
        raise RuntimeError(f"the process that calls {function} must answer, but it ended with {child.returncode}")
    value, error = pickle.loads(child.stdout)
    if error is not None:
        raise error
    return value


def answer() -> None:
    """Answers one question from standard input on standard output and ends the process; other prints go to stderr."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        function, arguments = pickle.load(sys.stdin.buffer)
        try:
            found: tuple[Any, BaseException | None] = (_named(function)(*arguments), None)
        except Exception as error:
            found = (None, _portable(error))
        out.write(pickle.dumps(found))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # taking torch apart again would take most of another second


def _named(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def _portable(error: Exception) -> Exception:
    """Returns an error that another process can read: itself, or one with its sentence."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a class makes of pickling
        return RuntimeError(f"{type(error).__name__}: {one_line(error)}")
    return error
