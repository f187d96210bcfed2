"""A RayJob's entrypoint on a real head: which ends KubeRay retries (FAILED), and which it does not (STOPPED, SUCCEEDED)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest
from ray_nodes import BIN, ROOT, Child, environment, free_ports, own_place

from cluster.job import HeadUnreachable, Submission
from cluster.jobs import JobServer
from cluster.tokens import Token

SECRET = "0123456789abcdef" * 4
ENTRYPOINT = f"{sys.executable} -m cluster.entrypoint"


@pytest.fixture(scope="module")
def server() -> Iterator[JobServer]:
    folder = Path(tempfile.mkdtemp(prefix="hpo-entry-", dir="/tmp"))
    gcs, dashboard = free_ports(2)
    command = [
        BIN / "ray", "start", "--head", "--block", "--disable-usage-stats", "--num-cpus", 0, "--port", gcs,
        "--dashboard-port", dashboard, *own_place(folder / "ray"),
    ]  # fmt: skip
    child = Child(command, environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=SECRET), folder / "log")
    try:
        yield answering(f"http://127.0.0.1:{dashboard}", child)
    finally:
        child.close()
        rmtree(folder, ignore_errors=True)


def answering(url: str, child: Child) -> JobServer:
    end = time.monotonic() + 200
    while True:
        try:
            return JobServer(url, token=Token(SECRET, "the test"))
        except HeadUnreachable:
            assert child.process.poll() is None, child.text[-2000:]
            assert time.monotonic() < end, child.text[-2000:]
            time.sleep(0.2)


def submission(command: str) -> Submission:
    return Submission(f"{ENTRYPOINT} {command}", environment={"PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": SECRET})


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 0", "SUCCEEDED"),
        ("exit 2", "STOPPED"),
        ("no-such-command", "STOPPED"),
        ("exit 3", "FAILED"),
        ("kill -9 $$", "FAILED"),
    ],
)
def test_only_failures_that_may_pass_fail_the_job(server: JobServer, command: str, status: str) -> None:
    job = server.submit(submission(f"sh -c '{command}'"))
    ended = server.wait(job.id, 120)
    assert ended.status == status, server.logs(job.id)
    assert ("this job stops itself" in server.logs(job.id)) == (status == "STOPPED")


@pytest.mark.timeout(300)
@pytest.mark.journey
def test_a_stopped_job_lets_its_driver_finish(server: JobServer) -> None:
    job = server.submit(submission("sh -c 'trap \"echo wrote; exit 130\" INT TERM; echo runs; sleep 100 & wait'"))
    end = time.monotonic() + 120
    while "runs" not in server.logs(job.id).replace("echo runs", ""):
        assert time.monotonic() < end, server.logs(job.id)
        time.sleep(0.2)
    assert server.stop(job.id).status == "STOPPED"
    assert "\nwrote" in server.logs(job.id)


@pytest.mark.parametrize(
    ("command", "code"), [([], 2), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["./no-such"], 127)]
)
def test_outside_a_job_it_ends_as_its_command_does(command: list[str], code: int) -> None:
    words = [sys.executable, "-m", "cluster.entrypoint", *command]
    assert subprocess.run(words, env=environment(), capture_output=True, check=False).returncode == code
