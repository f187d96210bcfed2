"""Who may hold what of a shared cluster: fair by weight, exact in packing, steady."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.sharing.arbiter import demanded
from cluster.sharing.shares import Claim, fair
from cluster.sharing.world import Seen, mirrored, settled
from cluster.slots import NodeResources, Request, capacity
from hpo.errors import StudyError
from hpo.live.sharing import ask
from hpo.study.study import Study

CPU = Request(({"CPU": 1.0},))
SHAPES = (
    CPU,
    Request(({"CPU": 0.5},)),
    Request(({"CPU": 1.0, "GPU": 0.25},)),
    Request(({"GPU": 0.6},)),
    Request(({"CPU": 2.0, "GPU": 1.0},)),
    Request(({"CPU": 1.0}, {"GPU": 1.0, "CPU": 1.0}, {"GPU": 1.0, "CPU": 1.0})),
)


def nodes(*cpus: float, gpus: int = 0) -> list[NodeResources]:
    return [NodeResources(f"n{i}", {"CPU": float(c), "GPU": float(gpus)}) for i, c in enumerate(cpus)]


def counts(where, *claims: Claim) -> dict[str, int]:
    return {name: sum(places.values()) for name, places in fair(where, claims).items()}


def claim(name: str, wants: int = 100, request: Request = CPU, **more) -> Claim:
    return Claim(name, request, wants, **more)


@st.composite
def clusters(draw):
    return [
        NodeResources(f"n{i}", {"CPU": float(draw(st.integers(0, 9))), "GPU": float(draw(st.integers(0, 4)))})
        for i in range(draw(st.integers(1, 5)))
    ]


@st.composite
def claims_of(draw, shapes=SHAPES):
    return [
        Claim(
            f"c{i}",
            draw(st.sampled_from(shapes)),
            wants=draw(st.integers(0, 12)),
            weight=draw(st.sampled_from((0.5, 1.0, 2.0, 7.0))),
            least=draw(st.integers(0, 3)),
            most=draw(st.integers(1, 12)),
            since=float(draw(st.integers(0, 3))),
        )
        for i in range(draw(st.integers(1, 5)))
    ]


def left(where, claims, plan) -> list[NodeResources]:
    """What a plan leaves free: for requests of one bundle without GPUs."""
    used = {node.id: 0.0 for node in where}
    for one in claims:
        for name, count in plan[one.id].items():
            used[name] += count * one.request.bundles[0]["CPU"]
    return [NodeResources(n.id, n.total, free={**n.total, "CPU": n.total["CPU"] - used[n.id]}) for n in where]


@pytest.mark.parametrize(
    ("weights", "slots", "expected"),
    [
        ((1, 1), 8, [4, 4]),
        ((1, 1), 3, [2, 1]),
        ((1, 3), 4, [1, 3]),
        ((1, 1, 2, 4), 8, [1, 1, 2, 4]),
        ((1, 1, 2, 4), 16, [2, 2, 4, 8]),
        ((1, 100), 4, [1, 3]),
        ((1, 1, 1), 2, [1, 1, 0]),
        ((10, 1.2, 1.2, 1.2, 1.2), 15, [11, 1, 1, 1, 1]),
    ],
)
def test_slots_are_divided_by_weight_and_each_study_has_one_first(weights, slots, expected):
    claims = [claim(f"c{i}", weight=float(weight), since=float(i)) for i, weight in enumerate(weights)]
    assert list(counts(nodes(slots), *claims).values()) == expected


def test_what_one_does_not_want_the_others_get():
    assert counts(nodes(8), claim("a", wants=1), claim("b"), claim("c")) == {"a": 1, "b": 4, "c": 3}


def test_most_is_a_limit_and_least_comes_first():
    assert counts(nodes(8), claim("a", most=2), claim("b")) == {"a": 2, "b": 6}
    assert counts(nodes(8), claim("a", least=6), claim("b", weight=10.0)) == {"a": 6, "b": 2}
    assert counts(nodes(8), claim("a", least=6, wants=1), claim("b")) == {"a": 1, "b": 7}


def test_a_study_keeps_idle_slots_that_nobody_else_could_use():
    held = claim("a", wants=1, holds={"n0": 6})
    assert counts(nodes(8), held) == {"a": 6}
    assert counts(nodes(8), held, claim("b", wants=4)) == {"a": 4, "b": 4}
    assert counts(nodes(8), held, claim("b", wants=7)) == {"a": 1, "b": 7}


def test_a_study_keeps_its_slots_where_they_are():
    held = claim("a", wants=2, holds={"n1": 2})
    assert fair(nodes(4, 4), [held]) == {"a": {"n1": 2}}
    assert fair(nodes(4, 4), [held, claim("b", wants=6, since=-1.0)]) == {"a": {"n1": 2}, "b": {"n0": 4, "n1": 2}}


def test_shares_of_unlike_requests_count_by_what_each_could_have_alone():
    gpu = Request(({"CPU": 1.0, "GPU": 0.5},))
    got = counts(nodes(32, gpus=4), claim("gpu", request=gpu), claim("cpu"))
    assert got == {"gpu": 6, "cpu": 24} or got["gpu"] / 8 == pytest.approx(got["cpu"] / 32, abs=1 / 8)


def test_a_study_with_large_slots_gets_a_whole_node_free():
    """One study holds single GPUs on both nodes; another needs four on one: the first keeps to one node."""
    single, four = Request(({"GPU": 1.0},)), Request(({"GPU": 4.0},))
    where = nodes(0, 0, gpus=4)
    plan = fair(where, [claim("a", request=single, holds={"n0": 4, "n1": 4}), claim("b", request=four, since=1.0)])
    assert plan == {"a": {"n0": 4}, "b": {"n1": 1}}
    again = fair(where, [claim("a", request=single, holds={"n0": 4}), claim("b", request=four, since=1.0)])
    assert again == plan


@given(clusters(), claims_of())
def test_a_plan_fits_and_gives_nobody_more_than_it_wants(where, claims):
    plan = fair(where, claims)
    for one in claims:
        got = sum(plan[one.id].values())
        assert got <= min(one.limit, capacity(where, one.request))
    for node in where:
        for name in ("CPU", "GPU"):
            used = sum(plan[one.id].get(node.id, 0) * one.request.total.get(name, 0) for one in claims)
            assert used <= node.total[name] + 1e-6


@given(clusters(), claims_of(shapes=(CPU, Request(({"CPU": 0.5},)), Request(({"CPU": 3.0},)))))
def test_no_room_is_left_that_a_study_could_use(where, claims):
    plan = fair(where, claims)
    rest = left(where, claims, plan)
    for one in claims:
        assert sum(plan[one.id].values()) == one.limit or capacity(rest, one.request) == 0


@given(clusters(), claims_of(shapes=(CPU,)))
def test_a_study_that_wants_more_gets_its_part(where, claims):
    """Of what the others' first and least slots leave, the part by weight, rounded down."""
    plan, total = fair(where, claims), capacity(where, CPU)
    for one in claims:
        got = sum(plan[one.id].values())
        first = sum(min(max(1, other.least), other.limit) for other in claims if other is not one)
        fairly = math.floor((total - first) * one.weight / sum(other.weight for other in claims))
        assert got >= min(one.limit, fairly)


