"""The seal of a study that has ended: a digest of each of its files, by which a later change is noticed.

The writer breaks it before it writes anything, and makes it anew when the study ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from hpo.storage.place import Place
from hpo.store import layout, reader, schema


def make(place: Place, study: str) -> None:
    """Seals the study's head and tables as they are."""
    place.replace(layout.seal(study), content(place, study))


def content(place: Place, study: str) -> bytes:
    """Returns the seal of the study's head and tables as they are."""
    return json.dumps(_digests(place, study), indent=2).encode()


def made(place: Place, study: str) -> bool:
    """Whether the study has a seal: its writer ended with every run over and every exam taken."""
    return place.read(layout.seal(study)) is not None


def open(place: Place, study: str) -> None:
    """Breaks the seal, since the study goes on."""
    place.delete(layout.seal(study))


def broken(place: Place, study: str) -> Iterator[str]:
    """Yields a sentence for each table, and for the head, that is not as it was sealed. Studies under way have no seal."""
    found_seal = place.read(layout.seal(study))
    if found_seal is None:
        return
    try:
        sealed = dict(json.loads(found_seal))
    except (ValueError, TypeError):
        yield f"{layout.seal(study)} must hold the digests of the study's files, but it cannot be read"
        return
    found = _digests(place, study)
    for part in sorted(found.keys() | sealed.keys()):
        if found.get(part) != sealed.get(part):
            yield f"{part} was changed after the study had ended"


def _digests(place: Place, study: str) -> dict[str, dict[str, str]]:
    """Returns the digests of files by the part of the study that they belong to."""
    parts = {table: reader.files(place, study, table) for table in schema.TABLES}
    parts["study.json"] = [layout.head(study)]
    return {
        part: {name.rpartition("/")[2]: hashlib.sha256(place.read(name) or b"").hexdigest() for name in names}
        for part, names in parts.items()
    }
