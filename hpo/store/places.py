"""Where a store lies: a folder or an S3 prefix. Files appear whole or not at all in both."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol

from hpo.files import write_whole
from hpo.store.errors import StoreError, Unreachable


class Place(Protocol):
    """Named byte strings below one root; names use slashes."""

    uri: str

    def read(self, name: str) -> bytes | None:
        """The content; None where there is no such file."""

    def create(self, name: str, content: bytes) -> bool:
        """Writes a file that must not exist yet; False, and nothing is changed, where it does."""

    def replace(self, name: str, content: bytes) -> None:
        """Writes a file, in place of an older one where there is one."""

    def delete(self, name: str) -> None:
        """Removes a file; nothing happens where there is none."""

    def names(self, prefix: str) -> list[str]:
        """The files below `prefix/`, sorted."""


def place(uri: str) -> Place:
    """The place of a store's URI. Raises StoreError where it cannot be one."""
    if uri.startswith("s3://"):
        return S3Place(uri)
    if "://" in uri:
        raise StoreError(f"a store must be a folder or s3://bucket/prefix, but got {uri}")
    return LocalPlace(uri)


class LocalPlace:
    """A folder."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.root = Path(uri).expanduser().resolve()
        for part in (self.root, *self.root.parents):
            if part.is_dir():
                break
            if part.exists():
                raise StoreError(f"a store must be a folder, but {part} is a file; name another place")

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def create(self, name: str, content: bytes) -> bool:
        path = self.root / name
        with self._explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(prefix=".new-", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.chmod(beside, 0o644)
                os.link(beside, path)
            except FileExistsError:
                return False
            finally:
                Path(beside).unlink(missing_ok=True)
        return True

    def replace(self, name: str, content: bytes) -> None:
        with self._explained(self.root / name):
            write_whole(self.root / name, content)

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        folder = self.root / prefix
        found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        return sorted(str(p.relative_to(self.root)) for p in found)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Any:
        try:
            yield
        except PermissionError:
            raise StoreError(f"a store must be writable, but {path.parent} is not; change its permissions") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE):
                raise Unreachable(f"the store {self.uri} must have room, but: {error.strerror}; free some") from None
            if error.errno in (errno.EROFS, errno.ENOTDIR):
                raise StoreError(f"a store must be writable, but {path.parent}: {error.strerror}") from None
            raise


class S3Place:
    """A prefix of a bucket; endpoint and credentials come from the usual AWS variables and files."""

    def __init__(self, uri: str) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise StoreError(f"a store on S3 must be s3://bucket/prefix, but got {uri}")
        self.uri, self.bucket, self.prefix = uri, bucket, prefix.strip("/")
        import boto3
        from botocore.config import Config

        settings = Config(
            connect_timeout=5, read_timeout=20, retries={"max_attempts": 3, "mode": "standard"},
            request_checksum_calculation="when_required", response_checksum_validation="when_required",
        )  # fmt: skip
        self._client = boto3.client("s3", config=settings)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def read(self, name: str) -> bytes | None:
        with self._explained():
            try:
                return bytes(self._client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"].read())
            except self._client.exceptions.NoSuchKey:
                return None

    def create(self, name: str, content: bytes) -> bool:
        from botocore.exceptions import ClientError

        with self._explained():
            try:
                self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=content, IfNoneMatch="*")
            except ClientError as error:
                if _status(error) in (409, 412):
                    return False
                raise
        return True

    def replace(self, name: str, content: bytes) -> None:
        with self._explained():
            self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=content)

    def delete(self, name: str) -> None:
        with self._explained():
            self._client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def names(self, prefix: str) -> list[str]:
        start = self._key(f"{prefix}/" if prefix else "")
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start)
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return sorted(key[len(self.prefix) + 1 :] if self.prefix else key for key in keys)

    @contextlib.contextmanager
    def _explained(self) -> Any:
        """Botocore's exceptions as sentences: what may pass is Unreachable, what will not is a StoreError."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise StoreError(
                f"{self.uri} needs credentials, but none were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        except ClientError as error:
            code, status = error.response.get("Error", {}).get("Code", ""), _status(error)
            if code == "NoSuchBucket":
                raise StoreError(f"the bucket of {self.uri} must exist, but it does not; create it first") from None
            if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
                raise Unreachable(f"the credentials for {self.uri} have expired ({code}); renew them") from None
            if status in (401, 403):
                raise StoreError(
                    f"{self.uri} must be readable and writable, but the server says {code}; check the keys"
                ) from None
            raise Unreachable(f"{self.uri} must answer, but the server says {status} {code}; is it up?") from None
        except (BotoCoreError, OSError) as error:
            text = " ".join(str(error).split())[:200]
            raise Unreachable(f"{self.uri} must answer, but: {text}; is AWS_ENDPOINT_URL right?") from None


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
