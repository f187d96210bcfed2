"""A place below a prefix of an S3 bucket, on any server that honours conditional writes."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from hpo.errors import MissingExtra

try:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        IncompleteReadError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
        ReadTimeoutError,
        ResponseStreamingError,
    )
    from urllib3.exceptions import HTTPError
except ModuleNotFoundError as error:
    raise MissingExtra.behind(error) or error from None

from hpo.files import appearing
from hpo.storage.entry import Entry
from hpo.storage.errors import StorageError, Unreachable
from hpo.storage.s3_client import STREAMS, client
from hpo.text import one_line

READ_TRIES = 4  # botocore repeats requests, but not the reading of an answer that breaks off
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")


class S3Place:
    """A prefix of a bucket."""

    streams = STREAMS

    def __init__(self, uri: str, *, large: bool = False, brief: bool = False) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise StorageError(f"an address on S3 must be s3://bucket/prefix, but got {uri}; name the bucket")
        self.uri, self.bucket, self.prefix = uri, bucket, prefix.strip("/")
        self._large, self._brief = large, brief
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _client(self) -> Any:
        """Makes a new client after the server refused the credentials of the old one."""
        with self._lock:
            if self._made is None:
                self._made = client(large=self._large, brief=self._brief)
            return self._made

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _name(self, key: str) -> str:
        return key[len(self.prefix) + 1 :] if self.prefix else key

    def read(self, name: str) -> bytes | None:
        for left in reversed(range(READ_TRIES)):
            with self._explained():
                try:
                    return bytes(self._client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"].read())
                except ClientError as error:
                    if _code(error) == "NoSuchKey":
                        return None
                    raise
                except (IncompleteReadError, ResponseStreamingError, ReadTimeoutError, HTTPError):
                    if not left:
                        raise
            time.sleep(0.1)
        raise AssertionError("the last try returns or raises")

    def create(self, name: str, content: bytes) -> bool:
        with self._explained():
            try:
                self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=content, IfNoneMatch="*")
            except ClientError as error:
                if _status(error) == 412:
                    return False
                raise
        return True

    def replace(self, name: str, content: bytes | memoryview) -> None:
        with self._explained():
            self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=bytes(content))

    def delete(self, name: str) -> None:
        with self._explained():
            self._client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def delete_all(self) -> None:
        for item in self._listed("", "Contents"):
            self.delete(self._name(item["Key"]))

    def names(self, folder: str) -> list[str]:
        found = sorted(self._name(item["Key"]) for item in self._listed(f"{folder}/", "Contents", Delimiter="/"))
        return [name for name in found if not name.rpartition("/")[2].startswith(".")]

    def entries(self, folder: str) -> list[Entry]:
        found = [
            _entry(self._name(item["Key"]), item, age=now - item["LastModified"].timestamp())
            for now, item in self._dated(f"{folder}/", "Contents", Delimiter="/")
        ]
        return sorted(
            (entry for entry in found if not entry.name.rpartition("/")[2].startswith(".")),
            key=lambda entry: entry.name,
        )

    def beginning(self, start: str) -> list[str]:
        return sorted(self._name(item["Key"]) for item in self._listed(start, "Contents", Delimiter="/"))

    def first(self, folder: str, most: int, *, after: str = "") -> list[str]:
        """Returns the names of a folder's first files, at most 1,000, sorted; those after the file named `after`."""
        with self._explained():
            start = {"StartAfter": self._key(f"{folder}/{after}")} if after else {}
            found = self._client.list_objects_v2(
                Bucket=self.bucket, Prefix=self._key(f"{folder}/"), MaxKeys=most, **start
            )
            return [self._name(item["Key"]) for item in found.get("Contents", [])]

    def folders(self) -> list[str]:
        found = sorted(self._name(item["Prefix"]) for item in self._listed("", "CommonPrefixes", Delimiter="/"))
        return [name.rstrip("/") for name in found]

    def files(self, at: str = "") -> list[Entry]:
        """Returns every file below the root; with `at`, the file of that name and those in the folder of that name."""
        found = [
            _entry(self._name(item["Key"]), item)
            for item in self._listed(at, "Contents")
            if not item["Key"].endswith("/")  # a console's mark of an empty folder
        ]
        return [entry for entry in found if not at or entry.name == at or entry.name.startswith(f"{at}/")]

    def holds(self, at: str = "") -> bool:
        """Tells whether there is a file below the root; with `at`, one of that name or in the folder of that name.

        Asks for at most two pages of names.
        """
        with self._explained():
            found = self._page(f"{at}/" if at else "")
            return any(not key.endswith("/") for key in found) or (bool(at) and self._page(at, 1) == [self._key(at)])

    def _page(self, start: str, most: int = 1000) -> list[str]:
        """Returns the first keys that begin with `start` below the prefix."""
        found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._key(start), MaxKeys=most)
        return [str(item["Key"]) for item in found.get("Contents", [])]

    def tag(self, name: str) -> str | None:
        """Returns what changes with a file's content, or None if there is no such file."""
        with self._explained():
            try:
                return str(self._client.head_object(Bucket=self.bucket, Key=self._key(name))["ETag"]).strip('"')
            except ClientError as error:
                if _status(error) == 404:
                    return None
                raise

    def download(self, name: str, path: Path) -> None:
        """Copies a file of any size to the local `path`, where it appears whole."""
        from boto3.s3.transfer import S3Transfer  # which few need, and which takes a while

        with self._explained():
            try:
                with appearing(path) as beside, S3Transfer(self._client) as transfer:
                    transfer.download_file(self.bucket, self._key(name), str(beside))
            except OSError as error:
                raise StorageError(
                    f"{path} must be writable, but: {error.strerror}; make it so, or make room"
                ) from None

    def _listed(self, start: str, kind: str, **options: str) -> list[Any]:
        """Returns the server's items of a `kind` whose keys begin with `start` below the prefix."""
        return [item for _, item in self._dated(start, kind, **options)]

    def _dated(self, start: str, kind: str, **options: str) -> list[tuple[float, Any]]:
        """Returns the same items, each with the server's time when it listed the item, in seconds since the epoch."""
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(start), **options
            )
            return [(_date(page), item) for page in pages for item in page.get(kind, [])]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns botocore's exceptions into sentences: Unreachable for those that may pass, StorageError for the rest."""
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise StorageError(
                f"{self.uri} needs credentials, but none were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        except ClientError as error:
            if _status(error) in (400, 401, 403):
                with self._lock:
                    self._made = None
            raise self._refused(error) from None
        except StorageError:
            raise
        except (ParamValidationError, ValueError) as error:
            raise StorageError(
                f"{self.uri} must name a bucket of a server, but: {one_line(error)}; check the address"
            ) from None
        except (BotoCoreError, Boto3Error, HTTPError, OSError) as error:
            raise Unreachable(f"{self.uri} must answer, but: {one_line(error)}; is AWS_ENDPOINT_URL right?") from None

    def _refused(self, error: ClientError) -> StorageError:
        code, status = _code(error), _status(error)
        if code == "NoSuchBucket":
            return StorageError(f"the bucket of {self.uri} must exist, but it does not; create it first")
        if code in _EXPIRED:
            return Unreachable(
                f"the credentials for {self.uri} must be valid, but they have expired ({code}); renew them"
            )
        if status in (401, 403):
            return StorageError(
                f"{self.uri} must let these credentials read and write, but the server answers {code}; check the keys"
            )
        if status == 501 or code == "NotImplemented":
            return StorageError(
                f"the server of {self.uri} must honour conditional writes (If-None-Match), but it answers {code}; "
                "use another server"
            )
        if 400 <= status < 500 and status not in (408, 409, 429):
            return StorageError(
                f"{self.uri} must be readable and writable, but the server answers {status} {code}; "
                "check bucket and region"
            )
        return Unreachable(f"{self.uri} must answer, but the server answers {status} {code}; is it up?")


def _entry(name: str, item: Mapping[str, Any], age: float = math.inf) -> Entry:
    return Entry(name, item["Size"], item["LastModified"].timestamp(), item["ETag"].strip('"'), age)


def _date(answer: Mapping[str, Any]) -> float:
    """Returns the time at which the server answered, by its own clock; by ours where it does not tell."""
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
