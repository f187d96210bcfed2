"""Two objectives and constraints: fronts and hypervolumes against hand-worked cases, and what constraints leave."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.api.suite import SuiteResults
from hpo.errors import HpoError
from hpo.report.comparison_tables import render_comparison
from hpo.report.html import page, tasks_page
from hpo.results.compare import compare
from hpo.results.constraints import BadConstraint, Constraint, constrained, feasible
from hpo.results.measured import UnknownMeasure, measured, names
from hpo.results.pareto import BadObjectives, Objective, hypervolume, nondominated, objectives, pareto, reference
from hpo.results.view import PLAIN, View
from hpo.store import columns as stored
from tests.conftest import hpo as run_cli
from tests.simulated import simulated_study
from tests.synthetic_study import played, synthetic_study, write_study

ACCURACY = {"metric": "val_accuracy", "mode": "max"}
LATENCY = {"9": 6.0, "14": 10.0, "18": 14.0, "all": 25.0}


def with_latency(data):
    """The study with a latency, by layers, that its trainable could have measured after each epoch."""
    layers = data.epochs["config_finetuned_layers"].to_pylist()
    return replace(
        data, epochs=data.epochs.append_column("val_latency", pa.array([LATENCY[layer] for layer in layers]))
    )


@pytest.fixture(scope="module")
def data():
    return with_latency(synthetic_study(budget=64, seeds=(0, 1, 2)))


# -- hypervolume --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "point", "area"),
    [
        ([], (0, 0), 0.0),
        ([(2, 3)], (0, 0), 6.0),
        ([(3, 1), (1, 3)], (0, 0), 5.0),  # 3 x 1, and 1 x 2 above it
        ([(3, 1), (2, 2), (1, 3)], (0, 0), 6.0),
        ([(3, 1), (2, 2), (1, 3), (1, 1), (2, 2)], (0, 0), 6.0),  # dominated and equal ones add nothing
        ([(3, 1), (2, 2), (1, 3)], (1, 1), 1.0),  # only (2, 2) is better than the point in both
        ([(2, 3)], (2, 0), 0.0),  # at the point's edge
        ([(math.nan, 3), (2, 2)], (0, 0), 4.0),
        ([(-1, -2)], (-3, -3), 2.0),
    ],
)
def test_hypervolume_by_hand(values, point, area):
    assert hypervolume(np.array(values, dtype=float).reshape(-1, 2), point) == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize(
    ("count", "point", "area", "size"),
    [(1, (0, 0), 0.560625, 1), (5, (0, 0), 0.494796, 2), (40, (0.2, 0.3), 0.510993, 3), (200, (0.5, -1), 0.960697, 5)],
)
def test_hypervolume_and_front_agree_with_moocore(count, point, area, size):
    """Figures of moocore 0.3.2: hypervolume(v, ref=point, maximise=True) and is_nondominated(v, maximise=True)."""
    rng = np.random.default_rng(7)
    drawn = [np.round(rng.random((n, 2)), 3) for n in (1, 5, 40, 200)]
    values = next(v for v in drawn if len(v) == count)
    assert hypervolume(values, point) == pytest.approx(area, abs=1e-12)
    assert len(nondominated(values)) == size


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_hypervolume_counts_the_cells_that_a_point_dominates(points):
    values = np.array(points, dtype=float).reshape(-1, 2)
    cells = sum(any(x > i and y > j for x, y in points) for i, j in product(range(6), repeat=2))
    assert hypervolume(values, (0, 0)) == cells
    front = {points[i] for i in nondominated(values)}
    assert front == {
        p for p in points if not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in points)
    }  # fmt: skip
    assert len(front) == len(nondominated(values))  # equal points count once


# -- fronts of a study --------------------------------------------------------------------------------------------


def test_the_front_of_every_method_by_hand():
    """Each run's epochs: accuracy 0.4 less, 0.2 less, 0.1 less, the final value; seconds 1, 1, 2, 2."""
    found = pareto(
        simulated_study({"a": [0.9, 0.7], "b": [0.8, 0.8]}),
        (Objective("val_accuracy", "max"), Objective("seconds", "min")),
        (0.0, 3.0),
    )
    a, b = found.methods
    # a/0: (0.9, 2 s) and (0.7, 1 s): 0.9 x 1 + 0.7 x 1; a/1: 0.7 x 1 + 0.5 x 1
    assert a.hypervolume == pytest.approx((1.6 + 1.2) / 2)
    assert b.hypervolume == pytest.approx(0.8 + 0.6)
    assert found.ideal == (0.9, 1.0)
    assert a.share == pytest.approx(1.4 / (0.9 * 2))
    assert [(c.seed, c.epoch, c.values) for c in a.front] == [
        (0, 2, (0.9, 2.0)),
        (0, 2, (pytest.approx(0.7), 1.0)),
    ]
    assert (a.contributes, b.contributes) == (2, 0)
    assert [c.method for c in found.front] == ["a", "a"]
    assert a.ci95[0] >= 0 and a.ci95[1] <= 1  # noqa: PT018


