"""The study in a bundle, to be trained anew into another store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpo.bundle.derived import STUDY
from hpo.errors import StudyError
from hpo.storage.archive import ArchivePlace
from hpo.storage.place import is_sealed, place
from hpo.store import layout, reader
from hpo.store.agreement import REPLAY
from hpo.store.errors import StoreError
from hpo.study.study import Study
from hpo.study.yaml_file import Document


def study_in(uri: str, **changes: Any) -> Study:
    """Returns the study in a bundle; `changes` (store, seeds, methods, epochs) replace what it says.

    It has no trackers: those of the first run belong to somebody else. Relative paths start at the working folder.
    Raises StudyError for a bundle whose study file is missing or another's.
    """
    where = ArchivePlace(uri)
    content = where.read(STUDY)
    if content is None:
        raise StudyError(f"{uri} must hold {STUDY}, but it has none; `hpo verify {uri}` names all that it lacks")
    path = Path(f"{uri}/{STUDY}")
    if Study.of(Document(path, content), Path()).digest != where.manifest.get("digest"):
        raise StudyError(f"{uri} must hold the study of its manifest, but {STUDY} was changed; get the bundle again")
    return Study.of(Document(path, content), Path(), **changes, track={})


def check_trained(uri: str) -> None:
    """Raises StudyError for the bundle of a replay, whose study was never trained."""
    where = ArchivePlace(uri)
    head = reader.head(where, str(where.manifest.get("study", ""))) or {}
    replay = (head.get("environment") or {}).get(REPLAY)
    if replay:
        raise StudyError(
            f"--again trains a study anew, but that of {uri} was replayed over {replay['curves']}; `hpo replay {uri} --curves "
            "FILE --store NEW` plays it again"
        )


def check_new(uri: str, store: str | None) -> None:
    """Raises StoreError unless `store` is named and is not the one that the bundle was made of.

    A store that already holds a repetition, perhaps in part, is fine: it is continued.
    """
    if store is None:
        raise StoreError("--again needs --store NEW, another store than the bundle's, but there is none; name it")
    if is_sealed(store):
        raise StoreError(f"{store} is a bundle, and nothing is written into one; name another store")
    bundle = ArchivePlace(uri)
    study = str(bundle.manifest.get("study", ""))
    mine, there = reader.head(bundle, study), reader.head(place(store), layout.checked(study))
    if mine is not None and there is not None and _made(mine) == _made(there):
        raise StoreError(
            f"--again needs another store than the one that the bundle was made of, but {store} is that one; name a new one"
        )


def _made(head: dict[str, Any]) -> Any:
    """Returns what tells a store's study from every other one: drawn when it was first written."""
    return head.get("made") or (head.get("digest"), head.get("environment", {}).get("command"))
