"""A whole study on a real S3 server: two drivers, an outage, a kill in the middle of it; the ledger as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import stores
from conftest import TIMES, command, environment, hpo
from faulty_proxy import faulty

from hpo import store
from hpo.store import StoreError


def rows(uri: str, table: str) -> list[dict[str, Any]]:
    found = getattr(store.read(uri, "instant"), table).to_pylist()
    kept = [{name: value for name, value in row.items() if name not in TIMES} for row in found]
    return sorted(
        kept, key=lambda row: (str(row.get("run")), row.get("order", 0), row.get("number", 0), str(row.get("trial")))
    )


def wait_for_charges(uri: str, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if len(rows(uri, "charges")) >= count:
                return
        except StoreError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"no {count} charges: {process.poll()}")


@pytest.mark.s3
@pytest.mark.timeout(900)
def test_two_drivers_an_outage_and_a_kill(instant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = instant(seconds=0.1, fail_share=0.2)
    whole = hpo("run", study, "--store", tmp_path / "undisturbed", "--workers", 2, "--no-report", timeout=300)
    assert whole.returncode == 0, whole.stderr
    server = stores.server("radosgw")
    uri = stores.bucket(server, tmp_path, monkeypatch)
    with faulty(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        arguments = ("run", study, "--store", uri, "--workers", 2, "--no-report")
        first = subprocess.Popen(
            command(*arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_for_charges(uri, 20, first)
            second = hpo(*arguments, timeout=300)
            assert second.returncode == 2
            assert second.stderr.count("\n") == 1
            assert "a study must have one writer, but instant in s3://" in second.stderr
            proxy.add("refused", times=None)
            time.sleep(3)  # epochs arrive that only the spool has
            assert first.poll() is None, "training goes on"
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
        proxy.clear()
        for kind in ("503", "lost answer", "torn answer", "torn request"):
            proxy.add(kind, times=2)
        last = hpo(*arguments, timeout=500)
        assert last.returncode == 0, last.stderr
        assert store.verify(uri) == []
        for table in ("charges", "failures", "trials"):
            assert rows(uri, table) == rows(str(tmp_path / "undisturbed"), table)