def test_the_reference_point_lies_a_tenth_of_the_range_beyond_the_worst_ends():
    study = simulated_study({"a": [0.9], "b": [0.6]})
    found = pareto(study, objectives("val_accuracy,seconds", study.definition))
    # fronts: (0.9, 2), (0.7, 1) and (0.6, 2), (0.4, 1): accuracy 0.4 to 0.9, seconds 1 to 2
    assert found.reference == pytest.approx((0.4 - 0.05, 2.1))
    assert found.methods[0].hypervolume == pytest.approx(0.55 * 0.1 + 0.35 * 1.0)


def test_a_complete_run_without_a_candidate_counts_as_no_area_and_an_incomplete_one_not_at_all():
    study = simulated_study({"a": [0.9, math.nan, 0.5]}, partial=[("a", 2)])
    (a,) = pareto(study, objectives("val_accuracy,seconds", study.definition), (0.0, 3.0)).methods
    assert a.runs == 2
    assert a.hypervolume == pytest.approx(1.6 / 2)


def test_a_single_value_of_an_objective_still_has_a_box():
    study = simulated_study({"a": [0.9]})
    fixed = replace(study, epochs=study.epochs.append_column("size", pa.array([8.0] * 4)))
    found = pareto(fixed, objectives("val_accuracy,size", study.definition))
    assert found.reference == pytest.approx((0.81, 8.8))
    assert found.methods[0].share == pytest.approx(1.0)


def test_train_seconds_are_summed_over_the_trials_epochs(data):
    found, charges = measured(data, "train_seconds"), data.charges.to_pylist()
    seconds = {(r["trial"], r["epoch"]): r["seconds"] for r in data.epochs.to_pylist() if r["attempt"] == 0}
    for i in range(0, len(charges), 37):
        trial, epoch = charges[i]["trial"], charges[i]["epoch"]
        assert found[i] == pytest.approx(sum(seconds[trial, e] for e in range(1, epoch + 1)))


def test_what_is_stored_can_be_an_objective(data):
    assert names(data) == [
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "val_latency",
        "seconds",
        "train_seconds",
        "epoch",
    ]
    assert np.array_equal(measured(data, "val_accuracy"), stored.numbers(data.charges, "value"))
    with pytest.raises(UnknownMeasure, match=r"got 'val_latancy'; did you mean 'val_latency'\?"):
        measured(data, "val_latancy")


@pytest.mark.parametrize(
    ("text", "modes"),
    [
        ("val_accuracy,images_per_second", ("max", "max")),
        ("val_loss,val_latency", ("min", "min")),
        ("train_seconds, epoch", ("min", "min")),
        ("odd:max,val_f1:min", ("max", "min")),
    ],
)
def test_the_name_tells_which_is_better_unless_the_text_says_it(text, modes):
    assert tuple(objective.mode for objective in objectives(text, ACCURACY)) == modes


