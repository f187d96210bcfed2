"""The reference line "random x2" against pairs that are listed one by one, and against random search with twice the budget."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpo.game.contract import SPACE, Landscape, play
from hpo.methods.protocol import Setting
from hpo.report.comparison_section import save_picture
from hpo.report.comparison_tables import comparison_tables, found_table, render_comparison
from hpo.report.html import page, tasks_page
from hpo.results import anytime
from hpo.results.compare import compare, compare_many
from hpo.results.reference import Reference, best_of_two
from hpo.results.values import Comparison
from hpo.study.values import Method
from tests.simulated import simulated_study

RANDOM, ASHA = [0.6, 0.9, 0.7, 0.8], [0.81, 0.82, 0.83, 0.84]
NAN = math.nan


def reference(found: Comparison) -> Reference:
    assert found.reference is not None
    return found.reference


def pairs_by_hand(values: list[float], mode: str = "max") -> float:
    """Returns the mean of the better value over all pairs that have any."""
    better = max if mode == "max" else min
    known = [[v for v in pair if not math.isnan(v)] for pair in combinations(values, 2)]
    return float(np.mean([better(pair) for pair in known if pair]))


@given(arrays(float, st.integers(2, 9), elements=st.sampled_from([0.1, 0.2, 0.2, 0.3, NAN]) | st.floats(-1, 1)))
def test_shares_are_those_of_the_pairs_one_by_one(values: np.ndarray) -> None:
    if np.isfinite(values).sum() == 0:
        assert not best_of_two(values).any()
        return
    shares = best_of_two(values)
    assert shares.sum() == pytest.approx(1.0)
    assert np.nansum(shares * values) == pytest.approx(pairs_by_hand(values.tolist()))


def test_four_runs_worked_by_hand() -> None:
    """Of six pairs 0.9 wins three, 0.8 two and 0.7 one: (2.7 + 1.6 + 0.7) / 6. The exams are those of the same winners."""
    tests = {"random": [0.5, 0.85, 0.6, 0.76], "asha": ASHA}
    found = reference(compare(simulated_study({"random": RANDOM, "asha": ASHA}, tests=tests)))
    assert (found.name, found.method, found.runs, found.pairs) == ("random x2", "random", 4, 6)
    assert found.mean == pytest.approx(5.0 / 6)
    assert found.test_mean == pytest.approx((3 * 0.85 + 2 * 0.76 + 0.6) / 6)
    assert found.task_means == {"simulated": found.mean}


def test_a_loss_takes_the_smaller_value() -> None:
    study = simulated_study({"random": RANDOM, "asha": ASHA}, metric="val_loss", mode="min")
    assert reference(compare(study)).mean == pytest.approx(pairs_by_hand(RANDOM, "min"))


def test_the_curve_is_the_mean_of_the_pairs_curves() -> None:
    """A simulated run's values are final - 0.4, - 0.2, - 0.1 and final, so that the same run of a pair leads throughout."""
    found = reference(compare(simulated_study({"random": RANDOM, "asha": ASHA})))
    expected = [(x, pairs_by_hand(RANDOM) - below) for x, below in ((1, 0.4), (2, 0.2), (3, 0.1), (4, 0.0))]
    assert np.array(found.anytime["simulated"]) == pytest.approx(np.array(expected))


def test_curves_that_cross_are_joined_point_by_point() -> None:
    from hpo.results.reference import _curve

    first, second, third = ((1, 0.5), (4, 0.6)), ((2, 0.1), (3, 0.9), (4, 0.9)), ((1, 0.2), (2, 0.7), (4, 0.7))
    x = np.array([2.0, 3.0, 4.0])
    steps = [anytime.at(curve, x) for curve in (first, second, third)]
    expected = np.mean([np.maximum(a, b) for a, b in combinations(steps, 2)], axis=0)
    assert np.array(_curve([first, second, third], 1.0)) == pytest.approx(np.column_stack([x, expected]))
    empty: anytime.Corners = ()
    assert _curve([first, empty], 1.0) == first


def test_runs_without_a_value_lose_and_partial_runs_are_left_out() -> None:
    study = simulated_study({"random": [NAN, 0.5, 0.7, 0.95], "asha": ASHA}, partial=[("random", 3)])
    found = reference(compare(study))
    assert (found.runs, found.pairs) == (3, 3)
    assert found.mean == pytest.approx((0.5 + 0.7 + 0.7) / 3)


@pytest.mark.parametrize(
    "study",
    [
        simulated_study({"random": [0.5], "asha": [0.6]}),
        simulated_study({"tpe": RANDOM, "asha": ASHA}),
        simulated_study({"random": [0.5, 0.6], "asha": [0.6, 0.7]}, partial=[("random", 1)]),
        simulated_study({"random": [NAN, NAN], "asha": [0.6, 0.7]}),
    ],
    ids=["one seed", "no random search", "one complete run", "no value"],
)
def test_without_two_runs_there_is_no_line(study) -> None:
    found = compare(study)
    assert found.reference is None
    assert found.to_json()["reference"] is None
    assert "random x2" not in render_comparison(found, "table") + page(study, found, None, command="hpo run")


