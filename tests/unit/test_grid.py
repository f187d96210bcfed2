"""The grid: the order of its points, a contract since budgets may end it early, and grids that no memory could hold."""

from __future__ import annotations

import copy
import hashlib
import itertools
import sys
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.api.plan import Plan
from hpo.methods.protocol import Setting
from hpo.methods.searchers import grid as grids
from hpo.methods.searchers.grid import Grid
from hpo.methods.searchers.orders import Drawn
from hpo.study.space import Choice, Config, Float, Int, SearchSpace, Value, combinations
from hpo.study.study import Study
from hpo.study.values import Observation, digest

OPTIMIZER = {"optimizer": Choice(("adam", "sgd"))}
SPACES = {
    "flat": SearchSpace({"a": Float(0, 1), "b": Int(1, 100), "c": Choice(("x", "y")), "d": Float(0, 1, grid=(0.5,))}),
    "cond": SearchSpace(
        {"momentum": Float(0, 0.9, grid=(0.0, 0.9)), **OPTIMIZER, "layers": Int(1, 3), "width3": Choice((8, 16))},
        {"momentum": {"optimizer": ("sgd",)}, "width3": {"layers": (3,)}},
    ),
    "two parents": SearchSpace(
        {"a": Choice((1, 2)), "b": Choice((1, 2)), "child": Int(1, 4)}, {"child": {"a": (2,), "b": (2,)}}
    ),
    "chain": SearchSpace(
        {"layers": Int(1, 5), "u1": Int(32, 112, step=20), "u2": Int(32, 112, step=20), "u3": Choice(("p", "q")),
         "u4": Float(0.0, 0.5, step=0.25)},
        {"u2": {"layers": (2, 3, 4, 5)}, "u3": {"layers": (3, 4, 5)}, "u4": {"layers": (4, 5), "u3": ("p",)}},
    ),
    "log": SearchSpace(
        {"lr": Float(1e-4, 0.1, log=True), "n": Int(1, 64, log=True), "o": Choice(("a", "b", "c")), "m": Float(0, 1)},
        {"m": {"o": ("b", "c")}},
    ),
    "at spread": SearchSpace({name: Choice(tuple(range(8))) for name in "abcd"}),
    "above": SearchSpace(
        {**{name: Float(0, 1) for name in "abcde"}, "f": Choice((True, False)), "g": Float(0, 1)}, {"g": {"f": (True,)}}
    ),
    "one": SearchSpace({"a": Choice((7,))}),
    "step 0.25": SearchSpace({"a": Float(0.0, 1.0, step=0.25), "b": Float(0.5, 5.0, step=0.5), "c": Int(1, 9, step=3)}),
}  # fmt: skip

# (space, seed, with prior and start, points, suggestions, SHA-256 of their digests), of the grid that was built whole.
RECORDED = (
    ("flat", 0, False, 5, 50, "1e8442b8b25f322a"),
    ("flat", 0, False, 3, 18, "18f9beff1078f879"),
    ("flat", 0, True, 5, 50, "8658bb78d96fc2d2"),
    ("flat", 7, False, 5, 50, "1692df03f89f4cbe"),
    ("flat", 7, False, 3, 18, "8e2f65e0752d9715"),
    ("flat", 7, True, 5, 50, "5af27e038cfe7686"),
    ("cond", 0, False, 5, 12, "137b4a3093c080e4"),
    ("cond", 0, False, 3, 12, "137b4a3093c080e4"),
    ("cond", 0, True, 5, 12, "8c2cd82a64054e38"),
    ("cond", 7, False, 5, 12, "700b4f075ddeaa2a"),
    ("cond", 7, False, 3, 12, "700b4f075ddeaa2a"),
    ("cond", 7, True, 5, 12, "bc815ad6c95315f9"),
    ("two parents", 0, False, 5, 7, "34fc87c7b477940d"),
    ("two parents", 0, False, 3, 6, "6cc433810e0bfc21"),
    ("two parents", 0, True, 5, 7, "d1b2118192e55b2f"),
    ("two parents", 7, False, 5, 7, "8d79ebbe937361d6"),
    ("two parents", 7, False, 3, 6, "5987704417745d8b"),
    ("two parents", 7, True, 5, 7, "97370d0f976ab669"),
    ("chain", 0, False, 5, 280, "f15c3d147ae63f84"),
    ("chain", 0, False, 3, 57, "3110ded40cf3c670"),
    ("chain", 0, True, 5, 280, "7a82c257f6167374"),
    ("chain", 7, False, 5, 280, "90addeee50c31537"),
    ("chain", 7, False, 3, 57, "7684bf30142cc59b"),
    ("chain", 7, True, 5, 280, "a1b204c104aac963"),
    ("log", 0, False, 5, 275, "78bfb8dc9a9be269"),
    ("log", 0, False, 3, 63, "2121434f7294b1f8"),
    ("log", 0, True, 5, 275, "8f26981a63ca6216"),
    ("log", 7, False, 5, 275, "c5700051a4c2178a"),
    ("log", 7, False, 3, 63, "578413a7c6394a4d"),
    ("log", 7, True, 5, 275, "f097625868f8a5d4"),
    ("at spread", 0, False, 5, 4096, "f16b09444dc2a105"),
    ("above", 0, False, 5, 18750, "9968cba5c4694de4"),
    ("one", 0, False, 5, 1, "58c56cc88f3946c6"),
    ("one", 0, False, 3, 1, "58c56cc88f3946c6"),
    ("one", 0, True, 5, 1, "58c56cc88f3946c6"),
    ("one", 7, False, 5, 1, "58c56cc88f3946c6"),
    ("one", 7, False, 3, 1, "58c56cc88f3946c6"),
    ("one", 7, True, 5, 1, "58c56cc88f3946c6"),
    ("step 0.25", 0, False, 5, 75, "00f28a518d5a2af5"),
    ("step 0.25", 0, False, 3, 27, "eae0ab4f75d70a4c"),
    ("step 0.25", 0, True, 5, 75, "3e038d3d047e911e"),
    ("step 0.25", 7, False, 5, 75, "64b3c38e295129c8"),
    ("step 0.25", 7, False, 3, 27, "682aa74c2ec3ca82"),
    ("step 0.25", 7, True, 5, 75, "35c3710b3f0c6f61"),
)

