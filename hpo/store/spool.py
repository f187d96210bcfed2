"""The spool: batches of rows on local disk, from the moment they are handed over until the store has them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.files import write_whole
from hpo.storage.local import LocalPlace
from hpo.storage.place import Place
from hpo.store import layout
from hpo.store.errors import StoreError

Row = tuple[str, Mapping[str, Any]]  # table, row
Rows = dict[str, list[Mapping[str, Any]]]
Refused = tuple[str, Mapping[str, Any], str]  # table, row, reason

MOST_IN_MEMORY = 10_000  # rows of batches that this writer need not read back from their files

_encode = json.JSONEncoder(default=str).encode

log = logging.getLogger(__name__)


class Spool:
    """Append-only files of JSON lines, one file a batch. A line survives the process when `append` returns.

    The newest rows are in memory too, up to a limit, so that they need not be parsed again to be delivered.
    `spare`: where rows wait instead if the place that `folder` lies in is gone; without one, the folder is made anew.
    """

    def __init__(self, folder: Path, generation: int, token: str, spare: Path | None = None) -> None:
        self.folder, self._spare = folder, spare
        self._generation, self._token = generation, token
        self._sequence = 0
        self._batch = self._named()  # the one that is open, or the next
        self._file: int | None = None
        self._size = 0
        self._recent: dict[str, Rows] = {}  # batch -> its rows, where all of them are in memory
        self._count = 0  # of the rows in memory

    @classmethod
    def of(cls, place: Place, study: str, digest: str, made: str, generation: int, token: str) -> Spool:
        """Returns the spool of a writer: beside a local store's tables, for S3 in `elsewhere`.

        What an earlier writer of a local store had to keep elsewhere comes back.
        """
        elsewhere = cls.elsewhere(place, study, digest, made)
        if not isinstance(place, LocalPlace):
            return cls(elsewhere, generation, token)
        spool = cls(place.root / layout.spool(study), generation, token, elsewhere)
        for path in elsewhere.glob("*.jsonl"):
            write_whole(spool.folder / path.name, path.read_bytes())
            path.unlink()
        return spool

    @staticmethod
    def elsewhere(place: Place, study: str, digest: str, made: str) -> Path:
        """Returns the study's folder on this machine: in HPO_SPOOL (default: XDG_STATE_HOME).

        The study's digest, and what tells a store from others at its address, are part of the name, so that rows for a
        store that has since been deleted do not end up in a new one.
        """
        state = os.environ.get("HPO_SPOOL") or os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        uri = str(place.root) if isinstance(place, LocalPlace) else place.uri.rstrip("/")
        name = hashlib.sha256(" ".join(filter(None, (uri, study, digest, made))).encode()).hexdigest()[:16]
        return Path(state).expanduser() / "hpo-arena" / f"{layout.checked(study)}-{name}"

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows in one write. Raises StoreError, with nothing of the rows kept, if there is no room for them."""
        lines = "".join([f"{_encode(row)}\n" for row in rows]).encode()
        try:
            if self._file is None:
                self._file, self._size = self._open(), 0
                self._recent[self._batch] = {}
            self._write(self._file, lines)
        except OSError as error:
            raise StoreError(
                f"results must be kept in {self.folder}, but: {error.strerror}; make it writable, or make room"
            ) from None
        self._remember(rows)

    def _remember(self, rows: Sequence[Row]) -> None:
        """Keeps the rows of the open batch in memory, unless there are too many: then the batch is read from its file."""
        kept = self._recent.get(self._batch)
        if kept is None:
            return
        for table, row in rows:
            kept.setdefault(table, []).append(row)
        self._count += len(rows)
        if self._count > MOST_IN_MEMORY:
            self._forget(self._batch)

    def _forget(self, batch: str) -> None:
        self._count -= sum(map(len, self._recent.pop(batch, {}).values()))

    def _open(self) -> int:
        try:
            self.folder.mkdir(parents=self._spare is None, exist_ok=True)
        except FileNotFoundError:  # the store was moved or deleted, and must not be made anew
            assert self._spare is not None
            self.folder, self._spare = self._spare, None
            return self._open()
        return os.open(self.folder / f"{self._batch}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _write(self, file: int, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(file, line[written:])
        except OSError:
            os.ftruncate(file, self._size)  # half a line would spoil the next
            raise
        self._size += written

    def rotate(self) -> None:
        """Ends the current batch."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._sequence += 1
            self._batch = self._named()

    def skip(self) -> str:
        """Returns the name of a batch that is written past the spool, in order after the batches before it."""
        self.rotate()
        name = self._batch
        self._sequence += 1
        self._batch = self._named()
        return name

    def batches(self) -> list[str]:
        """Returns the names of the ended batches, oldest first, with those of earlier writers."""
        open_now = self._batch if self._file is not None else None
        return sorted(p.stem for p in self.folder.glob("*.jsonl") if p.stem != open_now)

    def rows(self, batch: str) -> Rows:
        """Returns a batch's rows by table, without a last line that was cut short: its caller never got an answer.

        Any other unreadable line is damage from outside: it is reported, and a copy of the file is kept.
        """
        if (recent := self._recent.get(batch)) is not None:
            return recent
        found: Rows = {}
        path = self.folder / f"{batch}.jsonl"
        *lines, _ = path.read_bytes().split(b"\n")
        for line in lines:
            try:
                table, row = json.loads(line)
                found.setdefault(table, []).append(row)
            except (ValueError, TypeError):
                log.warning("%s has an unreadable line; a copy is kept as %s.damaged", path, path.name)
                path.with_name(f"{path.name}.damaged").write_bytes(path.read_bytes())
        return found

    def set_aside(self, batch: str, refused: Sequence[Refused]) -> str:
        """Keeps rows (table, row, reason) that no table can hold, beside the batches; returns a sentence that names them."""
        path = self.folder / f"{batch}.refused"
        table, _, why = refused[0]
        others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        said = f"a row of {table}{others} cannot be stored and is kept in {path}: {why}"
        if not path.exists():
            log.warning("%s", said)
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(entry, default=str) + "\n" for entry in refused))
        return said

    def drop(self, batch: str) -> None:
        """Deletes a batch that the store has."""
        self._forget(batch)
        (self.folder / f"{batch}.jsonl").unlink(missing_ok=True)

    def _named(self) -> str:
        return layout.batch(self._generation, self._token, self._sequence)
