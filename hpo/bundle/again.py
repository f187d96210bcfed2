"""The studies in a bundle, to be trained anew into another store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.bundle.derived import STUDY
from hpo.bundle.held import Held
from hpo.errors import StudyError
from hpo.storage.archive import ArchivePlace
from hpo.storage.place import is_sealed, place
from hpo.store import layout, reader
from hpo.store.agreement import REPLAY
from hpo.store.errors import StoreError
from hpo.study.study import Study
from hpo.study.suite import Suite
from hpo.study.yaml_file import Document


def studies_in(uri: str, tasks: Sequence[str] | None = None, **changes: Any) -> Study | Suite[Study]:
    """Returns the study or the suite in a bundle; `changes` (store, seeds, methods, epochs) replace what it says.

    `tasks`: those of the suite. It has no trackers: those of the first run belong to somebody else. Relative paths start at
    the working folder. Raises StudyError for a bundle whose study file is missing or another's.
    """
    where = ArchivePlace(uri)
    held = Held.of(where.manifest)
    if tasks is not None and not held.suite:
        raise StudyError(f"--tasks needs a suite, but {uri} is a bundle of one study; leave it out")
    found = {
        held.task(study): _study_in(where, held.path(study, STUDY), digest, changes)
        for study, digest in held.digests.items()
    }
    if not held.suite:
        return next(iter(found.values()))
    suite = Suite(held.suite, found)
    return suite if tasks is None else suite.only(tasks)


def _study_in(where: ArchivePlace, name: str, digest: str, changes: Mapping[str, Any]) -> Study:
    content = where.read(name)
    if content is None:
        raise StudyError(
            f"{where.uri} must hold {name}, but it has none; `hpo verify {where.uri}` names all that it lacks"
        )
    path = Path(f"{where.uri}/{name}")
    if Study.of(Document(path, content), Path()).digest != digest:
        raise StudyError(
            f"{where.uri} must hold the study of its manifest, but {name} was changed; get the bundle again"
        )
    return Study.of(Document(path, content), Path(), **changes, track={})


def check_trained(uri: str) -> None:
    """Raises StudyError for the bundle of a replay, whose studies were never trained."""
    where = ArchivePlace(uri)
    heads = [reader.head(where, study) or {} for study in Held.of(where.manifest).digests]
    replay = next((found for head in heads if (found := (head.get("environment") or {}).get(REPLAY))), None)
    if replay:
        raise StudyError(
            f"--again trains anew, but what {uri} holds was replayed over {replay['curves']}; `hpo replay {uri} --curves "
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
    for study in Held.of(bundle.manifest).digests:
        mine, there = reader.head(bundle, study), reader.head(place(store), layout.checked(study))
        if mine is not None and there is not None and _made(mine) == _made(there):
            raise StoreError(
                f"--again needs another store than the one that the bundle was made of, but {store} is that one; name a new one"
            )


def _made(head: dict[str, Any]) -> Any:
    """Returns what tells a store's study from every other one: drawn when it was first written."""
    return head.get("made") or (head.get("digest"), head.get("environment", {}).get("command"))
