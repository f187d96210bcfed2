"""`hpo doctor`: what it judges at which bounds, and what it says of this machine, of a store and of broken packages."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from s3_servers import KEY, SECRET, moto
from typer.testing import CliRunner

from cluster import probe
from cluster.findings import (
    FOLDED,
    GIB,
    LEAST_DISK,
    LEAST_MEMORY,
    SHARED,
    USUAL_MEMORY,
    of_clock,
    of_cluster,
    of_disk,
    of_gpus,
    of_machine,
    of_token,
)
from cluster.needs import Needs, Node, Report
from cluster.slots import NodeResources
from hpo.cli.app import app
from hpo.storage.errors import StorageError
from hpo.storage.examine import examine
from hpo.study import environment

ROOT = Path(__file__).parents[2]
FINE = {
    "cpus": 4,
    "memory": {"free": 8 * GIB, "total": 16 * GIB},
    "shared_memory": {"free": 8 * GIB, "total": 8 * GIB},
    "temp": {"path": "/tmp", "free": 50 * GIB, "total": 100 * GIB},
    "gpus": [],
    "driver": "",
}


def levels(**changes: object) -> dict[str, str]:
    return {finding.subject: finding.level for finding in of_machine({**FINE, **changes})}


def test_a_sound_machine_has_nothing_to_note():
    assert set(levels().values()) == {"ok"}
    assert set(levels()) == {"memory", "shared memory", "temp"}


@pytest.mark.parametrize(
    ("subject", "changes", "level"),
    [
        ("memory", {"memory": {"free": LEAST_MEMORY - 1, "total": GIB}}, "problem"),
        ("memory", {"memory": {"free": LEAST_MEMORY, "total": GIB}}, "note"),
        ("memory", {"memory": {"free": USUAL_MEMORY - 1, "total": 4 * GIB}}, "note"),
        ("memory", {"memory": {"free": USUAL_MEMORY, "total": 4 * GIB}}, "ok"),
        ("shared memory", {"shared_memory": None}, "note"),
        ("shared memory", {"shared_memory": {"free": 64 * 2**20, "total": 64 * 2**20}}, "note"),  # Docker's default
        ("shared memory", {"shared_memory": {"free": SHARED - 1, "total": SHARED}}, "note"),
        ("shared memory", {"shared_memory": {"free": SHARED, "total": SHARED}}, "ok"),
        ("temp", {"temp": {"path": "/tmp", "free": LEAST_DISK - 1, "total": 10 * GIB}}, "problem"),
        ("temp", {"temp": {"path": "/tmp", "free": LEAST_DISK, "total": 10 * GIB}}, "ok"),
        ("temp", {"temp": {"path": "/tmp", "free": 5 * GIB - 1, "total": 100 * GIB}}, "note"),
        ("temp", {"temp": {"path": "/tmp", "free": 5 * GIB, "total": 100 * GIB}}, "ok"),
        ("temp", {"temp": {"path": "/gone", "free": 0, "total": 0}}, "problem"),
    ],
)
def test_room_is_judged_at_its_bounds(subject, changes, level):
    assert levels(**changes)[subject] == level


@pytest.mark.parametrize(
    ("free", "level"), [(LEAST_DISK - 1, "problem"), (LEAST_DISK, "note"), (20 * GIB - 1, "note"), (20 * GIB, "ok")]
)
def test_a_disk_is_judged_by_what_a_study_may_take(free, level):
    found = of_disk("store", "/data", {"free": free, "total": 100 * GIB}, 20 * GIB, "checkpoints", "make room")
    assert found.level == level
    assert found.says.endswith("make room") == (level != "ok")


@pytest.mark.parametrize(
    ("gpus", "torch", "seen", "level", "says"),
    [
        ([], "2.14.1", None, "note", "none"),
        (["L4", "L4"], "2.14.1+cpu", None, "note", "is a CPU build"),
        (["L4", "L4"], "2.14.1", 0, "problem", "update the driver"),
        (["L4", "L4"], "2.14.1", 1, "note", "CUDA_VISIBLE_DEVICES"),
        (["L4", "L4"], "2.14.1", 2, "ok", "2 x L4, driver 580"),
    ],
)
def test_gpus_and_the_build_of_torch_must_suit_each_other(gpus, torch, seen, level, says):
    found = of_gpus({**FINE, "gpus": gpus, "driver": "580"}, torch, seen)
    assert found.level == level
    assert says in found.says


@pytest.mark.parametrize(
    ("found", "mode", "length", "level"),
    [
        ("", "", 0, "note"),
        ("", "token", 0, "problem"),
        ("a file", "disabled", 64, "note"),
        ("a file", "", 15, "note"),
        ("a file", "token", 16, "ok"),
    ],
)
def test_the_token_is_judged_with_its_mode(found, mode, length, level):
    assert of_token(found, mode, length, 16).level == level


@pytest.mark.parametrize(("skew", "level"), [(-5.1, "problem"), (-5.0, "ok"), (5.0, "ok"), (5.1, "problem")])
def test_clocks_must_agree(skew, level):
    assert of_clock("the store", skew, 5.0).level == level


def node(name: str, skew: float = 0.0, in_ray: int = 0, answers: bool = True, **machine: object) -> Node:
    told = {"python": "3.11.7", "packages": {}, "gpu_memory": [], "data_root": None, "store": None,
            "machine": {**FINE, **machine}}  # fmt: skip
    resources = NodeResources(name, {"CPU": 4, "GPU": in_ray}, name=name)
    return Node(name, resources, told if answers else None, "gave no answer within 60 s", skew)


def test_every_node_of_a_cluster_is_judged():
    sick = node("b", in_ray=1, gpus=["L4", "L4"], shared_memory={"free": 0, "total": 2**26})
    report = Report(Needs(), (node("a"), sick, node("c", skew=9), node("d", answers=False)))
    found = list(of_cluster("head:6379", report))
    said = [(finding.level, finding.subject, finding.says) for finding in found]
    assert said[0] == ("ok", "cluster", "head:6379 answers: 4 nodes, 16 CPUs, 1 GPU")
    assert [level for level, *_ in said].count("problem") == 2
    assert any("clock of node c" in says for _, _, says in said)
    assert any("node d must answer" in says for _, _, says in said)
    assert [says for level, who, says in said if (level, who) == ("note", "node b")] == [
        "shared memory: /dev/shm has 0 MiB of 64 MiB free: the rest lies on the disk, which is slower; start a container "
        "with --shm-size=2g or more",
        "GPUs: 1 of 2 GPUs are unknown to Ray; restart it with --num-gpus",
    ]
    assert [who for level, who, _ in said if level == "ok"] == ["cluster", "node a"]


@pytest.mark.parametrize(("count", "last"), [(FOLDED, "node n"), (FOLDED + 1, "1 more without a complaint")])
def test_many_sound_nodes_fold(count, last):
    found = list(of_cluster("head:6379", Report(Needs(), tuple(node("n") for _ in range(count)))))
    assert last in f"{found[-1].subject} {found[-1].says}"
    assert len(found) == FOLDED + (1 if count == FOLDED else 2)


def test_a_probe_tells_what_the_machine_has(tmp_path):
    told = probe.machine()
    assert 0 < told["memory"]["free"] <= told["memory"]["total"]
    assert 0 < told["temp"]["free"] <= told["temp"]["total"]
    assert told["cpus"] >= 1
    assert probe.room(str(tmp_path / "not" / "there" / "yet"))["total"] == probe.room(str(tmp_path))["total"]


# -- this machine -------------------------------------------------------------------------------------------------


def doctor(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hpo.cli", "doctor", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "80", **variables}
    environment.pop("RAY_ADDRESS", None)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_this_machine_can_run_a_study(tmp_path):
    done = doctor("--store", tmp_path / "store")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in lines)  # a path stays whole, to be copied
    assert all(line.split()[0] in ("ok", "note") or line.startswith(" " * 9) for line in lines[:-1])
    assert lines[-1].startswith("Nothing here would stop a study")
    assert "\x1b" not in done.stdout
    assert not (tmp_path / "store").exists()


def test_colours_follow_the_terminal_and_no_color():
    assert "\x1b[32mok" in doctor(FORCE_COLOR="1", TERM="xterm", NO_COLOR="").stdout
    assert "\x1b[32m" not in doctor(FORCE_COLOR="1", TERM="xterm", NO_COLOR="1").stdout


def test_what_stops_a_study_is_a_problem_with_a_remedy_and_exit_code_1(tmp_path):
    (tmp_path / "file").write_text("")
    token = tmp_path / "token"
    token.write_text("")
    installed = tmp_path / "site"
    for name, version in (("torchvision", "0.10.0"), ("pyarrow", "1.0")):
        (installed / f"{name}-{version}.dist-info").mkdir(parents=True)
        (installed / f"{name}-{version}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    path = os.pathsep.join([str(installed), str(ROOT)])
    done = doctor("--store", tmp_path / "file" / "store", "--address", "127.0.0.1:1",
                  PYTHONPATH=path, RAY_AUTH_TOKEN="", RAY_AUTH_TOKEN_PATH=str(token))  # fmt: skip
    said = " ".join(done.stdout.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "pyarrow must be >=20, but is 1.0" in said
    assert "needs torchvision 0.29, but" in said
    assert "install the pair in requirements.lock" in said
    assert f"problem token: the token file {token} must hold a token" in said
    assert "problem cluster: a Ray cluster must answer at 127.0.0.1:1, but none does" in said
    assert "must be a folder, but it is a file" in said
    assert "5 problems" in said


def test_without_torch_which_the_base_lacks_a_study_can_run(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("ray", "numpy"))
    monkeypatch.setenv("COLUMNS", "500")
    done = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert done.exit_code == 0, done.stdout
    said = " ".join(done.stdout.split())
    assert "note torch: fine-tuning needs torch and torchvision, but torch is not installed: pip install" in said
    assert "Trainables that need none run without" in said


def test_gpus_that_torch_cannot_start_are_a_problem(tmp_path):
    """nvidia-smi is a script here, and there is no driver: torch really finds none."""
    fake = tmp_path / "nvidia-smi"
    fake.write_text(
        "#!/bin/sh\ncase $1 in *driver*) printf '580.1\\n580.1\\n';; *name*) printf 'NVIDIA L4\\nNVIDIA L4\\n';; esac\n"
    )
    fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = doctor(PATH=path, CUDA_VISIBLE_DEVICES="99")  # so that one that has GPUs starts none, either
    for_cpus = environment.versions()["torch"].endswith("+cpu")
    assert done.returncode == (0 if for_cpus else 1), done.stdout
    level = "note   " if for_cpus else "problem"
    assert f"{level}  GPUs: 2 x NVIDIA L4, driver 580.1, but torch" in done.stdout
    done = doctor(PATH=path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stdout
    assert "note     GPUs: 2 x NVIDIA L4" in done.stdout


@pytest.mark.parametrize("address", ["http://head:8265", "head", "ray://head:10001"])
def test_an_address_of_the_wrong_form_is_bad_input(address):
    done = doctor("--address", address)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_the_pythons_are_those_of_the_package():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (low, high), (_, above) = environment.OLDEST, environment.NEWEST
    assert wanted == f">={low}.{high},<{low}.{above + 1}"


# -- stores -------------------------------------------------------------------------------------------------------


def test_a_folder_is_tried_and_left_as_it_was(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "mine").write_text("x")
    assert abs(examine(str(tmp_path / "store"))) < 60
    assert abs(examine(str(tmp_path / "new"))) < 60
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "store"]


def answers_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    values = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
              "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_s3_is_reached_tried_and_left_as_it_was(tmp_path, monkeypatch):
    from hpo.storage.s3_client import client

    with moto(tmp_path) as server:
        answers_to(monkeypatch, server.url)
        with pytest.raises(StorageError, match="the bucket of s3://bench/store must exist"):
            examine("s3://bench/store")
        client().create_bucket(Bucket="bench")
        assert abs(examine("s3://bench/store")) < 60
        assert "Contents" not in client().list_objects_v2(Bucket="bench")
        done = doctor("--store", "s3://bench/store")
        assert done.returncode == 0, done.stdout
        assert "ok       store: s3://bench/store can be read and written" in done.stdout


class _Careless(BaseHTTPRequestHandler):
    """An S3 server of one file that ignores If-None-Match, as older ones do."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(b"")

    def do_GET(self) -> None:
        key = self.path.split("prefix=")[-1].split("&")[0].replace("%2F", "/")
        written = "<LastModified>2026-01-01T00:00:00Z</LastModified>"
        item = f"<Contents><Key>{key}</Key><Size>1</Size><ETag>x</ETag>{written}</Contents>"
        self._answer(f"<ListBucketResult>{item}<IsTruncated>false</IsTruncated></ListBucketResult>".encode())

    def do_DELETE(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing on stderr."""


@contextmanager
def careless() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Careless)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_writes_over_what_exists_is_refused(monkeypatch):
    with careless() as url:
        answers_to(monkeypatch, url)
        with pytest.raises(StorageError, match="must honour conditional writes"):
            examine("s3://bench/store")


def test_a_server_that_is_not_there_is_a_problem():
    done = doctor("--store", "s3://bench/store", AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_ACCESS_KEY_ID=KEY,
                  AWS_SECRET_ACCESS_KEY=SECRET, AWS_DEFAULT_REGION="us-east-1")  # fmt: skip
    assert done.returncode == 1
    assert "problem  store: s3://bench/store must answer" in done.stdout