def test_the_studys_metric_has_the_studys_mode():
    assert objectives("odd,seconds", {"metric": "odd", "mode": "min"})[0].mode == "min"


@pytest.mark.parametrize(
    "text", ["", "a", "a:min,", "a:min,a:max", "a:min,b:max,c:min", "odd,seconds", "seconds:up,epoch"]
)
def test_objectives_that_cannot_be_read_are_refused(text):
    with pytest.raises(BadObjectives, match="must"):
        objectives(text, ACCURACY)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,1", "nan,1", "1,inf"])
def test_a_reference_point_is_two_numbers(text):
    with pytest.raises(BadObjectives, match="two numbers"):
        reference(text)


# -- constraints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x<=2", [True, True, False, False]),
        ("x < 2", [True, False, False, False]),
        ("x>=2", [False, True, True, False]),
        (" x >2e0", [False, False, True, False]),
    ],
)
def test_a_constraint_at_its_bound_and_beside_it(text, expected):
    assert Constraint.parse(text).holds(np.array([1.0, 2.0, 3.0, math.nan])).tolist() == expected


@pytest.mark.parametrize("text", ["", "x", "x=2", "x<=", "<=2", "x<=two", "x<=nan", "1<x<2", "x<=2 y"])
def test_a_constraint_that_cannot_be_read_is_refused(text):
    with pytest.raises(BadConstraint, match="must be a metric"):
        Constraint.parse(text)


def test_only_feasible_configurations_win(data):
    bound = Constraint.parse("val_latency<=14")
    within = constrained(data, [bound])
    fast = feasible(data, [bound])
    charges = data.charges.to_pylist()
    for run in within.runs.to_pylist():
        values = [c["value"] for c, ok in zip(charges, fast, strict=True) if ok and c["run"] == run["run"]]
        assert run["incumbent_value"] == (max(values) if values else None)
    found = {f"{r.method}/{r.seed}": r.value for r in compare(within).runs}
    assert found == pytest.approx({
        r["run"]: math.nan if r["incumbent_value"] is None else r["incumbent_value"] for r in within.runs.to_pylist()
    }, nan_ok=True)  # fmt: skip
    assert any(found[r["run"]] < r["incumbent_value"] for r in data.runs.to_pylist())
    charged = [(r["charged_epochs"], r["shared_epochs"], r["status"], r["trials"]) for r in within.runs.to_pylist()]
    assert charged == [
        (r["charged_epochs"], r["shared_epochs"], r["status"], r["trials"]) for r in data.runs.to_pylist()
    ]


def test_infeasible_configurations_are_named_and_counted(data):
    comparison, (within,) = View.read("val_accuracy,val_latency", None, ["val_latency<=14"]).compared([data])
    told = comparison.to_json()
    assert told["constraints"] == ["val_latency <= 14"]
    layers = {r["trial"]: r["config_finetuned_layers"] for r in data.epochs.to_pylist()}
    for run in told["feasibility"]:
        assert all(layers[trial] == "all" for trial in run["infeasible"])
    slow = {trial for trial, layer in layers.items() if layer == "all"}
    assert {trial for run in told["feasibility"] for trial in run["infeasible"]} == slow
    assert comparison.verdict.startswith("With val_latency <= 14: ")
    (front,) = told["objectives"]
    assert [o["mode"] for o in front["objectives"]] == ["max", "min"]
    assert all(candidate["values"][1] <= 14 for candidate in front["front"])
    json.dumps(told, allow_nan=False)
    html = page(within, comparison, None, command="hpo run x.yaml")
    assert "Infeasible under val_latency &lt;= 14" in html
    assert all(trial in html for trial in sorted(slow)[:3])
    assert "Dotted lines that end before the metric are infeasible trials." in html
    drawn = html[html.index('<section id="trials"') : html.index('<section id="importance"')]
    assert len(re.findall("<title>[^<]*: infeasible; ", drawn)) == len(slow)
    for format in ("table", "markdown", "latex", "html", "csv"):
        text = render_comparison(comparison, format, width=120)
        assert "hypervolume" in text
        assert "infeasible" in text


