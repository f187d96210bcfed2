"""The driver's log: one JSON object a line, `event` and `time` (unix seconds) first. It is only ever appended to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hpo.storage.local import LocalPlace
from hpo.storage.place import Place
from hpo.store import layout
from hpo.store.errors import StoreError

POST_SECONDS = 60.0
POST_SHARE = 1 / 60  # a copy may lag behind by this share of the log's age, since every post sends all of it
LAST_POST_SECONDS = 30.0
TAIL_BYTES = 2**18  # of a log: more than its longest line

Heard = Callable[[str, Mapping[str, Any]], None]


class Journal:
    """A log on a disk of this machine. An error leaves a gap in the log and stops nobody. `heard` is told every word too."""

    def __init__(self, path: Path, heard: Heard = lambda event, facts: None) -> None:
        self._path, self._heard = path, heard

    def write(self, event: str, **facts: Any) -> None:
        """Appends a line, which survives the process when this returns."""
        line = json.dumps({"event": event, "time": time.time(), **facts}, default=str) + "\n"
        # The store reports a full disk, and a folder that is gone.
        with suppress(OSError), self._path.open("a", encoding="utf-8") as stream:
            stream.write(line)
        self._heard(event, facts)

    def close(self) -> None:
        """Ends the log."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def figures(where: Place, study: str) -> dict[str, Any] | None:
    """Returns the figures that the study's driver last wrote, with their time; None where its last word was another."""
    last = next(words(where, study), None)
    return last if last is not None and last["event"] == "figures" else None


def words(where: Place, study: str) -> Iterator[dict[str, Any]]:
    """Yields the last events that the study's driver wrote, the latest first."""
    if isinstance(where, LocalPlace):
        text = _tail(where.root / layout.log(study))
    else:
        logs = where.names(layout.logs(study))
        text = (where.read(logs[-1]) or b"") if logs else b""
    for line in reversed(text.splitlines()):
        with suppress(ValueError):  # a line that is being written, or was cut off
            found = json.loads(line)
            if isinstance(found, dict) and "event" in found:
                yield found


def _tail(path: Path) -> bytes:
    with suppress(OSError), path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - TAIL_BYTES))
        return stream.read()
    return b""


class PostedJournal(Journal):
    """A log for a store that cannot append: a file in the spool, which is posted whole now and then and at the end.

    If the store does not answer at the end, the file stays in the spool for the study's next journal on this machine
    to post.
    """

    def __init__(
        self, folder: Path, name: str, place: Place, study: str, heard: Heard = lambda event, facts: None
    ) -> None:
        super().__init__(folder / f"{name}.log", heard)
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        self._place, self._study = place, study
        self._began = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="journal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(LAST_POST_SECONDS)

    def _loop(self) -> None:
        ended = False
        while not ended:
            ended = self._closing.wait(max(POST_SECONDS, (time.monotonic() - self._began) * POST_SHARE))
            with suppress(StoreError, OSError):
                self._post(ended)

    def _post(self, ended: bool) -> None:
        if self._place.read(layout.head(self._study)) is None:
            return  # the study was moved or deleted: a log alone would make half a store
        for path in sorted(self._path.parent.glob("*.log")):
            self._place.replace(layout.log(self._study, path.stem), path.read_bytes())
            if ended or path != self._path:
                path.unlink()