@given(clusters(), claims_of(shapes=(CPU,)))
def test_a_new_study_raises_nobodys_share(where, claims):
    fewer, more = fair(where, claims[:-1]), fair(where, claims)
    for one in claims[:-1]:
        assert sum(more[one.id].values()) <= sum(fewer[one.id].values())


@given(clusters(), claims_of(shapes=(CPU,)))
def test_a_plan_that_is_carried_out_is_planned_again(where, claims):
    plan = fair(where, claims)
    for _ in range(2):
        held = [Claim(**{**vars(one), "holds": plan[one.id]}) for one in claims]
        again = fair(where, held)
        assert {n: sum(p.values()) for n, p in again.items()} == {n: sum(p.values()) for n, p in plan.items()}
        plan = again


@given(clusters(), claims_of())
@settings(max_examples=30)
def test_a_plan_depends_on_nothing_but_its_inputs(where, claims):
    assert fair(where, claims) == fair(where, list(reversed(claims)))


def test_a_larger_weight_never_gives_less():
    got = [counts(nodes(12, 5), claim("a", weight=w), claim("b"), claim("c"))["a"] for w in (0.5, 1.0, 2.0, 4.0, 8.0)]
    assert all(less <= more for less, more in pairwise(got))


def test_a_large_cluster_is_divided_between_ten_studies():
    where = [NodeResources(f"n{i:02}", {"CPU": 64.0, "GPU": 8.0}) for i in range(64)]
    tenth = Request(({"CPU": 0.5, "GPU": 0.1},))
    claims = [claim(f"c{i}", wants=4096, request=tenth, weight=1.0 + i) for i in range(10)]
    assert sum(counts(where, *claims).values()) == 5120


# -- what the cluster is seen to have ------------------------------------------------------------------------------


def seen(free: float, groups=None, total: float = 8.0) -> Seen:
    return Seen("n0", {"CPU": total}, {"CPU": free}, groups=groups or {})


