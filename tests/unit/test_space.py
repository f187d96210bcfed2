"""Search spaces: encodings that invert each other, grids, conditions, and what they refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hpo.methods.searchers.encoding import features
from hpo.study.neighbours import neighbours
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
    assert again == value or (math.isinf(domain.size) and math.isclose(again, value, rel_tol=1e-9))


@given(ints)
def test_every_whole_number_can_be_drawn(domain):
    values = {domain.decode(u) for u in np.linspace(0, 1, 40 * int(domain.size) + 1)}
    assert len(values) == domain.size or domain.log


@given(ints, st.integers(0, 3))
def test_a_grid_of_as_many_points_as_there_are_whole_numbers_has_each_once(domain, more):
    every = tuple(range(domain.low, domain.high + 1, domain.step or 1))
    assert domain.values(len(every) + more) == every


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


def test_what_does_not_exist_lies_in_the_middle_and_is_no_option_of_the_features():
    adam = {"optimizer": "adam", "layers": 1}
    assert CONDITIONAL.names == ("optimizer", "momentum", "layers", "width3")
    assert CONDITIONAL.encode(adam).tolist() == [0.25, 0.5, pytest.approx(1 / 6), 0.5]
    assert CONDITIONAL.features(adam).tolist() == [1, 0, 0.5, pytest.approx(1 / 6), 0.5]
    sgd = {"optimizer": "sgd", "momentum": 0.9, "layers": 3, "width3": 16}
    assert CONDITIONAL.encode(sgd).tolist() == [0.75, 1.0, pytest.approx(5 / 6), 0.75]
    assert CONDITIONAL.features(sgd).tolist() == [0, 1, 1.0, pytest.approx(5 / 6), 0.75]


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
        (lambda: Float(1, 5, step=math.nan), "step > 0 must hold, but got step=nan"),
        (lambda: Float(1, 5, step=math.inf), "step must be finite, but got step=inf"),
        (lambda: Float(1e6, 2e6, step=1e-9), "step must be at least 3.72529e-09, 16 spacings of floats"),
        (lambda: Float(0, 1, step=0.1, grid=(0.25,)), "every grid value must lie in [0, 1] by 0.1, but got 0.25"),
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
    assert Float(0.0, 0.3, step=0.1).values(9) == (0.0, 0.1, 0.2, 0.3)
    assert Float(0.0, 0.35, step=0.1).values(9) == (0.0, 0.1, 0.2, 0.3)
    assert Int(1, 9, step=3).values(9) == (1, 4, 7)


def test_values_have_twelve_digits_so_that_every_machine_draws_the_same():
    assert Float(1e-4, 0.1, log=True).decode(1 / 3) == 0.001
    assert Float(0.0, 0.9).decode(1 / 3) == 0.3
    drawn = [Float(1e-4, 0.1, log=True).decode(unit) for unit in np.linspace(0, 1, 100)]
    assert all(float(f"{value:.12g}") == value for value in drawn)


# -- stepped ranges: one value a level ----------------------------------------------------------------------------

decimals = st.integers(-3, 3).flatmap(
    lambda e: st.integers(-500, 500).map(lambda n: float(Fraction(n) * Fraction(10) ** e))
)
steps = st.integers(-3, 3).flatmap(lambda e: st.integers(1, 50).map(lambda n: float(Fraction(n) * Fraction(10) ** e)))


def holds(domain: Float) -> None:
    """Checks a stepped range's promises: one value a level, the float nearest to the decimal one, found from everywhere."""
    count = int(domain.size)
    values = domain.values(count)
    exact = [Fraction(repr(domain.low)) + k * Fraction(repr(domain.step)) for k in range(count)]
    assert values == tuple(min(domain.high, float(level)) for level in exact)
    assert len(set(values)) == count
    assert domain.low == values[0] <= values[-1] <= domain.high < values[-1] + 1.0000001 * domain.step
    space = SearchSpace({"x": domain})
    cubes = np.array([[domain.encode(value)] for value in values])
    assert (features(space, cubes) == cubes).all()
    for place, value in enumerate(values):
        assert domain.contains(value)
        assert domain.decode(domain.encode(value)) == value == domain.decode((place + 0.5) / count)
        summed = domain.low + place * domain.step  # what others compute, and older stores hold
        assert domain.snap(summed) == domain.snap(value) == value
        assert summed == value or not domain.contains(summed)
        assert not domain.contains(value + 0.4 * domain.step)
        assert domain.snap(value + 0.4 * domain.step) == value + 0.4 * domain.step
    others = [config["x"] for config in neighbours(space, {"x": values[-1]}, "x", count)]
    assert others == list(values[:-1])
    assert list(space.grid(count)) == [{"x": value} for value in values]


