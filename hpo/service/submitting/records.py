"""What the service keeps of submissions, in its store below `.service/`: so that a restart submits nothing twice.

.service/keys/<digest>.json      an idempotency key: the digest of what was asked, and the answer once there is one
.service/studies/<study>.json    what was last submitted under a name: its text, options, owner and files
.service/files/<digest>.zip      the files that came with a study

Keys, and files that no study was last submitted with, are deleted after a month.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from hpo.service.problems import Problem
from hpo.storage.place import Place, place
from hpo.store.layout import checked

ROOT = ".service"
KEPT_SECONDS = 30 * 86400.0  # nobody sends a request again after so long
_AGING = ("keys", "files")


def digest(*parts: str | bytes) -> str:
    """Returns a digest of the parts that no other parts have."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(f"{len(content)}:".encode() + content)
    return found.hexdigest()[:32]


@dataclass(frozen=True)
class Submitted:
    """A submission as it was asked for: what is needed to ask for the same again. files: the digest of their archive.
    plans: of each study its
    definition, digest, kinds of columns and priority, for as long as the store does not have it.
    """

    text: str
    owner: str
    options: Mapping[str, Any] = field(default_factory=dict)
    files: str | None = None
    plans: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    series: str = ""
    when: float = field(default_factory=time.time)

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        return cls(**json.loads(content))


class Records:
    """The service's records in a store. Every call blocks, and raises StoreError where the store is away."""

    def __init__(self, store: str) -> None:
        self._place: Place = place(store)

    def answer(self, key: str, body: str) -> Mapping[str, Any] | None:
        """Returns what was answered to a key. Raises Problem 409 where it came with something else."""
        content = self._place.read(self._key(key))
        if content is None:
            return None
        found = json.loads(content)
        if found["body"] != body:
            raise Problem(
                409,
                "an Idempotency-Key must come with the same request each time, but this one came with another; choose a new key",
            )
        answer: Mapping[str, Any] | None = found["answer"]
        return answer

    def keep_answer(self, key: str, body: str, answer: Mapping[str, Any] | None) -> None:
        """Keeps that a key came with this request, and what was answered."""
        self._write(self._key(key), {"body": body, "answer": answer, "when": time.time()})

    def submitted(self, study: str) -> Submitted | None:
        """Returns what was last submitted under a name."""
        content = self._place.read(self._study(study))
        return None if content is None else Submitted.from_json(content)

    def keep_submitted(self, study: str, made: Submitted) -> None:
        """Keeps what is submitted under a name."""
        self._write(self._study(study), asdict(made))

    def keep_files(self, archive: bytes) -> str:
        """Keeps an archive and returns its digest."""
        name = digest(archive)
        self._place.replace(self._files(name), archive)  # also one that is there: it is young again
        return name

    def files(self, name: str) -> bytes | None:
        """Returns an archive by its digest."""
        return self._place.read(self._files(name))

    def tidy(self, seconds: float = KEPT_SECONDS) -> None:
        """Deletes keys of that age, and files that no study was last submitted with."""
        keys, files = (
            [entry for entry in self._place.entries(f"{ROOT}/{what}") if entry.age > seconds] for what in _AGING
        )
        for entry in keys:
            self._place.delete(entry.name)
        if not files:
            return
        records = (self._place.read(name) for name in self._place.names(f"{ROOT}/studies"))
        needed = {self._files(str(Submitted.from_json(content).files)) for content in records if content is not None}
        for entry in files:
            if entry.name not in needed:
                self._place.delete(entry.name)

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        self._place.replace(name, json.dumps(value, sort_keys=True).encode())

    def _key(self, key: str) -> str:
        return f"{ROOT}/keys/{key}.json"

    def _study(self, study: str) -> str:
        return f"{ROOT}/studies/{checked(study)}.json"

    def _files(self, name: str) -> str:
        return f"{ROOT}/files/{name}.zip"
