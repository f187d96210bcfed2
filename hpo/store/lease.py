"""One writer a study: numbered lease files, of which the next may be created only when the last writer is gone."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hpo.storage.place import Place
from hpo.store import layout, schema
from hpo.store.errors import StoreError

TTL_SECONDS = 30.0
RENEW_SECONDS = 10.0
LOOK_SECONDS = 0.5
FORGOTTEN_SECONDS = 3600.0  # far more than the clocks of two machines differ

log = logging.getLogger(__name__)

_held: set[str] = set()  # the tokens of this process's leases: one that it gave up does not keep it out


class LeaseLost(StoreError):
    """The right to write is lost: this writer must stop."""


class TakenOver(LeaseLost):
    """Another writer has taken over the study."""


class Gone(LeaseLost):
    """The lease is no longer in the store: somebody has moved or deleted the study."""


class Lease:
    """The right to write, from `take` to `release`. `generation` grows with every writer; with `token` it names its files.

    A writer takes over by creating the next number, at which one of several succeeds. It does not trust clocks, which
    may differ, about a holder on another machine: it watches the holder until that renews, or has been silent for
    `TTL_SECONDS`. Only a holder that was last seen an hour ago is gone without a watch.
    """

    def __init__(self, place: Place, study: str, generation: int) -> None:
        self._place, self._study = place, study
        self.generation = generation
        self.token = uuid.uuid4().hex[:6]
        self._since = time.time()
        self._renewed = time.monotonic()
        _held.add(self.token)

    @classmethod
    def take(cls, place: Place, study: str) -> Lease:
        """Takes the study's next lease. Raises StoreError if another writer holds the last one."""
        number, content = _last(place, study)
        if content is None:
            number = _written(place, study)
        elif not _gone(place, study, number, content):
            raise _refusal(place, study, content)
        lease = cls(place, study, number + 1)
        name, mine = layout.lease(study, lease.generation), lease._content()
        # A request that was repeated because its answer got lost finds its own file.
        if not place.create(name, mine) and place.read(name) != mine:
            raise _refusal(place, study, place.read(name) or b"")
        if place.create(name, b"{}"):
            raise StoreError(
                f"the server of {place.uri} must honour conditional writes (If-None-Match), but it overwrote a file; "
                "use another server"
            )
        for old in place.names(layout.leases(study)):
            if old < name:
                place.delete(old)
        return lease

    @property
    def due(self) -> bool:
        """Tells whether it is time to renew."""
        return time.monotonic() - self._renewed > RENEW_SECONDS

    @property
    def expired(self) -> bool:
        """Tells whether others may take this writer to be gone."""
        return time.monotonic() - self._renewed > TTL_SECONDS

    def renew(self) -> None:
        """Renews the lease; called when it is `due`. Raises TakenOver if another writer has taken over."""
        begun = time.monotonic()
        last, content = _last(self._place, self._study)
        if last > self.generation:
            raise self._taken_over(content)
        self.hold()
        self._place.replace(layout.lease(self._study, self.generation), self._content())
        self._renewed = begun

    def hold(self) -> None:
        """Checks that the lease is still there and still this writer's. Call before anything is written.

        A store that is not there is not an empty one: whoever wrote on would make half a store in its place. Raises Gone
        or TakenOver.
        """
        content = self._place.read(layout.lease(self._study, self.generation))
        if content is not None and _parsed(content).get("token") == self.token:
            return
        last, newest = _last(self._place, self._study)
        if content is not None or last > self.generation:
            raise self._taken_over(newest)
        raise Gone(
            f"a study must stay where it is while it is written, but {self._study} is gone from {self._place.uri}: it was "
            "moved or deleted; nothing is written in its place; move it back, and the same command goes on"
        )

    def release(self) -> None:
        """Lets the next writer in. Raises LeaseLost if there is no lease to release."""
        _held.discard(self.token)
        self.hold()
        self._place.replace(layout.lease(self._study, self.generation), self._content(released=True))

    def abandon(self) -> None:
        """Gives up a lease that is lost: should it come back, it keeps no writer out."""
        _held.discard(self.token)

    def _taken_over(self, content: bytes | None) -> TakenOver:
        return TakenOver(
            f"a study must have one writer, but {_who(content or b'')} has taken over {self._study} in "
            f"{self._place.uri}, because this one was silent for {TTL_SECONDS:g} s; the study goes on there"
        )

    @property
    def holder(self) -> dict[str, Any]:
        """Who holds the lease since when, as its file says."""
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process": _process(os.getpid()),
            "token": self.token,
            "since": self._since,
        }

    def _content(self, released: bool = False) -> bytes:
        return json.dumps({**self.holder, "renewed": time.time(), "released": released}).encode()