@given(decimals, steps, st.integers(0, 60))
@example(0.0, 0.1, 3)
@example(0.0, 1 / 3, 3)
@example(1e-3, 0.007, 11)
def test_a_decimal_range_has_one_value_a_level_everywhere(low, step, count):
    high = float(Fraction(repr(low)) + count * Fraction(repr(step)))
    domain = Float(low, high, step=step)
    assert domain.size == count + 1
    holds(domain)
    holds(replace(domain, high=high + 0.5 * step))


ORDINARY_STEPS = (
    *(0.1, 0.05, 0.01, 0.02, 0.025, 0.2, 0.25, 0.3, 0.7, 1.1),
    *(0.001, 0.003, 0.15, 0.35, 0.6, 0.9, 1.7, 0.07, 0.03, 0.4),
)


def test_580_ordinary_ranges():
    """Ranges such as a study file has them: 154 of them had values beyond their ends, or two values for one level."""
    checked = 0
    for step in ORDINARY_STEPS:
        for low in (0.0, 0.1, 0.3, 1.0, -0.5):
            for levels in (3, 6, 7, 10, 17, 30):
                high = float(Fraction(str(low)) + levels * Fraction(str(step)))
                domain = Float(low, high, step=step)
                assert domain.size == levels + 1
                assert domain.decode(1.0) == domain.values(99)[-1] == high
                holds(domain)
                checked += 1
    assert checked >= 580


def test_a_range_that_only_rounding_keeps_from_its_last_level_ends_at_high():
    odd = Float(0.9999999999999999, 1.9999999999999998, step=0.25)
    assert (odd.size, odd.decode(1.0)) == (5, 1.9999999999999998)
    assert all(odd.contains(value) for value in odd.values(9))
    assert not odd.contains(2.0)
    thirds = Float(0.0, 1.0, step=0.3333333334)
    assert thirds.values(9) == (0.0, 0.3333333334, 0.6666666668, 1.0)


def test_values_of_others_become_levels_and_nothing_else_changes():
    space = SearchSpace(
        {
            "a": Float(0, 0.3, step=0.1, grid=(0, 0.30000000000000004)),
            "b": Float(0, 1),
            "c": Choice((0.30000000000000004, 1)),
        }
    )
    assert space.domains["a"].grid == (0, 0.3)
    assert space.snap({"a": 0.30000000000000004, "b": 0.30000000000000004, "c": 0.30000000000000004}) == {
        "a": 0.3, "b": 0.30000000000000004, "c": 0.30000000000000004,
    }  # fmt: skip
    assert [repr(space.snap({"a": value})["a"]) for value in (0, 0.0, 0.25, True, "x", math.nan, 10**400, 0.1)] == [
        "0", "0.0", "0.25", "True", "'x'", "nan", repr(10**400), "0.1",
    ]  # fmt: skip
    assert space.snap({"elsewhere": 1}) == {"elsewhere": 1}
    child = SearchSpace({"a": space.domains["a"], "b": Int(0, 1)}, {"b": {"a": (0.1 + 0.2,)}})
    assert {"a": 0.3, "b": 1} in child
    assert {"a": 0.3} not in child


@given(st.integers(-50, 50), st.integers(1, 9), st.integers(0, 300), st.booleans())
def test_whole_numbers_are_found_again_with_steps_and_over_magnitudes(low, step, width, log):
    domain = Int(max(1, low), max(1, low) + width, log=True) if log else Int(low, low + width, step=step)
    values = [v for v in range(domain.low, domain.high + 1) if domain.contains(v)]
    assert len(values) == domain.size
    assert [domain.decode(domain.encode(value)) for value in values] == values
    assert set(domain.values(7)) <= set(values)