NINE = SearchSpace({**{f"x{i}": Float(0, 1) for i in range(9)}, **OPTIMIZER}, {"x8": {"optimizer": ("sgd",)}})


def suggestions(searcher: Grid) -> Iterator[Config]:
    while (config := searcher.suggest()) is not None:
        yield config


@pytest.mark.parametrize(("name", "seed", "warm", "points", "count", "recorded"), RECORDED)
def test_the_order_is_the_recorded_one(
    name: str, seed: int, warm: bool, points: int, count: int, recorded: str
) -> None:
    space, extra = SPACES[name], dict[str, Any]()
    if warm:
        listed = list(space.grid())
        extra = {"prior": tuple(Observation(c, 9, 0.5) for c in listed[1:6]), "start": (listed[-1], listed[0])}
    searcher = Grid(Setting(space, budget=10, max_epochs=9, seed=seed, **extra), points=points)
    found = [digest(dict(config)) for config in suggestions(searcher)]
    assert (len(found), hashlib.sha256("".join(found).encode()).hexdigest()[:16]) == (count, recorded)


def test_ten_points_of_two_million_take_milliseconds_and_no_memory() -> None:
    assert combinations(NINE) == 5**8 * (1 + 5) == NINE.grid().total > grids.LISTED
    tracemalloc.start()
    try:
        began = time.perf_counter()
        searcher = Grid(Setting(NINE, budget=10, max_epochs=1))
        found = [searcher.suggest() for _ in range(10)]
        seconds, memory = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(config in NINE for config in found)
    assert len({digest(config) for config in found}) == 10
    assert (seconds < 1.0, memory < 1_000_000) == (True, True), (seconds, memory)


def test_a_grid_beyond_any_memory_is_drawn_point_by_point_and_covers_each_value() -> None:
    space = SearchSpace(
        {**{f"x{i}": Float(0, 1) for i in range(60)}, **OPTIMIZER, "momentum": Float(0, 1)},
        {"momentum": {"optimizer": ("sgd",)}},
    )
    assert combinations(space) == 5**60 * (1 + 5) > sys.maxsize
    first, again, other = (
        list(itertools.islice(suggestions(Grid(Setting(space, budget=1, max_epochs=1, seed=s))), 200))
        for s in (0, 0, 1)
    )
    assert first == again != other
    assert len({digest(dict(config)) for config in first}) == 200
    for name in ("x0", "x31", "x59"):
        shares = [sum(config[name] == value for config in first) / 200 for value in space.domains[name].values(5)]
        assert min(shares) > 0.1, shares
    # "sgd" has five times as many points as "adam".
    assert 0.7 < sum(config["optimizer"] == "sgd" for config in first) / 200 < 0.95


