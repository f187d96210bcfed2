"""Verifies a bundle: its files by the manifest, its tables by one another, and every derived file by deriving it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from hpo import store as stores
from hpo.bundle import software
from hpo.bundle.derived import COMPARISON, IMPORTANCE, METHODS_FILE, REPORT, STUDY, derived
from hpo.bundle.differing import CLOSE, MOST, of_pages, of_values
from hpo.errors import HpoError
from hpo.results.audit import audit
from hpo.storage.archive import ArchivePlace
from hpo.store import reader
from hpo.study.study import Study
from hpo.study.yaml_file import Document

NEEDED = (COMPARISON, REPORT, STUDY, METHODS_FILE, "environment.json", "data-card.json", "README.md", "CITATION.cff")


@dataclass
class Verification:
    """What differs (`problems`), and what a reader must know of the check itself (`notes`); a sentence each.

    `exact`: whether every derived file has the same bytes again.
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
    study = str(where.manifest.get("study", ""))
    found = Verification(study, list(where.broken()))
    found.problems += [f"{name} is missing" for name in NEEDED if name not in where.contents]
    found.problems = list(dict.fromkeys(found.problems))
    same = _versions(found, where.manifest.get("made_with", {}))
    try:
        found.problems += stores.verify(uri, study)
        data, head = stores.read(uri, study), reader.head(where, study) or {}
        if head["digest"] != where.manifest.get("digest"):
            found.problems.append(f"{study}/study.json is of another study than the manifest says")
        found.problems += [f"{study}: {problem}" for problem in audit(data)]
        again = derived(data, head)
    except HpoError as error:  # the head or the tables cannot be read, and nothing follows from them
        found.problems.append(str(error))
        return found
    for name, content in again.items():
        if (bundled := where.contents.get(name)) is not None:
            found.problems += _differences(found, name, bundled, content, same)
    if IMPORTANCE in where.contents and IMPORTANCE not in again:
        found.problems.append(f"{IMPORTANCE} does not follow from the tables: they have too few trials")
    found.problems += _study_file(where.contents.get(STUDY), str(head["digest"]))
    return found


def _versions(found: Verification, bundled: Mapping[str, str]) -> bool:
    """Notes which versions differ from those that made the bundle; returns whether this project's are the same."""
    now = software.made_with()
    changed = [name for name in sorted({*bundled, *now}) if bundled.get(name) != now.get(name)]
    ours = [name for name in changed if name in ("hpo-arena", "source")]
    texts = [
        f"{'the source of hpo-arena' if name == 'source' else name} was {bundled.get(name, 'not known')} and is {now.get(name)}"
        for name in changed
    ]
    if texts:
        found.notes.append(f"this is not the installation that made the bundle: {', '.join(texts)}")
    return not ours


def _differences(found: Verification, name: str, bundled: bytes, again: bytes, same: bool) -> Iterator[str]:
    """Yields a sentence for each value of a file that differs; notes what could not be compared."""
    if bundled == again:
        return
    try:
        before, after = bundled.decode(), again.decode()
        if name == REPORT and not same:
            found.notes.append(f"{REPORT} was laid out by another version; the figures behind it were compared instead")
            found.exact = False
            return
        if name.endswith(".json"):
            differences = of_values(json.loads(before), json.loads(after), same_version=same)
        elif name == REPORT:
            differences = of_pages(before, after)
        else:
            texts = (Document(Path(name), text).values for text in (bundled, again))
            differences = of_values(*texts, same_version=same)
    except (ValueError, HpoError):
        yield f"{name} cannot be read"
        return
    named = [f"{name}: {difference}" for difference in islice(differences, MOST + 1)]
    yield from named[:MOST]
    if len(named) > MOST:
        yield f"{name}: there are more differences"
    if not named:
        yield from _only_looks(found, name, same)


def _only_looks(found: Verification, name: str, same: bool) -> Iterator[str]:
    """A file whose values are the same, but whose bytes are not: allowed where another installation wrote them."""
    found.exact = False
    if not found.notes:
        yield f"{name} has the same values, but not the bytes that this same installation derives"
    elif name == REPORT:
        found.notes.append(f"{REPORT} has the same text, but its pictures are drawn differently")


def _study_file(content: bytes | None, digest: str) -> Iterator[str]:
    if content is None:
        return
    try:
        study = Study.of(Document(Path(STUDY), content), Path())
    except HpoError as error:
        yield f"{STUDY} must hold the study, but: {error}"
        return
    if study.digest != digest:
        yield f"{STUDY} holds another study than study.json"
