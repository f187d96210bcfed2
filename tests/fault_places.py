"""Stores for fault tests: a folder, a small disk that can fill up, an S3 server that can become unreachable."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from faulty_proxy import FaultyProxy, faulty
from s3_servers import KEY, SECRET, moto

STUDY = "faults"
DISK_MB = 24


@dataclass
class Folder:
    """A folder on this machine's disk, without faults."""

    uri: str

    def fault(self) -> str:
        return "none"

    def hurt(self) -> None:
        """Does nothing."""

    def heal(self) -> None:
        """Does nothing."""

    def checkpoints(self) -> list[str]:
        place = Path(self.uri) / STUDY / "checkpoints"
        return [str(file) for file in place.rglob("*")] if place.exists() else []


class Disk(Folder):
    """A folder on its own file system of DISK_MB."""

    def fault(self) -> str:
        return "disk full"

    def hurt(self) -> None:
        with (Path(self.uri).parent / "ballast").open("wb", buffering=0) as stream:
            with contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(2**16))
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"0")

    def heal(self) -> None:
        (Path(self.uri).parent / "ballast").unlink(missing_ok=True)


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """Mounts a small disk in memory; needs root's rights."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "hpo-faults", str(folder)], check=True)
    try:
        yield Disk(str(folder / "store"))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass
class Bucket:
    """A prefix on an S3 server behind a proxy that can hang up on every request."""

    uri: str
    proxy: FaultyProxy

    def fault(self) -> str:
        return "store away"

    def hurt(self) -> None:
        self.proxy.add("refused", None, None)

    def heal(self) -> None:
        self.proxy.clear()

    def checkpoints(self) -> list[str]:
        parts = urlsplit(f"{self.uri}/{STUDY}/checkpoints/")
        found = boto3.client("s3").list_objects_v2(Bucket=parts.netloc, Prefix=parts.path.lstrip("/"))
        return [item["Key"] for item in found.get("Contents", [])]


KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[tuple[FaultyProxy, dict[str, object]]]:
    """Starts moto's server with a bucket behind a proxy; yields the variables that lead nodes and drivers to the proxy.

    This process itself bypasses the proxy.
    """
    folder.mkdir()
    before = {name: os.environ.get(name) for name in (*KEYS, "AWS_ENDPOINT_URL")}
    with moto(folder) as server, faulty(server) as proxy:
        os.environ.update({**KEYS, "AWS_ENDPOINT_URL": server.url})
        try:
            boto3.client("s3").create_bucket(Bucket="faults")
            yield proxy, {**KEYS, "AWS_ENDPOINT_URL": proxy.url, "HPO_SPOOL": folder / "spool"}
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
