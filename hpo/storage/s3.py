"""A store below a prefix of an S3 bucket, on any server that honours conditional writes.

Endpoint, region and credentials come from the usual AWS variables and files; botocore is imported here alone.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
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

from hpo.storage.errors import StoreError, Unreachable

STREAMS = 16
READ_TRIES = 4  # botocore repeats requests, but not the reading of an answer that breaks off
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_SETTINGS = Config(
    connect_timeout=5,
    read_timeout=10,
    retries={"total_max_attempts": 3, "mode": "standard"},
    max_pool_connections=STREAMS,
    # Servers other than Amazon's refuse bodies that are sent with a trailing checksum.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class S3Place:
    """A prefix of a bucket."""

    streams = STREAMS

    def __init__(self, uri: str) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise StoreError(f"a store on S3 must be s3://bucket/prefix, but got {uri}; name the bucket")
        self.uri, self.bucket, self.prefix = uri, bucket, prefix.strip("/")
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _client(self) -> Any:
        """Made from a session of its own, so that credentials renewed in files are found after old ones expired."""
        with self._lock:
            if self._made is None:
                self._made = boto3.session.Session().client("s3", config=_SETTINGS)
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

    def replace(self, name: str, content: bytes) -> None:
        with self._explained():
            self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=content)

    def delete(self, name: str) -> None:
        with self._explained():
            self._client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def names(self, folder: str) -> list[str]:
        found = self._listed(f"{folder}/", "Contents", "Key")
        return [name for name in found if not name.rpartition("/")[2].startswith(".")]

    def folders(self) -> list[str]:
        return [name.rstrip("/") for name in self._listed("", "CommonPrefixes", "Prefix")]

    def _listed(self, start: str, kind: str, field: str) -> list[str]:
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(start), Delimiter="/"
            )
            return sorted(self._name(item[field]) for page in pages for item in page.get(kind, []))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Botocore's exceptions as sentences: what may pass is Unreachable, what will not is a StoreError."""
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise StoreError(
                f"{self.uri} needs credentials, but none were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        except ClientError as error:
            if _status(error) in (400, 401, 403):
                with self._lock:
                    self._made = None
            raise self._refused(error) from None
        except StoreError:
            raise
        except (ParamValidationError, ValueError) as error:
            raise StoreError(
                f"{self.uri} must name a bucket of a server, but: {_line(error)}; check the address"
            ) from None
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Unreachable(f"{self.uri} must answer, but: {_line(error)}; is AWS_ENDPOINT_URL right?") from None

    def _refused(self, error: ClientError) -> StoreError:
        code, status = _code(error), _status(error)
        if code == "NoSuchBucket":
            return StoreError(f"the bucket of {self.uri} must exist, but it does not; create it first")
        if code in _EXPIRED:
            return Unreachable(
                f"the credentials for {self.uri} must be valid, but they have expired ({code}); renew them"
            )
        if status in (401, 403):
            return StoreError(
                f"{self.uri} must let these credentials read and write, but the server says {code}; check the keys"
            )
        if status == 501 or code == "NotImplemented":
            return StoreError(
                f"the server of {self.uri} must honour conditional writes (If-None-Match), but it says {code}; use another"
            )
        if 400 <= status < 500 and status not in (408, 409, 429):
            return StoreError(
                f"{self.uri} must be a store, but the server says {status} {code}; check bucket and region"
            )
        return Unreachable(f"{self.uri} must answer, but the server says {status} {code}; is it up?")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
