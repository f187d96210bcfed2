"""The scripts of deploy/ and docker/ on real Ray nodes: a head without workers, a Slurm job that is requeued, compose's
steps.

Stand-ins replace Slurm and Docker: `srun` starts processes here, services are processes instead of containers, and the
S3 server is moto's.
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
from faulty_cluster import living, until
from ray_nodes import BIN, ROOT, Child, environment, free_ports, own_place

HEAD = ROOT / "deploy" / "head.sh"
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
code = max(task.wait() for task in started)
open("{codes}", "a").write(words[0].rpartition("/")[2] + " " + str(code) + "\\n")
sys.exit(code)
"""
SCONTROL = """#!/bin/sh
if [ "$1" = show ]; then echo 127.0.0.1; echo 127.0.0.1; else echo "$@" >> {calls}; fi
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yields a folder whose path is short enough for Ray's sockets; pytest's own is too long."""
    path = Path(tempfile.mkdtemp(prefix="hpo-start-", dir="/tmp"))
    yield path
    rmtree(path, ignore_errors=True)


def study(folder: Path, *, seconds: float) -> Path:
    path = folder / "instant.yaml"
    path.write_text(INSTANT.format(seconds=seconds, fail_share=0, epochs=24, seeds="[0]", clock="virtual"))
    return path


def all_gone(script: Child) -> None:
    """Asserts that a script's processes end with it, except a worker's agents, which look a minute for a lost head."""

    def left() -> list[str]:
        return [command for command in living(script.process.pid).values() if "Agent" not in command]

    until(lambda: not left(), 120, lambda: f"processes were left behind: {left()}")


@pytest.mark.timeout(300)
@pytest.mark.journey
def test_head_serves_a_store_and_starts_the_service_again(folder: Path) -> None:
    port, gcs = free_ports(2)
    health = f"http://127.0.0.1:{port}/api/v1/health"
    (folder / "meanwhile.py").write_text(
        f"""
import os, pathlib, signal, time, urllib.request
def answered():
    while True:
        try:
            return urllib.request.urlopen("{health}", timeout=5).status
        except OSError:
            time.sleep(0.2)
def service():
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\\0")
        if b"serve" in words and b"{port}" in words:
            return int(path.parent.name)
answered()
first = service()
os.kill(first, signal.SIGKILL)
while service() in (None, first):
    time.sleep(0.2)
print("answered again:", answered())
"""
    )
    places = [word for option in own_place(folder / "ray") for word in ("--ray", option)]
    where = ["--node-ip", "127.0.0.1", "--port", gcs, "--ray", "--include-dashboard=false", *places]
    serve = f"{folder}/store --port {port} --no-token --cache {folder}/cache"
    command = [HEAD, *where, "--serve", serve, "--", "python", folder / "meanwhile.py"]
    head = Child(command, environment(RAY_AUTH_TOKEN_PATH=folder / "token"), folder / "head.log", folder)
    try:
        assert head.wait() == 0, head.text
        assert "answered again: 200" in head.text
        assert "the service ended; starting it again" in head.text
        all_gone(head)
    finally:
        head.close()


@pytest.mark.timeout(300)
def test_head_without_its_workers_ends(folder: Path) -> None:
    places = [word for option in own_place(folder / "ray") for word in ("--ray", option)]
    where = ["--node-ip", "127.0.0.1", "--port", free_ports(1)[0], "--ray", "--include-dashboard=false", *places]
    command = [HEAD, *where, "--workers", 2, "--timeout", 1, "--", "touch", "ran"]
    alone = Child(command, environment(RAY_AUTH_TOKEN_PATH=folder / "token"), folder / "head.log", folder)
    try:
        assert alone.wait() == 1, alone.text
        assert "cluster: 0 of 2 workers joined within 1 s" in alone.text
        assert not (folder / "ran").exists()
        all_gone(alone)
        assert (folder / "token").stat().st_mode & 0o777 == 0o600
    finally:
        alone.close()


