"""Whether this process runs under NVIDIA's Multi-Process Service (MPS), where kernels of several trials run at the same time.

Without it, trials that share a GPU take turns. It is off unless HPO_MPS=1: a process that is killed under MPS may disturb
its neighbours, and Ray kills workers. A fault of one process under MPS ends all that share its GPU, and does not
tell them whose it was. So after a fault, processes that start within an hour do without MPS: if the fault comes again,
only the process that caused it dies.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from typing import IO

from hpo.worker.mps_daemon import PIPES, PROGRAM, Daemon, folder

log = logging.getLogger(__name__)

SWITCH = "HPO_MPS"  # 1: use it
ALSO_IN = ("/usr/local/nvidia/bin", "/usr/bin")  # where container toolkits put it, on the PATH or not
MOST_CLIENTS = 48  # processes that a server takes on one GPU
ON, OFF = "on", "off: "

_state: str | None = None  # what became of this process's `join`
_mine: Daemon | None = None  # the daemon that this process uses, if it is one of ours
_use: IO[str] | None = None  # the file whose lock makes this process a user


def join(gpus: float) -> str:
    """Puts this process under MPS if it was given a fraction of a GPU and HPO_MPS=1. Call it before CUDA starts; it acts once.

    Returns "on", "on: the site's daemon", or "off: " and why; "" for a process without a GPU or with whole ones. Where the
    site has set CUDA_MPS_PIPE_DIRECTORY, CUDA uses that daemon whatever HPO_MPS is, and it is left alone.
    """
    global _state, _mine, _use
    if _state is None:
        daemon = None
        try:
            _state, daemon = _choice(gpus)
            if daemon is not None:
                why, _use = daemon.join()
                _state = f"{OFF}{why}" if why else ON
        except OSError as error:  # no room for a file, or a lock that stays taken
            _state = f"{OFF}{error}"
        if _state == ON:
            assert daemon is not None
            _mine = daemon
            os.environ.update(daemon.variables)
        if _state:
            log.info("MPS is %s", _state)
    return _state


def shared() -> bool:
    """Whether this process runs under MPS, where a fault may be a neighbour's on the same GPU."""
    return (_state or "").startswith(ON)


def suspect(reason: str) -> str:
    """Notes that this process met a fault of its GPU; returns the reason, and under MPS that a neighbour may be its cause.

    Processes that start within the next hour on this node do without MPS.
    """
    if not shared():
        return reason
    if _mine is not None:
        with suppress(OSError):
            _mine.mark(f"a process met a fault under it: {reason}")
    return f"{reason} (under MPS, where a neighbour on the same GPU may be the cause)"


def _choice(gpus: float) -> tuple[str, Daemon | None]:
    """Returns the state of a process that has no choice, or else the daemon that it should join."""
    if not 0 < gpus < 1:
        return "", None
    if os.environ.get(PIPES):
        return f"{ON}: the site's daemon", None
    if os.environ.get(SWITCH) != "1":
        return f"{OFF}{SWITCH} is not 1", None
    if gpus * MOST_CLIENTS < 1:
        return f"{OFF}a GPU takes at most {MOST_CLIENTS} processes", None
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *ALSO_IN))
    program = shutil.which(PROGRAM, path=path)
    return ("", Daemon(folder(), program)) if program else (f"{OFF}there is no {PROGRAM}", None)
