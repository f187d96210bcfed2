"""One writer a study: a numbered lease file, which the next writer may only follow when the last one is gone."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from hpo.store.errors import StoreError
from hpo.store.places import Place

TTL_SECONDS = 30.0
RENEW_SECONDS = 10.0


class Lease:
    """Held from `take` to `release`. Its `generation` grows with every writer and names that writer's files.

    Taking over is the exclusive creation of the next number: of two writers that try, one wins.
    """

    def __init__(self, place: Place, study: str, generation: int) -> None:
        self._place, self._study = place, study
        self.generation = generation
        self._since = time.time()

    @classmethod
    def take(cls, place: Place, study: str) -> Lease:
        """Raises StoreError where another writer holds it."""
        number, holder = _last(place, study)
        if holder is not None and not _gone(holder):
            since = datetime.fromtimestamp(holder["since"]).isoformat(sep=" ", timespec="seconds")
            raise StoreError(
                f"a study must have one writer, but {study} in {place.uri} is being written by process {holder['pid']} "
                f"on {holder['host']} since {since}; stop it, or wait until it is done"
            )
        lease = cls(place, study, number + 1)
        if not place.create(_name(study, lease.generation), lease._content()):
            raise StoreError(f"a study must have one writer, but another one has just opened {study} in {place.uri}")
        for old in place.names(f"{study}/lease"):
            if old < _name(study, lease.generation):
                place.delete(old)
        return lease

    def renew(self) -> None:
        """To be called every RENEW_SECONDS. Raises StoreError where another writer has taken over meanwhile."""
        last, _ = _last(self._place, self._study)
        if last != self.generation:
            raise StoreError(
                f"{self._study} in {self._place.uri} has been taken over by another writer, because this one was "
                f"silent for more than {TTL_SECONDS:g} s; what it had is stored"
            )
        self._place.replace(_name(self._study, self.generation), self._content())

    def release(self) -> None:
        self._place.replace(_name(self._study, self.generation), self._content(released=True))

    def _content(self, released: bool = False) -> bytes:
        mine = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "since": self._since,
            "renewed": time.time(),
            "released": released,
        }
        return json.dumps(mine).encode()


def _name(study: str, generation: int) -> str:
    return f"{study}/lease/{generation:06d}.json"


def _last(place: Place, study: str) -> tuple[int, dict[str, Any] | None]:
    """The number of the newest lease (0 where there is none) and its content."""
    names = place.names(f"{study}/lease")
    if not names:
        return 0, None
    content = place.read(names[-1])
    holder = json.loads(content) if content else None
    return int(Path(names[-1]).stem), holder


def _gone(holder: dict[str, Any]) -> bool:
    """Whether the holder has released it, has died on this machine, or has been silent for too long elsewhere."""
    if holder["released"]:
        return True
    if holder["host"] == socket.gethostname():
        return bool(_started(holder["pid"]) != holder["started"])
    return bool(time.time() - holder["renewed"] > TTL_SECONDS)


def _started(pid: int) -> str | None:
    """When the process started, in the kernel's ticks: tells a process from a later one with the same number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else rest[18]