def head_script(folder: Path, *more: object, command: str) -> list[object]:
    """Returns the call of head.sh that runs a command in Python, for a head of one CPU on this machine."""
    places = [word for option in own_place(folder / "ray") for word in ("--ray", option)]
    where = ["--node-ip", "127.0.0.1", "--port", free_ports(1)[0], "--ray", "--include-dashboard=false", *places]
    return [HEAD, *where, "--cpus", 1, *more, "--", "python", "-u", "-c", command]


@pytest.mark.timeout(300)
def test_head_in_the_background_of_a_script_passes_sigterm_on(folder: Path) -> None:
    """A shell's background commands ignore SIGINT, and so does whatever they start."""
    waits = "import ray, time; ray.init(); print(ray.cluster_resources()['study'], 'places'); time.sleep(900)"
    command = ["bash", "-c", 'trap "" INT; exec "$@"', "-", *head_script(folder, "--places", 3, command=waits)]
    script = Child(command, environment(RAY_AUTH_TOKEN_PATH=folder / "token"), folder / "head.log", folder)
    try:
        script.until(lambda: "3.0 places" in script.text)
        script.process.terminate()
        assert script.wait(60) not in (0, 4)
        all_gone(script)
    finally:
        script.close()
    said = [line for line in script.text.splitlines() if line.startswith("head.sh:")]
    for step in ("starting the head at", "starting the command", "interrupted", "asking the command to stop (SIGTERM)",
                 "the command ended with exit code", "stopping the head"):  # fmt: skip
        assert sum(line.startswith(f"head.sh: {step}") for line in said) == 1, script.text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stubborn", [False, True])
def test_head_that_dies_ends_the_script(folder: Path, stubborn: bool) -> None:
    stops = "signal.SIG_IGN" if stubborn else "lambda *_: [open('stopped', 'w'), sys.exit(7)]"
    waits = f"import signal, sys, time; signal.signal(signal.SIGINT, {stops}); print('begun'); time.sleep(900)"
    variables = environment(RAY_AUTH_TOKEN_PATH=folder / "token", HPO_STOP_SECONDS=1)
    script = Child(head_script(folder, command=waits), variables, folder / "head.log", folder)
    try:
        script.until(lambda: "begun" in script.text)
        (gcs,) = (number for number, command in living(script.process.pid).items() if "gcs_server" in command)
        os.kill(gcs, signal.SIGKILL)
        assert script.wait(90) == 4, script.text
        all_gone(script)
    finally:
        script.close()
    assert "head.sh: the head must stay up, but it ended while the command ran; its logs are in" in script.text
    assert (folder / "stopped").exists() != stubborn
    assert ("the command still runs after 1 s; it gets SIGTERM" in script.text) == stubborn
    assert script.text.count("starting the head") == 1  # nothing is started again


@pytest.mark.parametrize(
    ("words", "said"),
    [("--wrokers 2 -- hpo", "--wrokers is not an option"), ("--workers", "--workers must have a value"),
     ("--workers two -- hpo", "must be whole numbers, but got 'two'"), ("--places x -- hpo", "must be whole numbers"),
     ("--workers 2 hpo run digits", "hpo is not an option"),
     ("--workers 2", "-- and the command to run must come last"), ("--", "-- and the command to run must come last"),
     ("--dashboard-host 0.0.0.0 -- hpo", "RAY_AUTH_MODE=token and a token must be set")],
)  # fmt: skip
def test_head_refuses_wrong_options(words: str, said: str) -> None:
    answer = subprocess.run(
        [str(HEAD), *words.split()], env=environment(RAY_AUTH_MODE="disabled"), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stdout) == (2, "")
    assert len(answer.stderr.splitlines()) == 1
    assert said in answer.stderr


def slurm_job_number() -> int:
    """Returns a job number whose port is free."""
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