@pytest.mark.parametrize(
    ("methods", "label"),
    [
        ([{"name": "random", "label": "dice"}, {"name": "asha", "label": "asha"}], "dice"),
        ([{"name": "random", "label": "dice"}, {"name": "random", "label": "random"}], "random"),
        ([{"label": "random"}, {"label": "asha"}], "random"),  # a store of an earlier version
        ([{"name": "tpe", "label": "random"}, {"name": "asha", "label": "asha"}], None),
    ],
)
def test_random_search_is_known_by_its_name_whatever_its_label(
    methods: list[dict[str, str]], label: str | None
) -> None:
    labels = [method["label"] for method in methods]
    study = simulated_study(dict(zip(labels, (RANDOM, ASHA), strict=True)))
    found = compare(replace(study, definition={**study.definition, "methods": methods})).reference
    assert (found.name if found else None) == (f"{label} x2" if label else None)


def test_the_line_changes_nothing_else() -> None:
    """Tests, ranks, verdict, methods and notes are those of the same runs under a label that is not random search's."""
    study = simulated_study({"random": RANDOM, "asha": ASHA})
    other = [{"name": "sobol", "label": "random", "options": {}}, study.definition["methods"][1]]
    with_line = compare(study).to_json()
    without = compare(replace(study, definition={**study.definition, "methods": other})).to_json()
    assert with_line.pop("reference") is not None
    assert without.pop("reference") is None
    assert with_line == without


def test_tasks_count_equally() -> None:
    studies = [
        simulated_study({"random": [0.5, 0.7, 0.6], "asha": ASHA[:3]}, name="one"),
        simulated_study({"random": [0.1, 0.3], "asha": ASHA[:2]}, name="two"),
        simulated_study({"random": [0.9], "asha": ASHA[:1]}, name="three"),
    ]
    found = reference(compare_many(studies))
    assert found.task_means == pytest.approx({"one": pairs_by_hand([0.5, 0.7, 0.6]), "two": 0.3})
    assert found.mean == pytest.approx((pairs_by_hand([0.5, 0.7, 0.6]) + 0.3) / 2)
    assert (found.runs, found.pairs, set(found.anytime)) == (5, 4, {"one", "two"})
    text = tasks_page(studies, compare_many(studies), {}, command="hpo compare")
    assert text.count("mean-random-x2") == 2, "a line in the figures of two tasks of three"


# -- what is shown ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(simulated_study({"random": RANDOM, "asha": ASHA}))


@pytest.mark.parametrize("format", ["table", "markdown", "latex", "html"])
def test_tables_end_with_the_reference_and_say_how_it_is_computed(found: Comparison, format: str) -> None:
    text = render_comparison(found, format)
    assert "random x2" in text
    assert "the better of two runs of random, as a mean over all 6 pairs of seeds" in " ".join(text.split())
    assert "It takes no part in ranks, tests and verdict." in " ".join(text.split())


def test_the_row_has_a_mean_and_neither_rank_nor_interval(found: Comparison) -> None:
    table = comparison_tables(found)[0]
    cells = {column.key: cell for column, cell in zip(table.columns, table.rows[-1], strict=True)}
    assert {key: cell for key, cell in cells.items() if cell is not None} == {
        "method": "random x2",
        "mean": pytest.approx(5.0 / 6),
    }
    assert table.rows[:-1] == found_table(found).rows
    assert len(table.rows) - 1 not in table.strong


def test_csv_keeps_one_row_a_method(found: Comparison) -> None:
    assert [line.split(",")[0] for line in render_comparison(found, "csv").splitlines()] == ["method", "random", "asha"]


def test_the_json_has_the_reference(found: Comparison) -> None:
    answer = json.loads(render_comparison(found, "json"))["reference"]
    assert set(answer) == {"name", "method", "runs", "pairs", "mean", "test_mean", "task_means", "anytime"}
    assert answer["anytime"]["simulated"][-1] == [4.0, pytest.approx(5.0 / 6)]
    assert [method["method"] for method in json.loads(render_comparison(found, "json"))["methods"]] == [
        "random",
        "asha",
    ]


def test_the_anytime_curve_has_a_dashed_grey_line(found: Comparison, tmp_path: Path) -> None:
    study = simulated_study({"random": RANDOM, "asha": ASHA})
    text = page(study, found, None, command="hpo run")
    line = text[text.index('-mean-random-x2">') :].partition("</g>")[0]
    assert "stroke-dasharray" in line
    assert "var(--muted)" in line
    assert "Dashed grey: random x2, random search with twice the budget; at x epochs it has been charged 2x." in text
    picture = save_picture(found, tmp_path / "curves.svg").read_text()
    assert "mean-random-x2" in picture


# -- against the real thing ---------------------------------------------------------------------------------------


def best(budget: int, seed: int) -> float:
    setting = Setting(SPACE, budget=budget, max_epochs=3, parallelism=4, seed=seed)
    game = play(Method("random", "random"), setting, Landscape(seed=7, failing=0.1))
    assert game.run.incumbent is not None
    return game.run.incumbent.value


def test_pairs_of_runs_estimate_random_search_with_twice_the_budget() -> None:
    """80 runs of 30 epochs, and 160 others of 60 epochs: the means agree within three standard errors, as half the budget
    does not."""
    half, twice = (
        [best(budget, seed) for seed in seeds] for budget, seeds in ((30, range(80)), (60, range(1000, 1160)))
    )
    joined = float(np.sum(best_of_two(np.array(half)) * half))
    error = math.hypot(np.std(half) / math.sqrt(len(half)), np.std(twice) / math.sqrt(len(twice)))
    assert abs(joined - np.mean(twice)) < 3 * error
    assert np.mean(twice) - np.mean(half) > 3 * error
