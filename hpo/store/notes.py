"""Notes on a study beside its summary: the mark of an archived one, and the verdict in five words. Nothing is ever deleted
but such a note.
"""

from __future__ import annotations

import json
import time
from typing import Any

from hpo.storage.place import is_sealed, place
from hpo.store import layout
from hpo.store.errors import StoreError

ARCHIVED, VERDICT = "archived", "verdict"


def archive(uri: str, study: str, by: str = "") -> None:
    """Marks a study as archived: lists leave it out, and everything of it stays where it is.

    Raises StoreError for a study that the store does not hold, and for a bundle.
    """
    _note(uri, study, ARCHIVED, {"by": by, "time": time.time()})


def unarchive(uri: str, study: str) -> None:
    """Removes the mark of an archived study; does nothing where there is none. Raises as `archive` does."""
    _checked(uri, study)
    place(uri).delete(layout.beside_summary(study, ARCHIVED))


def note_verdict(uri: str, study: str, words: str, charged: float) -> None:
    """Notes the verdict of a comparison for lists of studies; charged: what the results that it holds for were charged.

    Raises as `archive` does.
    """
    _note(uri, study, VERDICT, {"verdict": words, "charged": charged, "time": time.time()})


def parsed(content: bytes | None) -> dict[str, Any]:
    """Returns what a note says; nothing where there is none, or where it is broken."""
    try:
        found = json.loads(content or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _note(uri: str, study: str, what: str, content: dict[str, Any]) -> None:
    _checked(uri, study)
    place(uri).replace(layout.beside_summary(study, what), json.dumps(content).encode())


def _checked(uri: str, study: str) -> None:
    """Raises StoreError unless notes on the study can be kept."""
    if is_sealed(uri):
        raise StoreError(f"{uri} is a bundle, and nothing is written into one; name a store to archive a study in")
    if place(uri).read(layout.head(study)) is None:
        raise StoreError(f"the study must be in the store, but {uri} has no {study!r}")
