"""Stores for tests: places of every kind (a folder, moto's S3, a real S3), and a small study to write into them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
import s3_servers
from s3_servers import KEY, SECRET, S3Server

from hpo.storage.place import place
from hpo.store import StudyWriter, schema
from hpo.study.values import Charge, EpochRecord, RunKey, TrialKey

PLACES = ("local", "moto", pytest.param("radosgw", marks=pytest.mark.s3))  # the real one: `make s3`
READERS = (PLACES[0], PLACES[2])  # for what is read the same way from everywhere
KINDS = {"learning_rate": "float", "layers": "int", "optimizer": "str", "augment": "bool"}

_running = contextlib.ExitStack()
atexit.register(_running.close)


@functools.cache
def server(name: str) -> S3Server:
    """Returns the server of that name, started once for all tests; skips the test if its binaries are not installed."""
    if name == "radosgw" and s3_servers.radosgw_missing():
        pytest.skip(f"no real S3 server here: {', '.join(s3_servers.radosgw_missing())} not found (apt install radosgw "
                    "ceph-mon ceph-osd ceph-common)")  # fmt: skip
    folder = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="s3-")))
    return _running.enter_context(getattr(s3_servers, name)(folder))


def best_server() -> S3Server:
    """Returns the real server if it is installed, and moto's otherwise."""
    return server("moto" if s3_servers.radosgw_missing() else "radosgw")


def uri(place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the address of an empty store at a place of that kind, and sets the environment that reaches it."""
    if place == "local":
        return str(folder / "store")
    return bucket(server(place), folder, monkeypatch)


def bucket(at: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns a prefix of a new bucket on a server."""
    settings = {
        "AWS_ENDPOINT_URL": at.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "HPO_SPOOL": str(folder / "state"),
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    name = f"arena-{uuid.uuid4().hex[:12]}"
    client(at).create_bucket(Bucket=name)
    return f"s3://{name}/results"


def client(at: S3Server) -> Any:
    return boto3.session.Session().client(
        "s3", endpoint_url=at.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )


# -- a study ------------------------------------------------------------------------------------------------------


def open_writer(uri: str, study: str = "s", digest: str = "d", **definition: Any) -> StudyWriter:
    plan = {"study": study, "metric": "val_accuracy", "mode": "max", **definition}
    return StudyWriter.open(
        uri, study=study, definition=plan, digest=digest, environment={"python": "3"}, space_kinds=KINDS
    )


def key(number: int) -> TrialKey:
    config = {"learning_rate": 10.0**-number, "layers": number, "optimizer": "adam", "augment": number % 2 == 0}
    return TrialKey("task", config, 0, 8)


def epoch(writer: StudyWriter, number: int, epoch: int, value: float = 0.5, attempt: int = 0, **metrics: float) -> str:
    """Hands an epoch of trial `number` over; returns the trial's id."""
    trial = key(number)
    measured = {"val_accuracy": value, "loss": 1 - value, **metrics}
    writer.epoch(trial, EpochRecord(trial.id, epoch, measured, 0.25, attempt, "host:1"))
    return trial.id


def charge(
    writer: StudyWriter, order: int, number: int, epoch: int, value: float = 0.5, run: RunKey | None = None
) -> None:
    writer.charge(Charge(run or RunKey("random", 0), order, key(number).id, number, epoch, float(order), value))


def cells(data: Any) -> list[tuple[str, int, int]]:
    """Returns the epochs that a study has: trial, epoch, attempt, sorted."""
    columns = [data.epochs[name].to_pylist() for name in ("trial", "epoch", "attempt")]
    return sorted(zip(*columns, strict=True))


def everything(uri: str) -> dict[str, bytes | None]:
    """All files of the study but its leases, with their contents."""
    where = place(uri)
    names = [n for folder in (*schema.TABLES, "spool") for n in where.names(f"s/{folder}")] + ["s/study.json"]
    return {name: where.read(name) for name in names}