def _last(place: Place, study: str) -> tuple[int, bytes | None]:
    """Returns the number of the newest lease, 0 if there is none, and its content."""
    numbers = [int(stem) for name in place.names(layout.leases(study)) if (stem := Path(name).stem).isdigit()]
    if not numbers:
        return 0, None
    return max(numbers), place.read(layout.lease(study, max(numbers))) or b""


def _written(place: Place, study: str) -> int:
    """Returns the newest writer that the tables' files name, 0 if there is none: an unpacked bundle has no leases."""
    if place.read(layout.head(study)) is None:
        return 0
    names = [name for table in schema.TABLES for name in place.names(layout.table(study, table))]
    return max((layout.generation(Path(name).name) for name in names), default=0)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _gone(place: Place, study: str, number: int, content: bytes) -> bool:
    """Tells whether the holder has released its lease or lost it, has died on this machine, or has been silent elsewhere."""
    holder = _parsed(content)
    if holder.get("released") or time.time() - holder.get("renewed", time.time()) > FORGOTTEN_SECONDS:
        return True
    if (there := lives(holder)) is not None:
        return not there
    log.warning("%s in %s may be in use by %s; waiting for a sign of it", study, place.uri, _who(content))
    return _silent(place, study, number, content)


def lives(holder: Mapping[str, Any]) -> bool | None:
    """Tells whether the process that took a lease still holds it; None where this machine cannot know."""
    mine, theirs = _process(os.getpid()), holder.get("process")
    if not (mine and theirs and mine["system"] == theirs["system"]):
        return None
    if (holder["pid"], theirs) == (os.getpid(), mine) and holder.get(
        "token"
    ) not in _held:  # one start is not one process
        return False
    return bool(_process(holder["pid"]) == theirs)


def latest(place: Place, study: str) -> tuple[dict[str, Any], float] | None:
    """Returns what the study's newest lease says, and the seconds since it was written by the place's clock.

    None where nobody has written the study, or the lease cannot be read.
    """
    found = [entry for entry in place.entries(layout.leases(study)) if Path(entry.name).stem.isdigit()]
    newest = max(found, key=lambda entry: int(Path(entry.name).stem), default=None)
    content = None if newest is None else _parsed(place.read(newest.name) or b"")
    return None if newest is None or not content else (content, newest.age)


def _silent(place: Place, study: str, number: int, content: bytes) -> bool:
    """Watches the holder for TTL_SECONDS; returns early if it releases or renews its lease."""
    deadline = time.monotonic() + TTL_SECONDS
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        last, now = _last(place, study)
        if last == number and now and _parsed(now).get("released"):
            return True
        if (last, now) != (number, content):
            return False
    return True


def _refusal(place: Place, study: str, content: bytes) -> StoreError:
    return StoreError(
        f"a study must have one writer, but {study} in {place.uri} is being written by {_who(content)}; "
        "stop it, or wait until it is done"
    )


def _who(content: bytes) -> str:
    holder = _parsed(content)
    if "pid" not in holder:
        return "another process"
    since = datetime.fromtimestamp(holder["since"]).isoformat(sep=" ", timespec="seconds")
    return f"process {holder['pid']} on {holder['host']} since {since}"


def _process(pid: int) -> dict[str, str] | None:
    """Identifies a live process by its system (boot and process namespace) and its start in the kernel's ticks.

    Returns None if there is no such process any more, or if the system does not tell. Read from /proc: psutil knows
    neither boots nor namespaces, and its start times move with the clock, by which a live holder would look dead.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        system = f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None
    state, *rest = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else {"system": system, "started": rest[18]}
