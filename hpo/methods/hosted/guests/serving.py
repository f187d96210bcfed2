"""The host's loop: forks a guest for each run, so that the library is loaded once and runs share nothing else.

The driver and the host speak over one socket, the host's standard input, in packets of JSON. With "open" come two open
files: the guest's end of its own line to the driver, and the file of its errors. The host ends, and every guest with it, when
the driver does.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import random
import select
import signal
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from typing import Any

from .terms import Driven, Opening, Refused

LOOK_SECONDS = 5.0  # between looks at whether the driver is still there


def serve(library: str) -> None:
    """Loads the guest's file of a library, says so, and forks guests until the driver is gone."""
    driver, parent = socket.socket(fileno=os.dup(0)), os.getppid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what libraries print is no answer
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        module = importlib.import_module(f".{library}", __package__)
        driver.send(json.dumps({"ready": sys.version.split()[0]}).encode())
    except Exception as error:  # whatever a library raises while it is imported
        driver.send(json.dumps({"error": f"{type(error).__name__}: {_one_line(error)}"}).encode())
        return
    guests: set[int] = set()
    while os.getppid() == parent:
        ready, _, _ = select.select([driver], [], [], LOOK_SECONDS)
        if ready and not _obey(driver, module, guests):
            break
        _bury(guests)
    for guest in guests:
        with suppress(ProcessLookupError):
            os.kill(guest, signal.SIGKILL)


def _obey(driver: socket.socket, module: Any, guests: set[int]) -> bool:
    """Does what a packet of the driver says; returns False when the driver is gone."""
    packet, files, _, _ = socket.recv_fds(driver, 1 << 20, 2)
    if not packet:
        return False
    told = json.loads(packet)
    if "kill" in told and told["kill"] in guests:
        os.kill(told["kill"], signal.SIGKILL)
    if "open" in told:
        _prepare(module, told)
        guest = os.fork()
        if guest == 0:
            _be_a_guest(driver, files, module)
        guests.add(guest)
        for file in files:
            os.close(file)
        driver.send(json.dumps({"guest": guest}).encode())
    return True


def _prepare(module: Any, told: dict[str, Any]) -> None:
    """Loads what the method will need, once for all guests. What cannot be loaded is for the guest to say."""
    with suppress(Exception):
        for needed in module.needs(told["name"], told["options"]):
            importlib.import_module(needed)


def _bury(guests: set[int]) -> None:
    for guest in list(guests):
        if os.waitpid(guest, os.WNOHANG)[0]:
            guests.discard(guest)


def _be_a_guest(driver: socket.socket, files: list[int], module: Any) -> None:
    """Serves one run and ends the process."""
    code = 1
    try:
        driver.close()
        os.dup2(files[1], 1)
        os.dup2(files[1], 2)
        Guest(socket.socket(fileno=files[0]), module).serve()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class Guest:
    """Answers the driver's lines about one run.

    Only `open`, `ask`, and `observe` of a stopping method are answered; an error in between is the answer to the next.
    """

    def __init__(self, line: socket.socket, module: Any) -> None:
        self._lines = line.makefile("r", encoding="utf-8")
        self._answers = line.makefile("w", encoding="utf-8")
        self._module = module
        self._driven: Driven | None = None

    def serve(self) -> None:
        try:
            for line in self._lines:
                answer = self._obey(json.loads(line))
                if answer is not None:
                    self._say(answer)
        except Refused as refused:
            self._say({"refused": _one_line(refused)})
        except Exception as error:  # of the library
            traceback.print_exc()
            self._say({"error": f"{type(error).__name__}: {_one_line(error)}"})

    def _say(self, answer: dict[str, Any]) -> None:
        with suppress(OSError):  # the driver is gone
            self._answers.write(json.dumps(answer) + "\n")
            self._answers.flush()

    def _obey(self, told: dict[str, Any]) -> dict[str, Any] | None:
        what = told.pop("do")
        if what == "open":
            return self._open(Opening.of(told))
        driven = self._driven
        if driven is None:
            raise RuntimeError(f"a run must be opened before {what}")
        if what == "ask":
            ask = driven.ask()
            return {"ask": None} if ask is None else {"ask": [ask.trial, ask.to, _plain(ask.config)]}
        if what == "take":
            driven.take(told["trial"], told["config"])
        elif what == "observe":
            decision = driven.observe(told["trial"], told["epoch"], told["value"])
            return {"decision": decision} if driven.kind == "stopping" else None
        elif what == "pause":
            driven.pause(told["trial"])
        elif what == "close":
            driven.close(told["trial"])
        elif what == "fail":
            driven.fail(told["trial"])
        return None

    def _open(self, opening: Opening) -> dict[str, Any]:
        _seed(opening.seed)
        self._driven = self._module.begin(opening)
        return {"kind": self._driven.kind, "deterministic": self._driven.deterministic}


def _seed(seed: int) -> None:
    """Seeds the generators that libraries share, for those that draw from them whatever seed they are given."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _plain(value: Any) -> Any:
    """Returns a value as JSON has it; NumPy's numbers become Python's."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
