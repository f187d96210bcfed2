"""A store on S3 on bad days: whatever the server and the network do, nothing is lost and nothing counts twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stores
from botocore.config import Config
from faulty_proxy import FaultyProxy, faulty
from stores import cells, charge, epoch, key, open_writer

from hpo import store
from hpo.storage import s3_client
from hpo.storage.errors import Unreachable
from hpo.storage.place import place
from hpo.store import StoreError, delivery, journal

EPOCHS = 12
QUICK = ("503", "torn request", "lost answer")  # the others, and these again, against the real server
WRITES = ("refused", "500", "503", "slow down", "lost request", "torn request", "lost answer", "silence", "expired")
READS = ("refused", "500", "slow down", "lost answer", "torn answer", "slow answer", "silence", "expired")


def faults(*kinds: str) -> list[Any]:
    """(server, fault): few against moto, all against a real server."""
    real = [pytest.param("radosgw", kind, marks=pytest.mark.s3) for kind in kinds]
    return [("moto", kind) for kind in kinds if kind in (*QUICK, "torn answer")] + real


@pytest.fixture
def proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The server behind a proxy; short patience on both sides, so that tests of time-outs are short."""
    settings = s3_client.SETTINGS.merge(Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2}))
    monkeypatch.setattr(s3_client, "SETTINGS", settings)
    monkeypatch.setattr(delivery, "BATCH_SECONDS", 0.1)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE_SECONDS", 0.2)
    with faulty(stores.server(server)) as found:
        found.patience = 2.0
        yield found


