"""Data roots on S3: an s3:// prefix becomes a local folder in the node's cache, once. Writes only there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from trainables.cache import locked
from trainables.errors import BadData


def fetch(uri: str, cache: Path) -> Path:
    """The local copy of all objects below `uri` (a folder), or of the one object of that name (a file).

    Keyed by the objects' names, sizes and entity tags: what changed on the server is fetched anew. Credentials,
    region and endpoint are boto3's usual ones (AWS_ENDPOINT_URL and its like). Raises BadData where it cannot be had.
    """
    import boto3
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    try:
        client = boto3.client("s3")
        objects = _objects(client, bucket, prefix)
        if not objects:
            raise BadData(f"data.root must hold objects, but there are none below {uri}")
        key = hashlib.sha256(json.dumps([uri, sorted(objects.items())]).encode()).hexdigest()[:16]
        folder = cache / "remote" / key
        with locked(cache / "locks" / f"remote-{key}"):
            if not folder.exists():
                _download(client, bucket, prefix, objects, folder)
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise BadData(f"data.root {uri} must be readable, but it is not: {error}") from error
    return folder / PurePosixPath(prefix).name if prefix in objects else folder


def _objects(client: Any, bucket: str, prefix: str) -> dict[str, list[Any]]:
    """Name -> [entity tag, size] of every object at `prefix` or below it as a folder."""
    below = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    found: dict[str, list[Any]] = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            name = entry["Key"]
            if name == prefix or (name.startswith(below) and not name.endswith("/")):
                found[name] = [entry["ETag"], entry["Size"]]
    return found


def _download(client: Any, bucket: str, prefix: str, objects: dict[str, list[Any]], folder: Path) -> None:
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed: the lock is ours now

    def get(name: str) -> None:
        relative = PurePosixPath(name).name if name == prefix else name.removeprefix(prefix).lstrip("/")
        if ".." in PurePosixPath(relative).parts:
            raise BadData(f"an object's name must not contain '..', but got {name!r}")
        target = partial / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, name, str(target))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(get, objects))
    os.replace(partial, folder)
