"""What deploy/ and docker/ start, on real Ray nodes: a Slurm job that runs out of time and is requeued, compose's steps.

Slurm's and Docker's own parts are stood in for: `srun` starts processes here, services are processes instead of
containers, and the S3 server is moto's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import yaml
from conftest import INSTANT
from ray_nodes import BIN, ROOT, Child, environment, free_ports, own_place

SRUN = """#!{python}
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Slurm's daemon starts tasks afresh
words = sys.argv[1:]
tasks = 1
while words[0].startswith("--"):
    word = words.pop(0)
    tasks = int(word.split("=")[1]) if word.startswith("--ntasks=") else tasks
started = [subprocess.Popen(words) for _ in range(tasks)]
signal.signal(signal.SIGTERM, lambda *_: [task.terminate() for task in started])
sys.exit(max(task.wait() for task in started))
"""
SCONTROL = """#!/bin/sh
if [ "$1" = show ]; then echo 127.0.0.1; echo 127.0.0.1; else echo "$@" >> {calls}; fi
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for Ray's sockets, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="hpo-start-", dir="/tmp"))
    yield path
    rmtree(path, ignore_errors=True)


def study(folder: Path, *, seconds: float) -> Path:
    path = folder / "instant.yaml"
    path.write_text(INSTANT.format(seconds=seconds, fail_share=0, epochs=24, seeds="[0]", clock="virtual"))
    return path


def slurm_job_number() -> int:
    """One whose port is free."""
    for number in range(os.getpid() % 9000, 10000):
        try:
            with socket.socket() as one:
                one.bind(("", 20000 + number))
                return number
        except OSError:
            continue
    raise AssertionError("none of the ports is free")


def runs(store: str) -> list[dict[str, Any]]:
    from hpo.store import read, verify

    assert verify(store) == []
    return read(store, "instant").runs.to_pylist()


@pytest.mark.timeout(900)
def test_slurm_job_out_of_time_is_requeued_and_goes_on(folder: Path) -> None:
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (folder / name).write_text(text.format(python=BIN / "python", calls=folder / "calls"))
        (folder / name).chmod(0o755)
    number = slurm_job_number()
    variables = environment(
        SLURM_JOB_NODELIST="n[1-2]", SLURM_JOB_ID=number, SLURM_SUBMIT_DIR=ROOT, SLURM_CPUS_PER_TASK=1,
        SLURM_GPUS_ON_NODE=0, RAY_AUTH_TOKEN_PATH=folder / "token", WAIT_SECONDS=60,
    )  # fmt: skip
    variables["PATH"] = f"{folder}:{variables['PATH']}"
    store = folder / "store"
    command = [ROOT / "deploy" / "slurm" / "study.sbatch", study(folder, seconds=0.3), "--store", store]
    command += ["--methods", "random"]

    first = Child(command, variables, folder / "first.log", folder)
    try:
        first.until(lambda: list(store.rglob("charges/*.parquet")))
        first.process.send_signal(signal.SIGUSR1)
        assert first.wait() == 0, first.text[-3000:]
    finally:
        first.close()
    assert (folder / "calls").read_text() == f"requeue {number}\n"
    assert "to go on" in first.text
    assert [run["status"] for run in runs(str(store))] == ["partial"]
    charged = runs(str(store))[0]["charged_epochs"]
    assert 0 < charged < 24

    second = Child(command, variables, folder / "second.log", folder)
    try:
        assert second.wait() == 0, second.text[-3000:]
    finally:
        second.close()
        for place in (f"/tmp/ray-{number}", f"/tmp/ray-{number}-worker"):
            rmtree(place, ignore_errors=True)
    assert [(run["status"], run["charged_epochs"]) for run in runs(str(store))] == [("complete", 24)]
    assert runs(str(store))[0]["wasted_epochs"] <= 2
    assert (folder / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.timeout(900)
def test_the_steps_of_compose(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.server import ThreadedMotoServer

    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    gcs, dashboard = free_ports(2)
    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    endpoint = "http://{}:{}".format(*s3.get_host_and_port())
    given = compose["head"]["environment"] | {
        "RAY_AUTH_TOKEN_PATH": folder / "token", "RAY_HEAD": f"127.0.0.1:{gcs}", "AWS_ENDPOINT_URL": endpoint,
        "RAY_PORT": gcs, "DASHBOARD_PORT": dashboard, "DASHBOARD_HOST": "127.0.0.1",
    }  # fmt: skip
    variables = environment(**given)
    entrypoint = ROOT / "docker" / "entrypoint.sh"

    def words(service: str) -> list[str]:
        swaps = {"http://head:8265": f"http://127.0.0.1:{dashboard}", "head:6379": f"127.0.0.1:{gcs}",
                 "digits": str(study(folder, seconds=0))}  # fmt: skip
        return [swaps.get(word, word) for word in compose[service]["command"]]

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in command], env=variables, cwd=folder, capture_output=True, text=True, timeout=400,
            check=False,
        )  # fmt: skip

    children: list[Child] = []
    try:
        for service in ("token", "bucket"):
            done = run(entrypoint, *words(service))
            assert done.returncode == 0, done.stderr
        assert (folder / "token").stat().st_mode & 0o777 == 0o600
        for number in range(3):
            service = "worker" if number else "head"
            command = [entrypoint, *words(service), *own_place(folder / str(number))]
            children.append(Child(command, variables, folder / f"{number}.log", folder))
            if service == "head":
                children[0].until(lambda: run(ROOT / "docker" / "health.sh").returncode == 0)
        joined = run("python", "-m", "cluster.nodes", "--address", f"127.0.0.1:{gcs}", "--workers", 2, "--timeout", 300)
        assert "2 workers have joined" in joined.stderr, joined.stderr + "".join(c.text[-2000:] for c in children)
        done = run(entrypoint, *words("study"))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, str(variables[name]))
        found = runs("s3://hpo/results")
        assert len(found) == 4
        assert {run["status"] for run in found} == {"complete"}, json.dumps(found, default=str)
    finally:
        for child in reversed(children):
            child.close()
        s3.stop()