@pytest.fixture
def uri(server: str, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = stores.bucket(stores.server(server), tmp_path, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return found


def whole() -> list[tuple[str, int, int]]:
    return sorted((key(1).id, number, 0) for number in range(1, EPOCHS + 1))


def waiting(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("state/**/*.jsonl"))


@pytest.mark.parametrize(("server", "kind"), faults(*WRITES))
def test_a_write_that_goes_wrong_is_done_again_and_counts_once(
    kind: str, uri: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    writer = open_writer(uri)
    proxy.add(kind, "PUT", times=3)
    for number in range(1, EPOCHS + 1):
        epoch(writer, 1, number)
        charge(writer, number - 1, 1, number)
        if number % 4 == 0:
            writer.flush()
    assert proxy.seen[kind, "PUT"] == 3
    writer.close(compact=True)
    data = store.read(uri)
    assert cells(data) == whole()
    assert data.charges["order"].to_pylist() == list(range(EPOCHS))
    assert data.warnings == ()
    assert waiting(tmp_path) == []


@pytest.mark.parametrize(("server", "kind"), faults(*READS))
def test_a_read_that_goes_wrong_is_done_again_or_says_so(kind: str, uri: str, proxy: FaultyProxy) -> None:
    writer = open_writer(uri)
    for number in range(1, EPOCHS + 1):
        epoch(writer, 1, number)
    writer.close(compact=False)
    proxy.patience = 0.2 if kind == "slow answer" else 2.0
    proxy.add(kind, "GET", times=1)
    if kind == "expired":  # is believed: the user must renew them
        with pytest.raises(Unreachable, match=r"the credentials for s3://.* must be valid, but they have expired"):
            store.read(uri)
    assert cells(store.read(uri)) == whole()
    assert proxy.seen[kind, "GET"] == 1


@pytest.mark.parametrize(("server", "kind"), faults("503", "refused", "expired", "silence"))
def test_training_goes_on_while_the_store_cannot_be_reached(
    kind: str, uri: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    writer = open_writer(uri)
    proxy.add(kind, times=None)
    for number in range(1, EPOCHS + 1):
        epoch(writer, 1, number)  # does not wait for the store, which does not come back before all are handed over
    deadline = time.monotonic() + 120
    while not writer.trouble and time.monotonic() < deadline:
        time.sleep(0.05)
    expected = "have expired" if kind == "expired" else "must answer, but"
    assert expected in writer.trouble
    assert waiting(tmp_path)
    proxy.clear()
    writer.close(compact=False)
    assert cells(store.read(uri)) == whole()
    assert waiting(tmp_path) == []


DYING = """
import sys, time
sys.path.insert(0, sys.argv[1])
from stores import charge, epoch, open_writer
writer = open_writer(sys.argv[2])
epoch(writer, 1, 1); charge(writer, 0, 1, 1); writer.flush()
print("begun", flush=True)
sys.stdin.readline()
for number in range(2, int(sys.argv[3]) + 1):
    epoch(writer, 1, number); charge(writer, number - 1, 1, number)
print("handed over", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("server", "kind"), faults("503", "refused", "lost answer"))
def test_nothing_is_lost_when_the_driver_dies_while_the_store_is_away(
    kind: str, uri: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", DYING, str(Path(__file__).parents[1]), uri, str(EPOCHS)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        assert driver.stdout.readline() == "begun\n"
        proxy.add(kind, times=None)
        driver.stdin.write("go\n")
        driver.stdin.flush()
        assert driver.stdout.readline() == "handed over\n"
        driver.send_signal(signal.SIGKILL)
    proxy.clear()
    seen = cells(store.read(uri))
    assert seen != whole() or kind == "lost answer"
    open_writer(uri).close(compact=False)  # the next driver on this machine
    data = store.read(uri)
    assert cells(data) == whole()
    assert sorted(data.charges["order"].to_pylist()) == list(range(EPOCHS))
    assert waiting(tmp_path) == []


@pytest.mark.parametrize("server", ["moto", pytest.param("radosgw", marks=pytest.mark.s3)])
def test_a_bucket_that_is_missing_is_named_before_and_waited_for_during_a_study(
    uri: str, server: str, tmp_path: Path
) -> None:
    bucket = uri.split("/")[2]
    for use in (open_writer, store.read):
        with pytest.raises(StoreError, match=r"the bucket of s3://nowhere-\w+/results must exist, but it does not"):
            use(f"s3://nowhere-{bucket[-6:]}/results")
    writer = open_writer(uri)
    epoch(writer, 1, 1)
    writer.flush()
    client = stores.client(stores.server(server))
    kept = {}
    for item in client.list_objects_v2(Bucket=bucket)["Contents"]:
        kept[item["Key"]] = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        client.delete_object(Bucket=bucket, Key=item["Key"])
    client.delete_bucket(Bucket=bucket)
    epoch(writer, 1, 2)
    deadline = time.monotonic() + 120
    while "must exist" not in writer.trouble and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "create it first" in writer.trouble
    with writer._delivery._changed:  # it comes back whole: an empty one is not this study's
        client.create_bucket(Bucket=bucket)
        for name, body in kept.items():
            client.put_object(Bucket=bucket, Key=name, Body=body)
    writer.flush()
    writer.close(compact=False)
    assert waiting(tmp_path) == []
    assert [e for _, e, _ in cells(store.read(uri))] == [1, 2]


@pytest.mark.s3
def test_keys_that_the_server_does_not_know_are_refused_with_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = stores.bucket(stores.server("radosgw"), tmp_path, monkeypatch)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "wrong")
            for use in (open_writer, store.read):
                with pytest.raises(
                    StoreError, match="must let these credentials read and write, but the server answers"
                ):
                    use(uri)
    assert store.studies(uri) == []


@pytest.mark.s3
def test_a_server_that_is_killed_in_the_middle_of_writes_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stores.server("radosgw")
    uri = stores.bucket(server, tmp_path, monkeypatch)
    monkeypatch.setattr(delivery, "BATCH_SECONDS", 0.05)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE_SECONDS", 0.5)
    writer = open_writer(uri)
    many, number = 400, 0
    for round_ in range(4):
        while number < many * (round_ + 1) // 4:
            number += 1
            epoch(writer, 1, number)
            charge(writer, number - 1, 1, number)
            time.sleep(0.002)
            if number % (many // 4) == many // 8:
                server.kill()  # while the delivery is at work
        server.restart()
        writer.flush()
    writer.close(compact=True)
    data = store.read(uri)
    assert [e for _, e, _ in cells(data)] == list(range(1, many + 1))
    assert data.charges["order"].to_pylist() == list(range(many))
    assert store.read(uri).warnings == ()


@pytest.mark.parametrize("server", ["moto"])
def test_the_drivers_log_is_posted_and_outlives_an_outage(
    uri: str, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "POST_SECONDS", 0.1)
    where = place(uri)

    def posted(writer: int) -> list[str]:
        """The events of the n-th writer's log."""
        logs = {Path(name).name[:6]: name for name in where.names("s/driver")}
        name = logs.get(f"{writer:06d}")
        return [json.loads(line)["event"] for line in (where.read(name) or b"").splitlines()] if name else []

    first = open_writer(uri)
    with first.journal() as log:
        log.write("begun", command="hpo run s")
        deadline = time.monotonic() + 120
        while posted(1) != ["begun"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert posted(1) == ["begun"]
        proxy.add("refused", times=None)
        log.write("figures", charged_epochs=3)
    (left,) = tmp_path.glob("state/**/*.log")
    assert left.read_text().count("\n") == 2
    proxy.clear()
    first.close(compact=False)
    second = open_writer(uri)
    with second.journal() as log:
        log.write("done")
    second.close(compact=False)
    assert (posted(1), posted(2)) == (["begun", "figures"], ["done"])
    assert not list(tmp_path.glob("state/**/*.log"))
    assert store.read(uri).warnings == ()
