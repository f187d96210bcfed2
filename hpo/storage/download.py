"""Local copies of what lies on S3: one object, or all objects below a prefix. For data and weights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from hpo.storage.entry import Entry
from hpo.storage.errors import StorageError
from hpo.storage.s3 import S3Place

STREAMS = 8


def located(uri: str, *, brief: bool = False) -> tuple[S3Place, str]:
    """Returns the place that holds the object or folder at s3://bucket/key, and its name there; "" for a bucket.

    `brief`: only to ask whether it is there, without waiting long for a silent server.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    above, _, name = key.strip("/").rpartition("/")
    return S3Place(f"s3://{bucket}/{above}", large=not brief, brief=brief), name


def download(where: S3Place, at: str, entries: Iterable[Entry], folder: Path) -> None:
    """Copies `entries`, which lie at or below `at`, into a `folder` that appears when it has all of them.

    One download of a folder at a time: the caller holds a lock.
    """
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed

    def get(entry: Entry) -> None:
        name = at if entry.name == at else entry.name.removeprefix(at).lstrip("/")
        if ".." in PurePosixPath(name).parts:
            raise StorageError(f"an object's name must not contain '..', but got {entry.name!r}; rename it")
        where.download(entry.name, partial / name)

    with ThreadPoolExecutor(STREAMS) as pool:
        list(pool.map(get, entries))
    os.replace(partial, folder)
