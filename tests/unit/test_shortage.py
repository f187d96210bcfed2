"""The one sentence that says why a trial fits on no node, and the table of kinds of nodes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cluster.needs import Needs, Node, Report
from cluster.shortage import GIB, shortage
from cluster.slots import NodeResources, Request
from hpo.study.study import Resources

SEEN = {"python": "3.11.9", "packages": {}, "gpu_memory": [], "data_root": None, "store": None}


def node(name: str, cpus: float, gpus: float = 0, kind: str = "", region: str = "", **custom: float) -> NodeResources:
    total = {"CPU": cpus, "GPU": gpus, "memory": 8 * GIB, "object_store_memory": 1e9, "node:10.0.0.1": 1, **custom}
    if kind:
        total[f"accelerator_type:{kind}"] = 1
    return NodeResources(name, total, {"region": region} if region else {}, name=name)


NODES = (node("n1", 4, 1, "A100", "us-1"), node("n2", 8, 2, "H100", "eu-1", license=2), node("n3", 2))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cpus": 9}, "needs 9 CPU and 0 GPU on one node, but the largest of the 3 has 8 CPU and 2 GPU; lower resources.cpus"),
        ({"gpus": 1, "cpus": 9}, "the largest of the 3 has 8 CPU and 2 GPU; lower resources.cpus"),
        ({"memory_gb": 9}, "9.0 GiB of memory on one node, but the largest of the 3 has 8 CPU and 2 GPU and 8.0 GiB of memory"),
        ({"gpus": 4}, "needs 5 CPU and 4 GPU (1 CPU and 1 GPU on one node for each of its processes), but the 3 nodes together "
                      "have 14 CPU and 3 GPU; lower resources.gpus, or choose a larger cluster"),
        ({"gpus": 1, "accelerator": "H200"}, "needs the accelerator H200, but the 3 nodes have A100 (1), H100 (1), no known "
                                             "accelerator (1); choose another resources.accelerator"),
        ({"gpus": 1, "accelerator": "A100", "labels": {"region": "eu-1"}}, "but the only node with region=eu-1 has H100"),
        ({"gpus": 1, "cpus": 5, "accelerator": "A100"}, "but the only node with A100 has 4 CPU and 1 GPU; lower resources.cpus"),
        ({"labels": {"region": "in(ap-1, us-2)"}}, "needs a node with the label region=in(ap-1,us-2), but the 3 nodes have "
                                                   "eu-1 (1), no such label (1), us-1 (1); correct resources.labels"),
        ({"custom": {"licence": 1}}, "needs 1 of the resource licence, but the 3 nodes have only license; did you mean"),
        ({"custom": {"license": 1}, "labels": {"region": "us-1"}}, "the only node with region=us-1 has no custom resources"),
        ({"custom": {"license": 3}}, "has 8 CPU and 2 GPU and 2 license; lower resources.custom.license"),
    ],
)  # fmt: skip
def test_a_shortage_says_what_is_lacking_and_what_there_is(asked: dict[str, object], words: str) -> None:
    section = Resources(**asked)  # type: ignore[arg-type]
    sentence = shortage(NODES, Request(section.bundles, section.labels))
    assert words in sentence
    assert "\n" not in sentence


def test_there_is_no_shortage_where_other_work_holds_the_nodes() -> None:
    held = [NodeResources(one.id, one.total, one.labels, free={}) for one in NODES]
    assert shortage(held, Request(Resources(gpus=0.6).bundles)) == ""


def report(section: Resources, nodes: list[NodeResources]) -> Report:
    needs = Needs(Request(section.bundles, section.labels))
    return Report(needs, tuple(Node(one.name, one, SEEN) for one in nodes))


def test_many_nodes_are_shown_by_kind() -> None:
    nodes = [node(f"gpu{number:02}", 32, 4, "H100", "us-1") for number in range(20)]
    found = report(Resources(cpus=2, gpus=0.6), [*nodes, node("cpu1", 16), node("cpu2", 16), node("head", 0)])
    first, *kinds = found.rows()
    assert (first["GPU"], first["trials"]) == ("0.6", "1")
    assert [(row[""], row["trials"]) for row in kinds] == [
        ("20 nodes (gpu00 ... gpu19)", "80 (4 each)"),
        ("head", "0"),
        ("2 nodes (cpu1 ... cpu2)", "0 (0 each)"),
    ]
    assert (found.room, kinds[0]["accelerator"], kinds[1]["accelerator"]) == (80, "H100", "-")


def test_few_nodes_have_a_row_each_with_the_labels_that_are_asked_for() -> None:
    found = report(Resources(gpus=0.5, labels={"region": "!us-1"}, custom={"license": 1}), list(NODES))
    assert [(row[""], row["trials"], row["region"], row["license"]) for row in found.rows()] == [
        ("a trial needs", "1", "!us-1", "1"), ("n1", "0", "us-1", "0"), ("n2", "2", "eu-1", "2"), ("n3", "0", "-", "0"),
    ]  # fmt: skip


def test_the_table_says_how_many_trials_fit_now() -> None:
    busy = NodeResources("n1", {"CPU": 4, "GPU": 2}, free={"CPU": 3, "GPU": 1}, name="n1")
    found = report(Resources(gpus=0.5), [busy])
    assert (found.room, found.free) == (4, 2)
    assert found.ok
    assert str(found.lines(80)[0]) == "needs and nodes: room for 4 trials, 2 of them now"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_cuts_no_cell_however_narrow_the_terminal(width: int) -> None:
    """What has no room beside the nodes' names stands below them."""
    needs = Needs(
        Request(({"CPU": 2, "GPU": 0.5},)), 8 * GIB, python="3.11", data_root="/data/images", store="s3://a/b"
    )
    found = Report(needs, tuple(Node(n.name, n, SEEN, driver=n is NODES[0]) for n in NODES))
    file = io.StringIO()
    Console(file=file, width=width).print(*found.lines(width), sep="\n")
    lines = file.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    told = " ".join(lines).split()
    assert {word for row in found.rows() for text in row.values() for word in text.split()} - {"-"} <= set(told)
    assert lines[-2:] == ["data: /data/images", "store: s3://a/b"]
    assert sum(line.startswith("a trial needs") for line in lines) == {60: 3, 80: 2, 200: 1}[width]
