"""How many trials Ray packs on given nodes, beside other work and by labels. No cluster: tests/ray and a bench ask Ray."""

from __future__ import annotations

import pytest

from cluster.slots import MOST, NodeResources, Request, capacity, matches
from hpo.study.study import Resources

GIB = 2**30


def nodes(*totals: dict[str, float], **more: object) -> list[NodeResources]:
    return [NodeResources(f"n{number}", total, **more) for number, total in enumerate(totals)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("have", "need", "count"),
    [
        ({"GPU": 2}, {"GPU": 0.6}, 2),  # one on each, and not int(2 / 0.6) = 3
        ({"GPU": 2}, {"GPU": 0.7}, 2),
        ({"GPU": 2}, {"GPU": 0.3}, 6),
        ({"GPU": 3}, {"GPU": 0.5}, 6),
        ({"GPU": 1}, {"GPU": 1 / 3}, 3),  # 0.3333 for Ray
        ({"GPU": 1}, {"GPU": 1 / 7}, 7),
        ({"GPU": 1}, {"GPU": 0.14289}, 7),  # 0.1428 for Ray
        ({"GPU": 1}, {"GPU": 0.14295}, 6),
        ({"GPU": 1}, {"GPU": 0.3334}, 3),  # 0.3333 for Ray
        ({"GPU": 4}, {"GPU": 1}, 4),
        ({"GPU": 5}, {"GPU": 2}, 2),
        ({"GPU": 1}, {"GPU": 2}, 0),
        ({"GPU": 0}, {"GPU": 0.25}, 0),
        ({}, {"GPU": 0.25}, 0),
        ({"TPU": 2}, {"TPU": 0.6}, 2),  # counted by devices, too
        ({"CPU": 2}, {"CPU": 0.6}, 3),  # CPUs are one heap
        ({"CPU": 1}, {"CPU": 1 / 3}, 3),
        ({"CPU": 3, "GPU": 2}, {"CPU": 1, "GPU": 0.25}, 3),
        ({"CPU": 8, "GPU": 2, "memory": 3 * GIB}, {"CPU": 1, "GPU": 0.25, "memory": GIB}, 3),
        ({"CPU": 8, "memory": 3 * GIB}, {"CPU": 1, "memory": GIB + 1}, 2),
        ({"CPU": 8, "study": 3}, {"CPU": 1, "study": 2}, 1),
        ({"CPU": 8, "study": 1}, {"CPU": 1}, 8),
        ({"CPU": 8}, {"CPU": 0}, MOST),
    ],
)
def test_one_node(have: dict[str, float], need: dict[str, float], count: int) -> None:
    assert capacity(nodes(have), Request((need,))) == count


def test_what_two_nodes_have_left_over_adds_up_to_nothing() -> None:
    assert capacity(nodes({"CPU": 3, "GPU": 1}, {"CPU": 3, "GPU": 3}), Request(({"CPU": 2, "GPU": 0.6},))) == 2


@pytest.mark.parametrize(
    ("free", "devices", "need", "count"),
    [
        ({"GPU": 1.0}, {}, {"GPU": 1}, 1),  # one GPU is held
        ({"GPU": 1.0}, {"GPU": (0.5, 0.5)}, {"GPU": 1}, 0),  # half of each is
        ({"GPU": 1.0}, {"GPU": (0.5, 0.5)}, {"GPU": 0.5}, 2),
        ({"GPU": 1.0}, {"GPU": (0.5, 0.5)}, {"GPU": 0.6}, 0),
        ({"GPU": 1.4}, {}, {"GPU": 0.6}, 1),  # 1 and 0.4
        ({}, {}, {"GPU": 0.1}, 0),
    ],
)
def test_what_others_hold(free: dict, devices: dict, need: dict, count: int) -> None:
    assert capacity(nodes({"GPU": 2}, free=free, devices=devices), Request((need,))) == count


def test_a_trial_of_several_processes_spreads_over_nodes_and_counts_its_leader() -> None:
    pair = Request(Resources(cpus=1, gpus=2).bundles)
    assert capacity(nodes({"CPU": 2, "GPU": 1}, {"CPU": 1, "GPU": 1}), pair) == 1
    assert capacity(nodes({"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 1}), pair) == 0  # no CPU for the process that leads
    assert capacity(nodes({"CPU": 12, "GPU": 4}, {"CPU": 3, "GPU": 2}), pair) == 3


def test_only_nodes_with_the_labels_count() -> None:
    have = [
        NodeResources("a", {"CPU": 2}, {"region": "us-1"}),
        NodeResources("b", {"CPU": 3}, {"region": "eu-1"}),
        NodeResources("c", {"CPU": 4}),
    ]
    asked = {"us-1": 2, "!us-1": 7, "in(us-1,eu-1)": 5, "!in(us-1,eu-1)": 4, "ap-1": 0}
    for selector, count in asked.items():
        assert capacity(have, Request(({"CPU": 1},), {"region": selector})) == count, selector
    assert matches({"a": "1", "b": "2"}, {"a": "1", "b": "!3"})
    assert not matches({"a": "1", "b": "2"}, {"a": "1", "b": "!2"})


def test_an_accelerator_counts_only_where_it_is() -> None:
    section = Resources(cpus=1, gpus=0.5, accelerator="H100")
    have = nodes({"CPU": 8, "GPU": 2, "accelerator_type:H100": 1}, {"CPU": 8, "GPU": 2, "accelerator_type:A100": 1})
    assert capacity(have, Request(section.bundles)) == 4


def test_a_trial_that_needs_nothing_takes_the_least_that_ray_can_count() -> None:
    request = Request(Resources(cpus=0).bundles)
    assert capacity(nodes({"CPU": 1}, {"CPU": 0}), request) == 10_000
