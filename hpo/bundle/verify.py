"""Verifies a bundle: its files by the manifest, its tables by one another, and every derived file by deriving it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from hpo import store as stores
from hpo.bundle import software
from hpo.bundle.derived import CARD, COMPARISON, ENVIRONMENT, IMPORTANCE, METHODS_FILE, REPORT, STUDY, Stored, derived
from hpo.bundle.differing import CLOSE, MOST, Difference, of_pages, of_values
from hpo.bundle.held import Held
from hpo.errors import HpoError
from hpo.results.audit import audit
from hpo.storage.archive import ArchivePlace
from hpo.store import reader
from hpo.study.study import Study
from hpo.study.yaml_file import Document
from hpo.text import one_line

NEEDED = (COMPARISON, REPORT, "README.md", "CITATION.cff")
NEEDED_OF_STUDY = (COMPARISON, STUDY, METHODS_FILE, ENVIRONMENT, CARD)


@dataclass
class Verification:
    """What differs (`problems`), and what a reader must know of the check itself (`notes`); a sentence each.

    `study`: the name of the study, or of the suite. `exact`: whether every derived file has the same bytes again.
    """

    study: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    exact: bool = True

    @property
    def sentence(self) -> str:
        """What holds if there are no problems."""
        how = "byte by byte" if self.exact else f"within a relative {CLOSE:g}, printed numbers within their last digit"
        return (
            f"{self.study}: every file is as the manifest says; every ledger, order, incumbent and comparison follows from "
            f"the epochs; comparison, importance and report are derived again, {how}"
        )


def verify(uri: str) -> Verification:
    """Verifies a bundle without data, GPU or network. Raises StorageError for a file that is no bundle."""
    where = ArchivePlace(uri)
    held = Held.of(where.manifest)
    found = Verification(held.title, list(where.broken()))
    needed = [*NEEDED, *(held.path(study, name) for study in held.digests for name in NEEDED_OF_STUDY)]
    found.problems += [f"{name} is missing" for name in needed if name not in where.contents]
    found.problems = list(dict.fromkeys(found.problems))
    made_with = where.manifest.get("made_with")
    here = _installation(found, made_with if isinstance(made_with, Mapping) else {})
    try:
        studies = [_study(found, where, study, digest) for study, digest in held.digests.items()]
        again = derived(held, studies)
    except Exception as error:  # whatever comes of tables that were changed
        if not found.problems and not isinstance(error, HpoError):
            raise  # a bug: nothing was changed
        found.problems.append(f"nothing else can be derived: {one_line(error)}")
        return found
    for name, content in again.items():
        if (bundled := where.contents.get(name)) is not None:
            found.problems += _differences(found, name, bundled, content, here)
    for data, head in studies:
        if (name := held.path(data.name, IMPORTANCE)) in where.contents and name not in again:
            found.problems.append(f"{name} does not follow from the tables: they have too few trials")
        name = held.path(data.name, STUDY)
        found.problems += _study_file(name, where.contents.get(name), str(head["digest"]))
    return found


def _study(found: Verification, where: ArchivePlace, study: str, digest: str) -> Stored:
    """Reads a study of the bundle and checks its tables."""
    found.problems += stores.verify(where.uri, study)
    data, head = stores.read(where.uri, study), reader.head(where, study) or {}
    if head["digest"] != digest:
        found.problems.append(f"{study}/study.json is of another study than the manifest says")
    found.problems += [f"{study}: {problem}" for problem in audit(data)]
    return data, head


@dataclass(frozen=True)
class _Installation:
    """Which versions differ from those that made the bundle, by name."""

    changed: frozenset[str]

    @property
    def same_version(self) -> bool:
        return not self.changed & {"hpo-arena", "source"}

    @property
    def same_drawings(self) -> bool:
        return self.same_version and not self.changed & {"matplotlib", "jinja2"}


def _installation(found: Verification, bundled: Mapping[str, str]) -> _Installation:
    """Returns what differs from the installation that made the bundle, and notes it."""
    now = software.made_with()
    changed = [name for name in sorted({*bundled, *now}) if bundled.get(name) != now.get(name)]
    texts = [
        f"{'the source of hpo-arena' if name == 'source' else name} was {bundled.get(name, 'not known')} and is "
        f"{now.get(name, 'not installed')}"
        for name in changed
    ]
    if texts:
        found.notes.append(f"this is not the installation that made the bundle: {', '.join(texts)}")
    return _Installation(frozenset(changed))


def _differences(found: Verification, name: str, bundled: bytes, again: bytes, here: _Installation) -> Iterator[str]:
    """Yields a sentence for each value of a file that differs; notes what could not be compared."""
    if bundled == again:
        return
    found.exact = False  # another number of threads suffices for another last bit
    if name == REPORT and not here.same_version:
        found.notes.append(f"{REPORT} was laid out by another version; the figures behind it were compared instead")
        return
    try:
        named = [f"{name}: {difference}" for difference in islice(_values(name, bundled, again, here), MOST + 1)]
    except (ValueError, HpoError):
        yield f"{name} cannot be read"
        return
    yield from named[:MOST]
    if len(named) > MOST:
        yield f"{name}: there are more differences"


def _values(name: str, bundled: bytes, again: bytes, here: _Installation) -> Iterator[Difference]:
    if name == REPORT:
        return of_pages(bundled.decode(), again.decode(), drawings=here.same_drawings)
    if name.endswith(".json"):
        return of_values(json.loads(bundled), json.loads(again), same_version=here.same_version)
    before, after = (Document(Path(name), text).values for text in (bundled, again))
    return of_values(before, after, same_version=here.same_version)


def _study_file(name: str, content: bytes | None, digest: str) -> Iterator[str]:
    if content is None:
        return
    try:
        study = Study.of(Document(Path(name), content), Path())
    except HpoError as error:
        yield f"{name} must hold the study, but: {error}"
        return
    if study.digest != digest:
        yield f"{name} holds another study than study.json"