@pytest.mark.parametrize(("spread", "listed"), [(0, 10**6), (0, 0)])
@pytest.mark.parametrize("name", ["cond", "chain"])
def test_every_order_ends_after_each_point_once(name: str, spread: int, listed: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(grids, "SPREAD", spread)
    monkeypatch.setattr(grids, "LISTED", listed)
    space = SPACES[name]
    searcher = Grid(Setting(space, budget=10, max_epochs=1))
    copied = copy.deepcopy(searcher)
    found = [digest(dict(config)) for config in suggestions(searcher)]
    assert sorted(found) == sorted(digest(config) for config in space.grid())
    assert [digest(dict(config)) for config in suggestions(copied)] == found


@pytest.mark.parametrize("total", [1, 2, 255, 256, 257, 1000])
def test_drawn_numbers_are_a_permutation(total: int) -> None:
    assert sorted(Drawn(total, np.random.default_rng(0))) == list(range(total))


# -- counting and numbering, against a list -----------------------------------------------------------------------


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    names = [f"h{i}" for i in range(draw(st.integers(1, 6)))]
    domains = {
        name: draw(st.sampled_from([Int(1, 3), Choice(("a", "b")), Float(0, 1, step=0.5), Int(1, 1)])) for name in names
    }
    conditions: dict[str, dict[str, tuple[Value, ...]]] = {}
    for i, name in enumerate(names):
        for parent in draw(st.lists(st.sampled_from(names[:i]), max_size=2, unique=True)) if i else ():
            options = domains[parent].values(9)
            chosen = draw(st.lists(st.sampled_from(options), min_size=1, unique=True))
            conditions.setdefault(name, {})[parent] = tuple(chosen)
    return SearchSpace(dict(draw(st.permutations(list(domains.items())))), conditions)


def listed(space: SearchSpace, points: int) -> list[dict[str, Value]]:
    """Every combination in a list, the last hyperparameter fastest."""
    configs: list[dict[str, Value]] = [{}]
    for name, domain in space.domains.items():
        configs = [
            {**config, **extra}
            for config in configs
            for extra in ([{name: v} for v in domain.values(points)] if space.active(name, config) else [{}])
        ]
    return configs


@given(spaces(), st.integers(1, 4))
@settings(max_examples=150)
def test_combinations_are_counted_numbered_and_listed_as_in_a_list(space: SearchSpace, points: int) -> None:
    expected, grid = listed(space, points), space.grid(points)
    assert combinations(space, points) == len(grid) == len(expected)
    assert list(grid) == expected
    assert [grid[i] for i in range(len(expected))] == expected
    with pytest.raises(IndexError):
        grid[len(expected)]
    assert space.size == len(listed(space, 9))


def test_counting_takes_no_list_whatever_the_conditions() -> None:
    many = {f"p{i}": Int(1, 10**6) for i in range(40)}
    children = {f"c{i}": Int(1, 2) for i in range(39)}
    conditions = {f"c{i}": {f"p{i}": (3, 4), f"p{i + 1}": (4, 5)} for i in range(39)}
    began = time.perf_counter()
    size = SearchSpace({**many, **children}, conditions).size
    assert time.perf_counter() - began < 2
    # By hand: a row of parents, each in a group of like values, where a pair that gives a child counts twice.
    groups = {(True, False): 1, (True, True): 1, (False, True): 1, (False, False): 10**6 - 3}  # values 3, 4, 5, others
    ways = dict(groups)
    for _ in range(39):
        ways = {
            new: sum(ways[old] * number * (2 if old[0] and new[1] else 1) for old in ways)
            for new, number in groups.items()
        }
    assert size == sum(ways.values())


# -- hpo check ----------------------------------------------------------------------------------------------------

STUDY = """
study: grid
trainable: curves
space: {{{space}}}
budget: {{epochs: 10, max_epochs: 1}}
methods: [{method}]
"""


@pytest.mark.parametrize(
    ("space", "method", "says"),
    [
        (", ".join(f"x{i}: {{type: float, low: 0, high: 1}}" for i in range(9)), "grid", "1953125 points"),
        (", ".join(f"x{i}: {{type: float, low: 0, high: 1}}" for i in range(9)), "{grid: {points: 2}}", "512 points"),
        (
            "a: {type: choice, values: [x, y]}, "
            + ", ".join(f"x{i}: {{type: float, low: 0, high: 1, if: {{a: x}}}}" for i in range(9)),
            "grid",
            "1953126 points",
        ),
        (", ".join(f"x{i}: {{type: int, low: 1, high: 9}}" for i in range(500)), "grid", "more than 1e+15 points"),
    ],
)
def test_the_plan_counts_the_points_of_any_grid(tmp_path: Any, space: str, method: str, says: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(space=space, method=method))
    assert f"grid        {says}" in str(Plan.of(Study.load(path)))
