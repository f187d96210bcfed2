"""Where checkpoints lie, by name: a folder, or a prefix of an S3 bucket. Every call raises OSError where it fails."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class CheckpointPlace(Protocol):
    """Files by name, whole or not at all."""

    def put(self, name: str, content: memoryview) -> None: ...
    def get(self, name: str) -> bytes: ...
    def delete(self, name: str) -> None: ...
    def delete_all(self) -> None: ...
    def listed(self) -> dict[str, tuple[int, float]]:
        """Every file's size in bytes and time of writing in seconds since the epoch."""


def place(uri: str) -> CheckpointPlace:
    """That of a path, or of s3://bucket/prefix."""
    return Bucket(uri) if uri.startswith("s3://") else Folder(Path(uri))


class Folder:
    """A folder, shared by all nodes where there are several."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, content: memoryview) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        beside = self._root / f".{name}.{os.getpid()}"
        try:
            with beside.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, self._root / name)
        except OSError:
            beside.unlink(missing_ok=True)  # a full disk must not be filled with halves
            raise

    def get(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def delete(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def delete_all(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

    def listed(self) -> dict[str, tuple[int, float]]:
        found = {}
        try:
            with os.scandir(self._root) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):  # another trial's worker has just replaced it
                        found[entry.name] = (entry.stat().st_size, entry.stat().st_mtime)
        except FileNotFoundError:
            return {}
        return found


class Bucket:
    """A prefix of an S3 bucket. Requests have limits: a worker must not wait for ever for a server that is silent."""

    def __init__(self, uri: str) -> None:
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            import boto3
            from botocore.config import Config

            self._made = boto3.session.Session().client(
                "s3",
                config=Config(
                    connect_timeout=5,
                    read_timeout=30,
                    retries={"total_max_attempts": 3, "mode": "standard"},
                    # Servers other than Amazon's refuse bodies that are sent with a trailing checksum.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._made

    def put(self, name: str, content: memoryview) -> None:
        with _as_oserror():
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=bytes(content))

    def get(self, name: str) -> bytes:
        with _as_oserror():
            return bytes(self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read())

    def delete(self, name: str) -> None:
        with _as_oserror():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def delete_all(self) -> None:
        for name in self.listed():
            self.delete(name)

    def listed(self) -> dict[str, tuple[int, float]]:
        found: dict[str, tuple[int, float]] = {}
        with _as_oserror():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for item in page.get("Contents", ()):
                    found[item["Key"][len(self._prefix) :]] = (item["Size"], item["LastModified"].timestamp())
        return found


@contextlib.contextmanager
def _as_oserror() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{error}") from None