def slurm(folder: Path, number: int, **more: object) -> dict[str, str]:
    """Writes stand-ins for Slurm's commands into the folder; returns the variables of a job on two nodes."""
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (folder / name).write_text(text.format(python=BIN / "python", calls=folder / "calls", codes=folder / "codes"))
        (folder / name).chmod(0o755)
    variables = environment(
        SLURM_JOB_NODELIST="n[1-2]", SLURM_JOB_ID=number, SLURM_SUBMIT_DIR=ROOT, SLURM_CPUS_PER_TASK=1,
        SLURM_GPUS_ON_NODE=0, RAY_AUTH_TOKEN_PATH=folder / "token", WAIT_SECONDS=60, **more,
    )  # fmt: skip
    return variables | {"PATH": f"{folder}:{variables['PATH']}"}


@pytest.mark.parametrize(
    ("code", "restarts", "again"), [(3, 1, True), (3, 0, False), (3, 10, False), (2, 1, False), (1, 1, False)]
)
def test_slurm_job_without_its_store_is_requeued(folder: Path, code: int, restarts: int, again: bool) -> None:
    for name, text in {"head.sh": f"exit {code}", "worker.sh": "exec sleep 300"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    job = Child(
        [ROOT / "deploy" / "slurm" / "study.sbatch", "digits"],
        slurm(folder, 7, HPO_DEPLOY=folder, SLURM_RESTART_COUNT=restarts), folder / "log",
    )  # fmt: skip
    try:
        assert job.wait() == (0 if again else code), job.text
    finally:
        job.close()
    assert (folder / "calls").exists() == again
    assert ("the store does not answer; the study resumes when job 7 runs again" in job.text) == again


@pytest.mark.timeout(900)
@pytest.mark.journey
def test_slurm_job_out_of_time_is_requeued_and_resumes(folder: Path) -> None:
    number = slurm_job_number()
    variables = slurm(folder, number)
    store = folder / "store"
    command = [ROOT / "deploy" / "slurm" / "study.sbatch", study(folder, seconds=0.3), "--store", store]
    command += ["--methods", "random"]

    first = Child(command, variables, folder / "first.log", folder)
    try:
        first.until(lambda: list(store.rglob("charges/*.parquet")))
        first.process.send_signal(signal.SIGUSR1)
        assert first.wait() == 0, first.text[-3000:]
        all_gone(first)
    finally:
        first.close()
    assert "head.sh 130" in (folder / "codes").read_text().splitlines()
    assert (folder / "calls").read_text() == f"requeue {number}\n"
    assert "to continue" in first.text
    assert [run["status"] for run in runs(str(store))] == ["partial"]
    charged = runs(str(store))[0]["charged_epochs"]
    assert 0 < charged < 24

    second = Child(command, variables, folder / "second.log", folder)
    try:
        assert second.wait() == 0, second.text[-3000:]
        all_gone(second)
    finally:
        second.close()
        for place in (f"/tmp/ray-{number}", f"/tmp/ray-{number}-worker"):
            rmtree(place, ignore_errors=True)
    assert "head.sh 0" in (folder / "codes").read_text().splitlines()
    assert [(run["status"], run["charged_epochs"]) for run in runs(str(store))] == [("complete", 24)]
    assert runs(str(store))[0]["wasted_epochs"] <= 2
    assert (folder / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.timeout(900)
@pytest.mark.journey
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
        nodes = ("python", "-m", "cluster.nodes", "--address", f"127.0.0.1:{gcs}")
        joined = run(*nodes, "--workers", 2, "--timeout", 300)
        assert "2 workers joined" in joined.stderr, joined.stderr + "".join(c.text[-2000:] for c in children)
        fewer = run(*nodes, "--workers", 3, "--timeout", 5)
        assert (fewer.returncode, "2 of 3 workers joined within 5 s" in fewer.stderr) == (0, True), fewer.stderr
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
