"""The spool: rows on local disk, in batches, from the moment they are handed over until the store has them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.store.errors import StoreError
from hpo.store.places import LocalPlace, Place

Rows = dict[str, list[dict[str, Any]]]


class Spool:
    """Append-only files of JSON lines, one a batch. A line is in the kernel's hands when `append` returns, so that
    the process may be killed at any moment after it."""

    def __init__(self, folder: Path, generation: int) -> None:
        self.folder = folder
        self._generation = generation
        self._sequence = 0
        self._stream: Any = None

    @classmethod
    def of(cls, place: Place, study: str, generation: int) -> Spool:
        """Beside a local store's tables; for S3 in this machine's state folder (HPO_SPOOL, else XDG_STATE_HOME)."""
        if isinstance(place, LocalPlace):
            return cls(place.root / study / "spool", generation)
        state = os.environ.get("HPO_SPOOL") or os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        name = hashlib.sha256(f"{place.uri.rstrip('/')}/{study}".encode()).hexdigest()[:16]
        return cls(Path(state) / "hpo-arena" / f"{study}-{name}", generation)

    def append(self, table: str, row: Mapping[str, Any]) -> None:
        try:
            if self._stream is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._stream = self._path(self._sequence).open("ab", buffering=0)
            self._stream.write(json.dumps([table, row]).encode() + b"\n")
        except OSError as error:
            raise StoreError(f"results must be kept in {self.folder}, but: {error.strerror}; make room there") from None

    def rotate(self) -> str | None:
        """Closes the batch being written and returns its name; None where it is empty."""
        if self._stream is None:
            return None
        self._stream.close()
        self._stream = None
        self._sequence += 1
        return self._path(self._sequence - 1).stem

    def batches(self) -> list[str]:
        """The names of the closed batches, oldest first, those of earlier writers included."""
        open_now = self._path(self._sequence).stem if self._stream is not None else None
        return sorted(p.stem for p in self.folder.glob("*.jsonl") if p.stem != open_now)

    def rows(self, batch: str) -> Rows:
        """A batch's rows by table. A last line that was cut short had not been handed over yet."""
        found: Rows = {}
        for line in (self.folder / f"{batch}.jsonl").read_bytes().splitlines():
            try:
                table, row = json.loads(line)
            except ValueError:
                continue
            found.setdefault(table, []).append(row)
        return found

    def drop(self, batch: str) -> None:
        """The store has the batch."""
        (self.folder / f"{batch}.jsonl").unlink(missing_ok=True)

    def _path(self, sequence: int) -> Path:
        return self.folder / f"{self._generation:06d}-{sequence:06d}.jsonl"