def test_a_studys_own_slots_are_free_for_it_and_other_work_is_not():
    node = seen(3.0, {"01": {"g": {"CPU": 2.0}}, "02": {"h": {"CPU": 1.0}}})
    assert node.for_jobs(["01"]).free == {"CPU": 5.0}
    assert node.for_jobs(["01", "02"]).free == {"CPU": 6.0}
    assert node.others(["01"]) == {"CPU": 3.0}


def test_a_slot_that_ray_is_making_is_no_other_work():
    before, between, after = seen(8.0), seen(7.0), seen(7.0, {"01": {"g": {"CPU": 1.0}}})
    assert settled([[before], [between]], ["01"])[0].free == {"CPU": 8.0}
    assert settled([[between], [after]], ["01"])[0].free == {"CPU": 8.0}
    assert settled([[between], [between]], ["01"])[0].free == {"CPU": 7.0}


def test_the_monitors_own_types_are_told_from_an_autoscalers():
    assert mirrored("node_" + "b1f4c5f7cd72e801e2389af28b8f6ed08e19c298eb9cd1b02ea0aafb")
    assert not mirrored("ray.head.default")
    assert not mirrored("node_pool")


def message(**more) -> dict:
    return {"id": "a", "job": "01", "bundles": [{"CPU": 1.0}], "wants": 5, "most": 3, "grows": True, **more}


def test_the_autoscaler_is_asked_for_all_that_studies_could_use_beside_other_work():
    node = seen(3.0, {"01": {"g": {"CPU": 2.0}}})
    assert demanded([node], [message()]) == [({"CPU": 3.0}, {})] + [({"CPU": 1.0}, {})] * 3


def test_the_autoscaler_is_asked_for_nothing_by_studies_without_a_limit_or_a_want():
    node = seen(8.0)
    assert demanded([node], []) == []
    assert demanded([node], [message(grows=False)]) == []
    assert demanded([node], [message(wants=0)]) == []


def test_a_growing_study_beside_another_leaves_it_what_it_has():
    node = seen(5.0, {"01": {"g": {"CPU": 1.0}}, "02": {"h": {"CPU": 2.0}}})
    other = message(id="b", job="02", bundles=[{"CPU": 2.0}], grows=False)
    assert demanded([node], [message(), other]) == [({"CPU": 1.0}, {})] * 3 + [({"CPU": 2.0}, {})]


# -- the study file ------------------------------------------------------------------------------------------------

FILE = """
study: small
trainable: curves
space: {{x: {{type: float, low: 0, high: 1}}}}
budget: {{epochs: 8, max_epochs: 2}}
methods: [random]
{more}
"""


def load(folder: Path, more: str = "", **changes) -> Study:
    (folder / "study.yaml").write_text(FILE.format(more=more))
    return Study.load(folder / "study.yaml", **changes)


def test_how_a_study_shares_a_cluster_is_no_part_of_what_its_store_agrees_on(tmp_path):
    plain = load(tmp_path)
    shared = load(tmp_path, "priority: 2.5\nowner: ann\nresources: {min_workers: 2, max_workers: 16}")
    assert (shared.digest, shared.definition) == (plain.digest, plain.definition)
    asked = ask(shared, None)
    assert (asked.priority, asked.owner, asked.least, asked.most, asked.grows) == (2.5, "ann", 2, 16, True)


def test_the_command_line_replaces_what_the_file_says(tmp_path):
    study = load(
        tmp_path, "priority: 2\nresources: {cpus: 2, min_workers: 1, max_workers: 16}", priority=3.0, min_workers=4
    )
    asked = ask(study, 8)
    assert (asked.priority, asked.least, asked.most) == (3.0, 4, 8)
    assert asked.request.bundles == ({"CPU": 2.0},)
    assert ask(study, 3).least == 3


def test_a_study_without_a_limit_never_asks_the_autoscaler(tmp_path):
    assert not ask(load(tmp_path), None).grows
    assert ask(load(tmp_path), 1).grows


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("priority: 0", "priority"),
        ("priority: -1", "priority"),
        ("priority: .inf", "a number must be finite"),
        ("priority: .nan", "a number must be finite"),
        ("priority: high", "priority"),
        ("owner: ''", "owner"),
        ("resources: {max_workers: 0}", "max_workers"),
        ("resources: {min_workers: -1}", "min_workers"),
        (
            "resources: {min_workers: 3, max_workers: 2}",
            "min_workers <= max_workers must hold, but got (min_workers=3, max",
        ),
    ],
)
def test_what_no_share_can_be_is_refused(tmp_path, more, says):
    with pytest.raises(StudyError, match=re.escape(says)) as refused:
        load(tmp_path, more)
    assert "study.yaml:7" in str(refused.value)
