"""Needs compared with nodes, and what a probe reports. No cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import probe
from cluster.needs import GIB, Needs, Node, PreflightError, Report
from cluster.slots import NodeResources, Request

SEEN = {"python": "3.11.9", "packages": {"torch": "2.14.1+cu130"}, "gpu_memory": [], "data_root": None, "store": None}


def needs(cpus: float = 1, gpus: float = 0, memory: float = 0, **changes: object) -> Needs:
    return Needs(Request(({"CPU": cpus, "GPU": gpus, "memory": memory},)), **changes)  # type: ignore[arg-type]


def node(name: str = "n1", cpus: float = 4, gpus: float = 1, memory: float = 8 * GIB, **changes: object) -> Node:
    has = NodeResources(name, {"CPU": cpus, "GPU": gpus, "memory": memory}, name=name)
    return Node(**({"name": name, "resources": has, "answer": SEEN} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "room"),
    [
        (needs(cpus=1), 4),
        (needs(cpus=4), 1),
        (needs(cpus=4.5), 0),
        (needs(cpus=1, gpus=0.25), 4),
        (needs(cpus=0.1, gpus=0.1), 10),
        (needs(cpus=1, gpus=2), 0),
        (needs(cpus=1, memory=4 * GIB), 2),
        (needs(cpus=1, memory=8 * GIB + 1), 0),
    ],
)
def test_room(asked: Needs, room: int) -> None:
    assert node().room(asked) == room


def test_a_shortage_is_one_sentence_with_what_to_do() -> None:
    report = Report(needs(gpus=0.25), (node(gpus=0),))
    assert report.reasons == (
        "a trial needs 1 CPU and 0.25 GPU on one node, but the only node has 4 CPU and 0 GPU; lower resources.gpus, or "
        "choose a cluster with such a node",
    )
    assert "lower resources.cpus" in Report(needs(cpus=5, gpus=1), (node(),)).shortage
    assert "lower resources.memory_gb" in Report(needs(memory=9 * GIB), (node(),)).shortage
    assert Report(needs(gpus=2), (node(),), elastic=True).shortage == ""


def test_any_build_of_the_same_release_is_accepted() -> None:
    assert Report(needs(packages={"torch": "2.14.1+cpu"}), (node(),)).ok
    assert "torch must be 2.14.0" in Report(needs(packages={"torch": "2.14.0"}), (node(),)).reasons[0]


@pytest.mark.parametrize(("python", "fits"), [("3.11", True), ("3.1", False), ("3", True), ("3.12", False)])
def test_python(python: str, fits: bool) -> None:
    assert Report(needs(python=python), (node(),)).ok is fits


@pytest.mark.parametrize(("skew", "fits"), [(5.0, True), (-5.0, True), (5.1, False), (-60.0, False)])
def test_clock_skew_at_its_bound(skew: float, fits: bool) -> None:
    assert Report(needs(clock_skew=5.0), (node(skew=skew),)).ok is fits


@pytest.mark.parametrize(("wanted", "fits"), [(6 * GIB, True), (6 * GIB + 1, False)])
def test_gpu_memory_goes_by_the_share(wanted: int, fits: bool) -> None:
    seen = SEEN | {"gpu_memory": [24 * GIB, 80 * GIB]}
    report = Report(needs(gpus=0.25, gpu_memory=wanted), (node(answer=seen),))
    assert report.ok is fits
    assert "6.0 GiB" in report.rows()[1]["GPU memory"]


def test_nodes_without_room_need_not_see_anything() -> None:
    seen = SEEN | {"data_root": "not there", "store": "read-only"}
    head = node(name="head", cpus=0, gpus=0, answer=seen)
    asked = needs(data_root="/data", store="/store")
    assert Report(asked, (head, node())).ok
    assert Report(asked, (node(name="head", cpus=0, answer=seen, driver=True), node())).reasons == (
        "the store /store must be readable and writable on the driver's node head, but: read-only",
    )


def test_a_silent_node() -> None:
    report = Report(needs(), (node(answer=None, silence="gave no answer within 60 s"),))
    assert report.reasons == ("node n1 must answer, but gave no answer within 60 s",)
    assert report.rows()[1]["packages"] == "no answer"
    assert Report(needs(), ()).reasons == ("a cluster must have at least one node, but this one has none",)


def test_impossible_needs_are_refused() -> None:
    with pytest.raises(PreflightError, match="must not be negative"):
        needs(cpus=-1)


def test_a_store_that_is_not_shared(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    probe.write(store, ".mark")
    assert probe.shared(store, ".mark") is None
    assert [p.name for p in (tmp_path / "store").iterdir()] == [".mark"]
    assert "do not share it" in str(probe.shared(str(tmp_path / "elsewhere"), ".mark"))
    probe.remove(store, ".mark")
    assert "do not share it" in str(probe.shared(store, ".mark"))


def test_a_data_root(tmp_path: Path) -> None:
    assert "empty" in str(probe.readable(str(tmp_path)))
    (tmp_path / "a.png").write_bytes(b"1")
    assert probe.readable(str(tmp_path)) is None
    assert probe.readable(str(tmp_path / "a.png")) is None
    assert "No such file" in str(probe.readable(str(tmp_path / "b")))


def test_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "a",
                            "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        assert "bucket does not exist" in str(probe.readable("s3://none/there"))
        probe._s3().create_bucket(Bucket="bucket")
        assert probe.readable("s3://bucket/data") == "there is nothing there"
        probe.write("s3://bucket/data", "mark")
        assert probe.readable("s3://bucket/data") is None
        assert probe.shared("s3://bucket/data/", "mark") is None
        assert "do not share" in str(probe.shared("s3://bucket/data", "other"))
        probe.remove("s3://bucket/data", "mark")
        assert probe.readable("s3://bucket/data") == "there is nothing there"
    finally:
        server.stop()
