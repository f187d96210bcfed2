"""The driver's log: one JSON object a line, `event` and `time` (unix seconds) first. Appended to, never rewritten."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hpo.storage.place import Place
from hpo.store import layout
from hpo.store.errors import StoreError

POST_SECONDS = 60.0
POST_SHARE = 1 / 60  # of a long log's age that its copy in the store may be behind: it is sent whole
LAST_POST_SECONDS = 30.0


class Journal:
    """A log on a disk of this machine. Whatever keeps it from being written leaves a gap and hinders nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, event: str, **facts: Any) -> None:
        """One line, in the kernel's hands when this returns."""
        line = json.dumps({"event": event, "time": time.time(), **facts}, default=str) + "\n"
        with suppress(OSError):  # a disk that is full now is the store's business
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line)

    def close(self) -> None:
        """Nothing more is written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PostedJournal(Journal):
    """One for a store that cannot append: its file lies in the spool and is posted, now and then and at the end.

    A store that is away is left alone until the next time. What cannot be posted at the end stays in the spool, and the
    next journal of the study on this machine posts it.
    """

    def __init__(self, folder: Path, name: str, place: Place, study: str) -> None:
        super().__init__(folder / f"{name}.log")
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
        for path in sorted(self._path.parent.glob("*.log")):
            self._place.replace(layout.log(self._study, path.stem), path.read_bytes())
            if ended or path != self._path:
                path.unlink()