def test_where_nothing_is_feasible_the_comparison_says_so(data):
    comparison, (within,) = View.read("val_accuracy,val_latency", None, ["val_latency<1"]).compared([data])
    assert comparison.verdict == "No trained configuration satisfies val_latency < 1."
    assert all(run.incumbent is None for run in comparison.runs)
    assert "No epoch has a value of both objectives" in page(within, comparison, None, command="hpo run x.yaml")


def test_without_options_nothing_changes(data):
    comparison, (within,) = PLAIN.compared([data])
    assert within is data
    assert comparison == compare(data)
    assert "hypervolume" not in render_comparison(comparison, "table", width=100)


def test_several_tasks_have_a_front_each(data):
    other = replace(data, name="other")
    comparison, within = View.read("val_accuracy,seconds", None, []).compared([data, other])
    assert [front.study for front in comparison.objectives] == [data.name, "other"]
    html = tasks_page(within, comparison, {}, command="hpo compare S --all")
    assert html.count("Pareto fronts of val_accuracy and seconds") == 2
    assert "Hypervolume in val_accuracy and seconds by task" in html


def test_the_command_line_takes_objectives_and_constraints(tmp_path):
    write_study(str(tmp_path), played("seen", budget=32, seeds=(0, 1)))
    done = run_cli(
        "compare",
        tmp_path,
        "--objectives",
        "val_accuracy,train_seconds",
        "--constraint",
        "val_loss<=1.2",
        "--format",
        "json",
    )
    told = json.loads(done.stdout)
    assert told["constraints"] == ["val_loss <= 1.2"]
    assert [m["method"] for m in told["objectives"][0]["methods"]] == ["grid", "random", "bayesian", "asha"]
    for words, why in [
        (("--objectives", "val_accuracy,latency"), "valid"),
        (("--objectives", "val_accuracy,odd"), "odd:min or odd:max"),
        (("--constraint", "val_loss=1"), "must be a metric"),
        (("--reference", "0,0"), "--objectives"),
    ]:
        refused = run_cli("compare", tmp_path, *words)
        assert refused.returncode == 2, refused.stderr
        assert why in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_reference_point_needs_objectives():
    with pytest.raises(HpoError, match="--objectives"):
        View.read(None, "0,0", [])


def test_python_takes_lists_and_answers_as_the_command(data):
    results = hpo.Results(data)
    options = {
        "objectives": ["val_accuracy", "val_latency"],
        "reference": (0.1, 50),
        "constraints": ["val_latency<=14"],
    }
    found = results.compare(**options)
    same = View.read("val_accuracy,val_latency", "0.1,50", ["val_latency<=14"]).compared([data])[0]
    assert found.to_json() == same.to_json()
    assert "hypervolume" in repr(found)
    assert results.compare().objectives == (), "what was asked for once does not stay"
    assert results.compare(constraints="val_latency<=14").to_json()["constraints"] == ["val_latency <= 14"]
    several = SuiteResults("both", {"a": results, "b": hpo.Results(replace(data, name="b"))}).compare(**options)
    assert [front.study for front in several.objectives] == [data.name, "b"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"objectives": ["val_accuracy"]}, "objectives must be two different names"),
        ({"objectives": ["val_accuracy", "odd"]}, "odd:min or odd:max"),
        ({"objectives": ["val_accuracy", "gone:min"]}, "gone"),
        ({"objectives": "val_accuracy,val_latency", "reference": [0.5]}, "a reference point must be two numbers"),
        ({"reference": (0, 0)}, "a reference point is that of two objectives, but there are none"),
        ({"constraints": ["val_latency=1"]}, "a constraint must be a metric"),
        ({"constraints": "gone<=1"}, "gone"),
    ],
)
def test_python_refuses_what_the_command_refuses(data, options, sentence):
    with pytest.raises(HpoError, match=sentence):
        hpo.Results(data).compare(**options)
