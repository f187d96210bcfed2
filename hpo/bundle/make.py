"""Makes a bundle of a stored study or suite: its tables as they are, what follows from them, and how to check and repeat both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hpo.bundle import pages, software
from hpo.bundle.derived import COMPARISON, Stored, as_json, derived
from hpo.bundle.held import Held
from hpo.bundle.private import Privacy, texts, texts_of
from hpo.errors import HpoError
from hpo.results.audit import audit
from hpo.storage.archive import FrozenPlace, sealed, write_archive
from hpo.storage.place import Place, place
from hpo.store import layout, reader, schema, seal
from hpo.store.parquet import Unreadable, from_bytes, to_bytes
from hpo.store.verify import check

COMMANDS = "commands.json"


class CannotBundle(HpoError):
    """A stored study of which no bundle can be made."""


def make(
    uri: str, study: str | None, path: Path, *, authors: Sequence[str] = (), keep_paths: bool = False
) -> list[str]:
    """Writes a bundle of the store's study or suite, or of its only one, to `path`; returns what was hidden, a sentence each.

    `authors`: for CITATION.cff. `keep_paths`: accept a home folder in what the names of trials depend on. The same
    store, arguments and installation give the same bytes. Raises StoreError for a study that is not there, and
    CannotBundle for one that does not add up, or that holds a password or a token.
    """
    names = reader.chosen(uri, [study] if study else [])
    if len(names) < 2:
        names = [reader.read(uri, *names).name]
    files, hidden, studies = dict[str, bytes](), list[str](), list[Stored]()
    for name in names:
        stored, own, changed = _study(uri, name, keep_paths)
        files, hidden = files | own, hidden + changed
        studies.append(stored)
    tables = [data for data, _ in studies]
    held = Held.among(tables)
    files |= derived(held, studies)
    lock, content = software.requirements()
    files |= {lock: content, COMMANDS: as_json(pages.commands(held, tables)).encode()}
    verdict = json.loads(files[COMPARISON])["verdict"]
    files |= {
        "README.md": pages.readme(held, tables, lock, verdict).encode(),
        "CITATION.cff": pages.citation(held, authors).encode(),
    }
    about = {**held.manifest, "made_with": software.made_with(), "hidden": hidden}
    write_archive(path, sealed(files, about))
    return hidden


def _study(uri: str, name: str, keep_paths: bool) -> tuple[Stored, dict[str, bytes], list[str]]:
    """Returns a study with its head, its files as a bundle has them, and what was hidden in these."""
    where, privacy = place(uri), Privacy.here()
    ended, problems = seal.made(where, name), seal.broken(where, name)
    files, hidden = _study_files(where, name, privacy)
    frozen = FrozenPlace(uri, files)
    head = reader.head(frozen, name) or {}
    data = reader.data(name, head, reader.tables(frozen, name))
    _check(uri, name, [*problems, *check(data, ended=ended), *audit(data)])
    _check_private(uri, name, files, privacy, keep_paths)
    files |= {f"{name}/seal.json": seal.content(frozen, name)} if ended else {}
    return (data, head), files, hidden


def _study_files(where: Place, study: str, privacy: Privacy) -> tuple[dict[str, bytes], list[str]]:
    """Returns the head and the tables' files without what is private, and which of them differ from the store's."""
    files, hidden = dict[str, bytes](), []
    for table in reversed(schema.TABLES):  # charges before epochs, as every reader does
        for name in reader.files(where, study, table):
            if (content := where.read(name)) is not None:  # a compaction may have replaced it
                files[name] = _clean_table(content, privacy)
                hidden += [] if files[name] == content else [f"{name}: home folders or secrets in reasons of failures"]
    found = reader.head(where, study)
    if found is None:
        raise CannotBundle(f"{where.uri} must hold the study {study}, but it was deleted meanwhile; try again")
    clean = privacy.head(found)
    name = layout.head(study)
    content = where.read(name) or b""
    files[name] = content if clean == found else json.dumps(clean, indent=2).encode()
    before, after = (dict(texts_of(head)) for head in (found, clean))
    hidden += [f"{name}, {place}: home folders or secrets" for place in sorted(before) if before[place] != after[place]]
    return files, hidden


def _clean_table(content: bytes, privacy: Privacy) -> bytes:
    try:
        part = from_bytes(content)
    except Unreadable:
        return content  # the check of the study names it
    clean = privacy.table(part)
    return content if clean is part else to_bytes(clean)


def _check(uri: str, study: str, problems: Sequence[str]) -> None:
    if problems:
        raise CannotBundle(
            f"a study must add up before it is bundled, but {study} does not: {problems[0]}; "
            f"`hpo verify {uri}` lists all {len(problems)} problems"
        )


def _check_private(uri: str, study: str, files: Mapping[str, bytes], privacy: Privacy, keep_paths: bool) -> None:
    """Raises CannotBundle for what no bundle should tell, and what no change can hide."""
    for where, text in _texts(study, files):
        if privacy.reveals_secret(text):
            raise CannotBundle(
                f"a bundle must hold no password or token, but {where} of {uri} looks like one; the results depend on "
                "it, so that it cannot be hidden: run the study again without it"
            )
        if not keep_paths and privacy.reveals_home(text):
            raise CannotBundle(
                f"a bundle must not tell whose home folder was used, but {where} of {uri} is {text!r}, and the names of "
                "the trials depend on it; accept that with --keep-paths, or run the study with a relative path"
            )


def _texts(study: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    for name, content in files.items():
        if name.endswith(".parquet"):
            yield from texts(name, from_bytes(content))
    yield from texts_of(json.loads(files[layout.head(study)]))
