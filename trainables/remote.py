"""Local copies of data and weights that lie on S3, in the node's cache. Writes only there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hpo.storage.errors import StorageError
from trainables.cache import locked
from trainables.errors import BadData, BadWeights


def fetch(uri: str, cache: Path) -> Path:
    """Returns the local copy of all objects below `uri` (a folder), or of the one object of that name (a file).

    The copy is keyed by the objects' names, sizes and entity tags: data that changed on the server are fetched anew.
    Credentials, region and endpoint are boto3's usual ones (AWS_ENDPOINT_URL and the like). Raises BadData if the
    data cannot be fetched.
    """
    from hpo.storage.download import download, located  # imports boto3

    try:
        where, at = located(uri)
        entries = sorted(where.files(at), key=lambda entry: entry.name)
        if not entries:
            raise BadData(f"data.root must hold objects, but there are none below {uri}")
        key = _key([uri, [(entry.name, entry.tag, entry.size) for entry in entries]])
        folder = cache / "remote" / key
        with locked(cache / "locks" / f"remote-{key}"):
            if not folder.exists():
                download(where, at, entries, folder)
    except StorageError as error:
        raise BadData(f"data.root {uri} must be readable, but it is not: {error}") from error
    return folder / at if any(entry.name == at for entry in entries) else folder


def fetch_weights(uri: str, cache: Path) -> Path:
    """Returns the local copy of the object at `uri`, fetched anew if it changed. Raises BadWeights if it cannot be."""
    from hpo.storage.download import located  # imports boto3

    try:
        where, name = located(uri)
        tag = where.tag(name)
        if tag is None:
            raise BadWeights(f"model.weights {uri} must be readable, but there is no such object; check the address")
        path = cache / "weights" / f"{_key([uri, tag])}{Path(name).suffix}"
        with locked(path.with_suffix(".lock")):
            if not path.exists():
                where.download(name, path)
    except StorageError as error:
        raise BadWeights(f"model.weights {uri} must be readable, but it is not: {error}") from error
    return path


def _key(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
