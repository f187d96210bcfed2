"""Where everything of a study lies below the store's root: the one owner of names. Pure.

    <study>/study.json                      the head: schema, digest, definition, environment
    <study>/<table>/000003-1a2b3c-000017    .parquet: batch 17 of the third writer, whose token is 1a2b3c
    <study>/<table>/000003-whole            .parquet: what the third writer made of all files before it
    <study>/<table>/current                 .parquet: a snapshot (trials, runs), replaced whole
    <study>/lease/000003                    .json: who is, or was, the third writer
    <study>/driver.jsonl                    the driver's log (local stores)
    <study>/driver/000003-1a2b3c            .jsonl: that of the third writer (S3)
    <study>/spool/000003-1a2b3c-000018      .jsonl: what it has been handed and the tables do not have yet (local stores)

Names of a table's files sort in the order in which they were written.
"""

from __future__ import annotations

import re

from hpo.store.errors import StoreError


def checked(study: str) -> str:
    """The study's name. Raises StoreError where it cannot be the name of a folder."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", study):
        raise StoreError(f"a study's name must be letters, digits, '.', '_' and '-', but got {study!r}; name another")
    return study


def head(study: str) -> str:
    return f"{checked(study)}/study.json"


def table(study: str, name: str) -> str:
    """The folder of a table's files."""
    return f"{checked(study)}/{name}"


def part(study: str, name: str, batch: str) -> str:
    return f"{table(study, name)}/{batch}.parquet"


def whole(study: str, name: str, generation: int) -> str:
    return part(study, name, f"{generation:06d}-whole")


def is_whole(name: str) -> bool:
    """Whether a compaction made the file."""
    return name.endswith("-whole.parquet")


def table_of(name: str) -> str:
    """The table that a file belongs to."""
    return name.split("/")[-2]


def snapshot(study: str, name: str) -> str:
    return part(study, name, "current")


def leases(study: str) -> str:
    """The folder of the study's leases."""
    return f"{checked(study)}/lease"


def lease(study: str, generation: int) -> str:
    return f"{leases(study)}/{generation:06d}.json"


def spool(study: str) -> str:
    """The folder of a local store's spool."""
    return f"{checked(study)}/spool"


def log(study: str, writer: str | None = None) -> str:
    """The driver's log: one for all writers of a local store, one a writer elsewhere."""
    return f"{checked(study)}/driver.jsonl" if writer is None else f"{checked(study)}/driver/{writer}.jsonl"


def writer(generation: int, token: str) -> str:
    """A writer's name in those of its files."""
    return f"{generation:06d}-{token}"


def batch(generation: int, token: str, sequence: int) -> str:
    """The name of a writer's batch: of its file in the spool, and of its parts in the tables."""
    return f"{writer(generation, token)}-{sequence:06d}"


def generation(batch: str) -> int:
    """Which writer's batch it is."""
    return int(batch.split("-")[0])
