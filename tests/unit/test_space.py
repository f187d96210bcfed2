"""Search spaces: encodings that invert each other, grids, conditions, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.study.space import Choice, Float, Int, InvalidSpace, SearchSpace, combinations

floats = st.builds(
    lambda low, width, log, step: Float(low, low + width, log=log and step is None, step=step),
    st.floats(1e-6, 10), st.floats(0.01, 100), st.booleans(), st.sampled_from([None, 0.25, 0.5]),
)  # fmt: skip
ints = st.builds(
    lambda low, width, log, step: Int(low, low + width, log=log and step is None, step=step),
    st.integers(1, 50), st.integers(0, 200), st.booleans(), st.sampled_from([None, 2, 3]),
)  # fmt: skip
choices = st.lists(st.one_of(st.integers(), st.text(max_size=3), st.booleans()), min_size=1, max_size=5, unique_by=repr).filter(
    lambda values: len({(type(v) is bool, v) for v in values}) == len(values)
).map(lambda values: Choice(tuple(values)))  # fmt: skip
domains = st.one_of(floats, ints, choices)


@given(domains, st.floats(0, 1))
def test_what_is_decoded_lies_in_the_domain_and_is_found_again(domain, unit):
    value = domain.decode(unit)
    assert domain.contains(value)
    again = domain.decode(domain.encode(value))
    assert again == value or math.isclose(again, value, rel_tol=1e-9)


@given(ints)
def test_every_whole_number_can_be_drawn(domain):
    values = {domain.decode(u) for u in np.linspace(0, 1, 40 * int(domain.size) + 1)}
    assert len(values) == domain.size or domain.log


@given(st.dictionaries(st.sampled_from("abcdef"), domains, min_size=1), st.integers(0, 100))
def test_samples_belong_to_the_space_and_features_have_its_width(domains_by_name, seed):
    space = SearchSpace(domains_by_name)
    config = space.sample(np.random.default_rng(seed))
    space.check(config)
    assert space.features(config).shape == (space.width,)
    assert ((space.features(config) >= 0) & (space.features(config) <= 1)).all()
    assert set(space.decode(space.encode(config))) == set(config)


CONDITIONAL = SearchSpace(
    {
        "momentum": Float(0, 0.9, grid=(0.0, 0.9)),
        "optimizer": Choice(("adam", "sgd")),
        "layers": Int(1, 3),
        "width3": Choice((8, 16)),
    },
    {"momentum": {"optimizer": ("sgd",)}, "width3": {"layers": (3,)}},
)


def test_parents_come_first_and_children_exist_only_where_they_should():
    assert CONDITIONAL.names.index("optimizer") < CONDITIONAL.names.index("momentum")
    for config in CONDITIONAL.grid():
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert ("width3" in config) == (config["layers"] == 3)
    assert len(CONDITIONAL.grid()) == (1 + 2) * (2 + 2) == combinations(CONDITIONAL)
    assert {"optimizer": "adam", "layers": 1, "momentum": 0.5} not in CONDITIONAL
    assert {"optimizer": "sgd", "layers": 1} not in CONDITIONAL


def test_a_hyperparameter_exists_only_where_all_of_its_parents_match():
    space = SearchSpace(
        {"a": Choice((1, 2)), "b": Choice((1, 2)), "child": Int(1, 4)}, {"child": {"a": (2,), "b": (2,)}}
    )
    assert [("child" in config) for config in space.grid()] == [False] * 3 + [True] * 4
    assert {"a": 2, "b": 1, "child": 1} not in space
    assert {"a": 2, "b": 2} not in space
    assert space.decode([0.9, 0.1, 0.5]) == {"a": 2, "b": 1}


def test_what_does_not_exist_lies_in_the_middle_of_the_cube_and_is_no_option_of_the_features():
    adam = {"optimizer": "adam", "layers": 1}
    assert CONDITIONAL.names == ("optimizer", "momentum", "layers", "width3")
    assert CONDITIONAL.encode(adam).tolist() == [0.25, 0.5, pytest.approx(1 / 6), 0.5]
    assert CONDITIONAL.features(adam).tolist() == [1, 0, 0.5, pytest.approx(1 / 6), 0, 0]
    sgd = {"optimizer": "sgd", "momentum": 0.9, "layers": 3, "width3": 16}
    assert CONDITIONAL.encode(sgd).tolist() == [0.75, 1.0, pytest.approx(5 / 6), 0.75]
    assert CONDITIONAL.features(sgd).tolist() == [0, 1, 1.0, pytest.approx(5 / 6), 0, 1]


def test_the_size_of_a_space_counts_what_exists():
    assert SearchSpace({"a": Int(1, 4), "b": Choice(("x", "y"))}).size == 8
    assert CONDITIONAL.size == math.inf
    assert SearchSpace({"a": Choice((1, 2)), "b": Int(1, 5)}, {"b": {"a": (2,)}}).size == 6
    assert SearchSpace({"a": Choice((1, 2)), "b": Int(1, 5), "c": Int(1, 3)}, {"b": {"a": (2,)}}).size == 18


def test_the_grid_has_as_many_points_as_are_counted_without_it():
    space = SearchSpace({"a": Float(0, 1), "b": Int(1, 100), "c": Choice(("x", "y")), "d": Float(0, 1, grid=(0.5,))})
    assert combinations(space) == len(space.grid()) == 5 * 5 * 2 * 1
    assert combinations(space, 3) == len(space.grid(3)) == 3 * 3 * 2 * 1


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Float(3, 1), "low <= high must hold, but got (low=3, high=1)"),
        (lambda: Float(0, 1, log=True), "low > 0 must hold where log is true, but got low=0"),
        (lambda: Float(math.nan, 1), "must be finite"),
        (lambda: Int(1, 5, step=0), "step > 0 must hold, but got step=0"),
        (lambda: Float(1, 5, log=True, step=1), "log and step exclude each other, but got (log=true, step=1)"),
        (lambda: Float(0, 1, grid=(2.0,)), "every grid value must lie in [0, 1], but got 2.0"),
        (lambda: Float(0, 1, grid=()), "grid must name at least one value"),
        (lambda: Choice(()), "values must name at least one value"),
        (lambda: Choice(("a", "a")), "values must differ, but got 'a' twice"),
        (lambda: SearchSpace({"a": Int(0, 1)}, {"a": {"b": (1,)}}), "must depend on a hyperparameter of the space"),
        (lambda: SearchSpace({"a": Int(0, 1), "b": Int(0, 1)}, {"a": {"b": (1,)}, "b": {"a": (1,)}}), "form a cycle"),
        (lambda: SearchSpace({"a": Int(0, 1), "b": Int(0, 1)}, {"a": {"b": (7,)}}), "must depend on values of b"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_values(build, says):
    with pytest.raises(InvalidSpace) as error:
        build()
    assert says in str(error.value)


def test_true_is_not_one_and_bounds_belong_to_the_range():
    assert not Choice((1, 2)).contains(True)
    assert not Int(0, 3).contains(True)
    assert [Int(2, 4).contains(n) for n in (1, 2, 4, 5)] == [False, True, True, False]
    assert not Float(0, 1).contains(True)
    assert [Float(2, 4).contains(n) for n in (1.999, 2, 4, 4.001)] == [False, True, True, False]
    assert [Int(1, 9, step=3).contains(n) for n in range(1, 10)] == [n in (1, 4, 7) for n in range(1, 10)]


def test_a_range_of_one_value_is_a_range():
    assert (Float(0.5, 0.5).size, Float(0.5, 0.5).decode(0.9), Float(0.5, 0.5).encode(0.5)) == (1, 0.5, 0.5)
    assert (Int(3, 3).size, Int(3, 3).decode(0.9), Int(3, 3).values(5)) == (1, 3, (3,))


def test_steps_are_counted_whatever_their_rounding():
    assert (0.3 - 0.0) / 0.1 < 3  # as floats have it
    assert Float(0.0, 0.3, step=0.1).size == 4
    assert Float(0.0, 0.3, step=0.1).values(9) == pytest.approx((0.0, 0.1, 0.2, 0.3))
    assert Float(0.0, 0.35, step=0.1).values(9) == pytest.approx((0.0, 0.1, 0.2, 0.3))
    assert Int(1, 9, step=3).values(9) == (1, 4, 7)


def test_values_have_twelve_digits_so_that_every_machine_draws_the_same():
    assert Float(1e-4, 0.1, log=True).decode(1 / 3) == 0.001
    assert Float(0.0, 0.9).decode(1 / 3) == 0.3
    drawn = [Float(1e-4, 0.1, log=True).decode(unit) for unit in np.linspace(0, 1, 100)]
    assert all(float(f"{value:.12g}") == value for value in drawn)
