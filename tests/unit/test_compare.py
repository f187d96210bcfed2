"""Comparisons of studies with known results."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.report.comparison_tables import comparison_tables, winners_table
from hpo.report.pair_tables import ranks_table
from hpo.results import statistics
from hpo.results.compare import IncomparableStudies, compare, compare_many, relative_error_drop
from hpo.results.margin import DifferentMargins
from hpo.results.values import Comparison
from tests.simulated import simulated_study
from tests.synthetic_study import synthetic_study

APART = {"a": [0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96], "b": [0.80, 0.79, 0.78, 0.77, 0.76, 0.75, 0.74]}


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(synthetic_study(seeds=(0, 1, 2), budget=64))


def test_the_json_is_the_contract(found: Comparison) -> None:
    answer = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {"study", "metric", "mode", "budget_epochs", "runs", "methods", "tests"} <= set(answer)
    assert len(answer["runs"]) == 12
    for run in answer["runs"]:
        assert {"method", "seed", "status", "charged_epochs", "wasted_epochs", "trials", "failed_trials", "incumbent",
                "anytime", "train_seconds"} <= set(run)  # fmt: skip
        assert set(run["incumbent"]) >= {"trial", "config", "epoch", "value", "test"}
        assert run["status"] in ("complete", "partial")
        assert run["anytime"][-1] == [run["charged_epochs"], run["incumbent"]["value"]]
        epochs, values = zip(*run["anytime"], strict=True)
        assert list(epochs) == sorted(epochs)
        assert list(values) == sorted(values)
    for method in answer["methods"]:
        assert {"method", "runs", "mean", "ci95", "mean_rank"} <= set(method)
        assert method["ci95"][0] <= method["mean"] <= method["ci95"][1]
    assert len(answer["tests"]) == 6
    for test in answer["tests"]:
        assert {"a", "b", "difference", "ci95", "p", "p_adjusted", "verdict"} <= set(test)
        assert test["verdict"] in ("a better", "b better", "equivalent", "undecided")


def test_incumbents_are_those_of_the_runs_table(found: Comparison) -> None:
    data = synthetic_study(seeds=(0, 1, 2), budget=64)
    for row in data.runs.to_pylist():
        run = next(r for r in found.runs if (r.method, r.seed) == (row["method"], row["seed"]))
        assert run.incumbent is not None
        assert run.value == row["incumbent_value"]
        assert (run.incumbent.trial, run.incumbent.epoch) == (row["incumbent_trial"], row["incumbent_epoch"])
        assert run.charged_epochs == 64
        assert set(run.incumbent.config) == {"learning_rate", "dropout", "optimizer", "finetuned_layers"}
        assert run.incumbent.config["finetuned_layers"] in (9, 14, 18, "all")
        assert run.incumbent.train is not None
        assert run.incumbent.train > run.value


def test_clearly_different_methods_are_decided_in_both_modes() -> None:
    for mode, verdict, winner in (("max", "a better", "a"), ("min", "b better", "b")):
        found = compare(simulated_study(APART, mode=mode))
        test = found.tests[0]
        assert test.verdict == verdict
        assert test.better == winner
        assert test.difference == pytest.approx(0.16)
        assert test.p == pytest.approx(2 / 2**7)
        assert f"{winner} is better than" in found.verdict
        ranks = {m.method: m.mean_rank for m in found.methods}
        assert ranks[winner] == 1.0
        assert next(m for m in found.methods if m.method == "a").best == (0.96 if mode == "max" else 0.90)


def test_too_few_seeds_are_undecided_and_the_verdict_says_how_many_more_are_needed() -> None:
    found = compare(simulated_study({"a": [0.9, 0.91], "b": [0.5, 0.56]}))
    test = found.tests[0]
    assert test.verdict == "undecided"
    assert test.more_blocks is not None
    assert test.more_blocks >= 4
    assert "Undecided" in found.verdict
    assert f"{test.more_blocks} more" in found.verdict
    alone = compare(simulated_study({"a": [0.9], "b": [0.5]}))
    assert alone.tests[0].more_blocks is None
    assert alone.methods[0].ci95 is None
    assert alone.verdict == (
        "Undecided. With 1 seed no method can be shown to be better: p cannot fall below 1, and at least 6 are needed."
    )


@pytest.mark.parametrize(("seeds", "can"), [(5, False), (6, True), (7, True)])
def test_the_verdict_names_the_fewest_seeds_only_below_them(seeds: int, can: bool) -> None:
    values = [0.5 + 0.001 * (-1) ** i for i in range(seeds)]
    verdict = compare(simulated_study({"a": values, "b": [0.5] * seeds}), difference=0.0001).verdict
    assert verdict.startswith(f"Undecided. With {seeds} seeds no method {'is' if can else 'can be'} shown to be better")
    assert ("p cannot fall below 0.0625, and at least 6 are needed" in verdict) is not can


def test_enough_seeds_without_a_difference_are_said_to_be_enough() -> None:
    values = [0.5 + 0.001 * (-1) ** i for i in range(8)]
    few = compare(simulated_study({"a": [v + 0.0009 for v in values], "b": [0.5] * 8}), difference=0.0017)
    assert few.tests[0].more_blocks == 0
    assert few.verdict == (
        "Undecided. With 8 seeds no method is shown to be better, although a difference of 0.0017 would probably have been "
        "detected."
    )
    assert compare(simulated_study({"a": values, "b": [0.5] * 8})).verdict == (
        "a is equivalent to b within 0.01 (adjusted p <= 0.004) in val_accuracy (8 seeds)."
    )


def test_a_real_difference_that_was_named_too_small_to_matter_is_equivalence() -> None:
    rng = np.random.default_rng(2)
    b = rng.normal(0.5, 0.001, 10)
    study = {"a": (b + 0.003 + rng.normal(0, 0.0003, 10)).tolist(), "b": b.tolist()}
    assert compare(simulated_study(study)).tests[0].verdict == "a better"  # nobody named the default
    for found in (
        compare(simulated_study(study), difference=0.01),
        compare(simulated_study(study, difference=0.01)),
        compare(simulated_study(study, difference="2 %")),
    ):
        test = found.tests[0]
        assert (test.verdict, test.better, test.worse) == ("equivalent", None, None)
        assert test.p_adjusted < 0.05
        assert test.p_equivalent is not None
        assert test.p_equivalent < 0.05
        assert test.chances is not None
        assert test.chances["equivalent"] > 0.99
    assert compare(simulated_study(study, difference=0.01), difference="0.001").tests[0].verdict == "a better"
    assert "a is equivalent to b within 2 % (adjusted p" in found.verdict
    assert found.point == pytest.approx(0.02 * (np.mean(study["a"]) + np.mean(study["b"])) / 2)
    answer = found.to_json()
    assert (answer["difference"], answer["point"]) == ("2 %", found.point)


@pytest.mark.parametrize(("metric", "mode", "factor"), [("val_accuracy", "max", 100), ("val_loss", "min", 1)])
def test_a_metric_without_a_default_is_asked_for_the_difference_that_matters(
    metric: str, mode: str, factor: int
) -> None:
    rng = np.random.default_rng(3)
    study = simulated_study({m: (factor * rng.normal(0.7, 0.01, 8)).tolist() for m in "ab"}, metric=metric, mode=mode)
    found = compare(study)
    test = found.tests[0]
    assert (found.point, found.difference, test.more_blocks, test.more_blocks_range) == (None, None, None, None)
    assert (test.p_equivalent, test.chances, test.verdict) == (None, None, "undecided")
    assert "Name the smallest difference that matters (difference in the study, or --difference)" in found.verdict
    json.dumps(found.to_json(), allow_nan=False)
    assert "no pair can be equivalent" in comparison_tables(found)[-1].note
    named = compare(study, difference=0.01 * factor)
    low, high = named.tests[0].more_blocks_range or (0, 0)
    assert named.tests[0].more_blocks is not None
    assert low <= named.tests[0].more_blocks <= high < 200
    assert f"{named.tests[0].more_blocks} more seeds ({low} to {high}, as far as" in named.verdict


def test_studies_that_name_different_differences_are_refused_unless_one_is_given() -> None:
    tasks = [simulated_study({"a": [0.5], "b": [0.4]}, name=f"t{d}", difference=d) for d in (0.01, 0.02)]
    with pytest.raises(DifferentMargins, match=r"but got 0.01, 0.02; name one with --difference"):
        compare_many(tasks)
    assert compare_many(tasks, difference=0.02).point == 0.02


def test_a_method_that_fails_where_another_does_not_is_not_equivalent_to_it() -> None:
    values = [0.5 + 0.001 * (-1) ** i for i in range(8)]
    found = compare(simulated_study({"a": values, "b": [*[0.5] * 7, math.nan], "c": [*values[:7], math.nan]}))
    verdicts = {(t.a, t.b): (t.verdict, t.p_equivalent, t.chances is None) for t in found.tests}
    assert verdicts["a", "b"] == ("undecided", 1.0, True)
    assert verdicts["b", "c"][0] == "equivalent"  # over the seven seeds in which both have values


def test_the_chances_of_a_pair_are_oriented_by_the_mode() -> None:
    for mode, likely in (("max", "a better"), ("min", "b better")):
        chances = compare(simulated_study(APART, mode=mode), difference=0.01).tests[0].chances
        assert chances is not None
        assert max(chances, key=chances.__getitem__) == likely
        assert sum(chances.values()) == pytest.approx(1)


def test_one_disaster_against_many_small_wins_is_undecided() -> None:
    """By its ranks a is better, by its mean b is: whoever reads only one of them must not be told a winner."""
    wins = [0.5 + 0.001 * i for i in range(1, 13)]
    for mode, sign in (("max", 1), ("min", -1)):
        small = [v + sign * 0.01 for v in wins]
        disaster = [*small[:-1], wins[-1] - sign * 0.4]
        found = compare(simulated_study({"a": disaster, "b": wins}, mode=mode)).tests[0]
        assert found.p_signed_rank_adjusted < 0.05
        assert found.difference is not None
        assert sign * found.difference < 0
        assert found.verdict == "undecided"
        assert compare(simulated_study({"a": small, "b": wins}, mode=mode)).tests[0].better == "a"


def test_a_mean_from_a_few_large_wins_is_undecided_if_the_ranks_point_the_other_way() -> None:
    wins, losses = [1.0 + i / 100 for i in range(7)], [-0.01 - i / 10_000 for i in range(20)]
    found = compare(simulated_study({"a": wins + losses, "b": [0.0] * 27})).tests[0]
    assert found.p_adjusted < 0.05
    assert found.difference is not None
    assert found.difference > 0
    assert found.verdict == "undecided"


def test_six_seeds_decide_between_four_methods_far_apart() -> None:
    rng = np.random.default_rng(0)
    values = {m: (0.5 + 0.1 * i + rng.normal(0, 0.005, 6)).tolist() for i, m in enumerate("abcd")}
    found = compare(simulated_study(values))
    assert [t.better for t in found.tests] == ["b", "c", "d", "c", "d", "d"]
    assert {t.p_adjusted for t in found.tests} == {2 / 2**6}
    assert {t.p_signed_rank_adjusted for t in found.tests} == {6 * 2 / 2**6}
    assert found.verdict.startswith("b is better than a (adjusted p <= 0.032); c is better than a and b (adjusted p <=")


def test_more_blocks_grow_with_the_spread_and_shrink_with_the_point() -> None:
    rng = np.random.default_rng(0)
    quiet, loud = (simulated_study({"a": rng.normal(0.5, s, 8).tolist(), "b": rng.normal(0.5, s, 8).tolist()})
                   for s in (0.005, 0.03))  # fmt: skip
    few, many = compare(quiet).tests[0].more_blocks, compare(loud).tests[0].more_blocks
    assert few is not None
    assert many is not None
    assert few < many
    coarse = compare(loud, difference=0.05).tests[0].more_blocks
    assert coarse is not None
    assert coarse < many


def test_partial_runs_are_listed_but_count_in_no_mean_and_no_test() -> None:
    found = compare(simulated_study({"a": [0.9] * 4, "b": [0.1, 0.2, 0.3, 0.4]}, partial=[("b", 0), ("b", 1)]))
    b = next(m for m in found.methods if m.method == "b")
    assert (b.runs, b.partial, b.mean) == (2, 2, pytest.approx(0.35))
    assert found.tests[0].pairs == 2
    assert len(found.runs) == 8
    assert any("b/0, b/1" in note for note in found.notes)


def test_a_study_without_a_complete_run_says_so() -> None:
    found = compare(simulated_study({"a": [0.9], "b": [0.8]}, partial=[("a", 0), ("b", 0)]))
    assert found.verdict == "Undecided: no run is complete yet."
    assert found.methods[0].mean is None
    json.dumps(found.to_json(), allow_nan=False)


def test_a_run_without_a_value_ranks_last_and_loses() -> None:
    found = compare(simulated_study({"a": [0.5] * 7, "b": [math.nan] * 7}))
    assert found.tests[0].verdict == "a better"
    assert found.tests[0].difference is None
    assert [m.mean_rank for m in found.methods] == [1.0, 2.0]
    assert found.methods[1].mean is None
    json.dumps(found.to_json(), allow_nan=False)


def test_a_method_that_mostly_fails_loses_even_if_its_few_values_are_better() -> None:
    a = [0.5 + i / 1000 for i in range(10)]
    found = compare(simulated_study({"a": a, "b": [math.nan] * 8 + [v + 0.02 for v in a[8:]]})).tests[0]
    assert found.difference == pytest.approx(-0.02)
    assert found.verdict == "a better"


def test_more_blocks_count_every_pair_seen_and_allow_for_all_pairs() -> None:
    rng = np.random.default_rng(3)
    values = {m: rng.normal(0.5, 0.03, 8).tolist() for m in "abc"}
    two = compare(simulated_study({m: values[m] for m in "ab"})).tests[0]
    three = compare(simulated_study(values)).tests[0]
    deviation = float(np.std(np.subtract(values["a"], values["b"]), ddof=1))
    assert two.more_blocks == statistics.pairs_needed(deviation, 0.01, 0.05) - 8
    assert three.more_blocks == statistics.pairs_needed(deviation, 0.01, statistics.pair_alpha(3)) - 8
    failing = compare(simulated_study({"a": values["a"], "b": [*values["b"][:-1], math.nan]})).tests[0]
    seven = float(np.std(np.subtract(values["a"], values["b"])[:-1], ddof=1))
    assert failing.more_blocks == statistics.pairs_needed(seven, 0.01, 0.05) - 8


def test_of_many_partial_runs_a_note_names_the_first_and_counts_the_rest() -> None:
    found = compare(simulated_study({"a": [0.9] * 12}, partial=[("a", seed) for seed in range(10)]))
    (note,) = [note for note in found.notes if note.startswith("Incomplete runs")]
    assert note.endswith(f"{', '.join(f'a/{seed}' for seed in range(8))} and 2 more.")


def test_partial_runs_cost_what_they_were_charged() -> None:
    found = compare(simulated_study({"a": [0.9, 0.8]}, partial=[("a", 1)])).methods[0]
    assert (found.charged_epochs, found.shared_epochs, found.wasted_epochs, found.trials) == (8, 2, 4, 4)
    assert found.mean == pytest.approx(0.9)


def test_the_anytime_mean_of_a_partial_run_ends_where_the_run_stands() -> None:
    """A complete run that used less than its budget keeps its last value to the budget's end."""
    data = simulated_study({"a": [0.9, 0.9]}, partial=[("a", 1)])
    rows = [{**row, "budget_epochs": 8} for row in data.runs.to_pylist()]
    complete, partial = compare(replace(data, runs=type(data.runs).from_pylist(rows))).runs
    assert partial.area == pytest.approx(np.mean([0.5, 0.7, 0.8, 0.9]))
    assert complete.area == pytest.approx(np.mean([0.5, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9]))


def test_a_run_that_only_its_charges_know_is_partial() -> None:
    data = simulated_study({"a": [0.9, 0.8]})
    known = data.runs.slice(0, 1)
    found = compare(replace(data, runs=known)).runs
    assert [(run.seed, run.status, run.charged_epochs, run.value) for run in found] == [
        (0, "complete", 4, 0.9), (1, "partial", 4, 0.8),
    ]  # fmt: skip


def test_a_method_s_time_alone_is_on_no_more_workers_than_its_parallelism() -> None:
    data = simulated_study({"a": [0.9], "b": [0.9]}, parallelism=2)
    methods = [data.definition["methods"][0], {**data.definition["methods"][1], "parallelism": 1}]
    found = compare(replace(data, definition={**data.definition, "methods": methods}), workers=2)
    assert [m.wall_seconds for m in found.methods] == [4, 6]  # epochs of 1, 1, 2 and 2 seconds; two trials
    assert compare(data, workers=1).methods[0].wall_seconds == 6


def test_tasks_are_scheduled_alone_on_the_largest_parallelism_of_any() -> None:
    tasks = [simulated_study({"a": [0.9]}, name=f"t{count}", parallelism=count) for count in (1, 3, 2)]
    assert compare_many(tasks).workers == 3
    assert compare_many(tasks, workers=5).workers == 5


def test_a_winner_without_the_retraining_that_the_study_asks_for_shows_its_own_exam() -> None:
    data = simulated_study({"a": [0.9]}, tests={"a": [0.8]}, final={"retrain": "full"})
    assert compare(data).runs[0].incumbent.test == {"test_accuracy": 0.8}


def test_optimism_is_validation_minus_test_in_either_mode() -> None:
    tests = {"a": [v - 0.05 for v in APART["a"]], "b": [v - 0.01 for v in APART["b"]]}
    found = compare(simulated_study(APART, tests=tests))
    assert [m.optimism for m in found.methods] == [pytest.approx(0.05), pytest.approx(0.01)]
    assert found.methods[0].test_mean == pytest.approx(np.mean(tests["a"]))
    assert found.test_tests[0].verdict == "a better"
    losses = compare(simulated_study(APART, tests=tests, mode="min"))
    assert losses.methods[0].optimism == pytest.approx(-0.05)
    table = winners_table(found)
    columns = [column.key for column in table.columns]
    for run, row in zip(found.runs, table.rows, strict=True):
        shown = dict(zip(columns, row, strict=True))
        assert (shown["run"], shown["validation"]) == (f"{run.method}/{run.seed}", run.value)
        assert shown["test"] == tests[run.method][run.seed]
        assert shown["optimism"] == pytest.approx(0.05 if run.method == "a" else 0.01)
    assert dict(zip(columns, winners_table(losses).rows[0], strict=True))["optimism"] == pytest.approx(-0.05)


def test_the_verdict_says_whether_the_exam_confirms_it() -> None:
    assert compare(simulated_study(APART, tests=APART)).verdict.endswith("The final exam confirms this.")
    mixed = {"a": APART["a"], "b": [*APART["a"][1:], 0.5]}
    assert compare(simulated_study(APART, tests=mixed)).verdict.endswith("The final exam does not confirm this.")
    three = {"a": [0.9 + i / 1000 for i in range(9)], "b": [0.5 + i / 500 for i in range(9)], "c": [0.3] * 9}
    partly = compare(simulated_study(three, tests={**three, "b": three["a"]}))
    assert partly.verdict == (
        "a is better than b and c (adjusted p <= 0.004); b is better than c (adjusted p <= 0.004) in val_accuracy "
        "(9 seeds). The final exam confirms 2 of these 3 differences."
    )
    assert "exam" not in compare(simulated_study(APART)).verdict


def test_notes_name_runs_won_by_the_same_training_and_missing_tasks() -> None:
    data = simulated_study({"a": [0.9, 0.9], "b": [0.4, 0.5]})
    rows = [{**row, "trial": row["trial"].replace("a-1", "a-0")} for row in data.charges.to_pylist()]
    same = compare(replace(data, charges=type(data.charges).from_pylist(rows)))
    assert [note for note in same.notes if "won all 2 runs of a" in note]
    assert not compare(data).notes
    tasks = compare_many([data, simulated_study({"a": [0.9, 0.8]}, name="other")])
    (note,) = tasks.notes
    assert note.startswith("The means of b cover fewer tasks: it has no complete run of other")


def test_an_exam_of_another_epoch_does_not_count_for_the_incumbent() -> None:
    data = simulated_study({"a": [0.9]}, tests={"a": [0.8]})
    rows = [{**row, "epoch": 1} for row in data.exams.to_pylist()]
    other = type(data)(**{**data.__dict__, "exams": type(data.exams).from_pylist(rows)})
    assert compare(data).runs[0].incumbent.test == {"test_accuracy": 0.8}
    assert compare(other).runs[0].incumbent.test is None
    plan = {**data.definition, "final": {"retrain": "full", "epochs": 1}}
    again = [{**row, "exam": f"retrain/{s}", "test_accuracy": 0.7 + s} for s, row in enumerate(rows * 2)]
    retrained = type(data)(**{**data.__dict__, "definition": plan, "exams": type(data.exams).from_pylist(again)})
    assert compare(retrained).runs[0].incumbent.test == {"test_accuracy": pytest.approx(1.2)}
    assert compare(retrained).runs[0].incumbent.exams == 2


def test_the_relative_error_drop_is_that_of_the_paper() -> None:
    assert relative_error_drop(0.937, 0.983, "max") == pytest.approx((0.983 - 0.937) / (1 - 0.937))
    assert relative_error_drop(0.5, 0.25, "min") == pytest.approx(0.5)
    assert relative_error_drop(1.0, 1.0, "max") is None
    assert relative_error_drop(0.0, 0.1, "min") is None
    assert relative_error_drop(math.nan, 0.1, "max") is None
    data = simulated_study({"default": [0.8, 0.6], "a": [0.9, 0.8]})
    assert [m.error_drop for m in compare(data).methods] == [pytest.approx(0), pytest.approx(0.5)]
    by_name = simulated_study({"a": [0.8, 0.6], "b": [0.9, 0.8]})
    methods = [{**by_name.definition["methods"][0], "name": "default"}, by_name.definition["methods"][1]]
    found = compare(replace(by_name, definition={**by_name.definition, "methods": methods}))
    assert [m.error_drop for m in found.methods] == [pytest.approx(0), pytest.approx(0.5)]


def test_the_target_is_random_search_s_mean_final_value() -> None:
    found = compare(simulated_study({"random": [0.5, 0.6], "a": [0.9, 0.4]}))
    assert found.target == pytest.approx(0.55)
    assert [m.reached for m in found.methods] == [1, 1]
    assert found.methods[1].epochs_to_target == 2  # 0.5, 0.7, ...: reached by the second epoch
    assert compare(simulated_study({"a": [0.9], "b": [0.4]})).target == pytest.approx(0.4)
    assert compare(simulated_study({"a": [0.9], "b": [0.4]}, mode="min")).target == pytest.approx(0.9)
    half = simulated_study({"random": [0.5, 0.1], "a": [0.9, 0.4]}, partial=[("random", 1)])
    assert compare(half).target == pytest.approx(0.5)
    assert compare(simulated_study({"a": [0.9], "b": [0.4]}), target=2.0).methods[0].epochs_to_target is None


def test_folds_are_charged_as_many_epochs() -> None:
    found = compare(simulated_study({"a": [0.9]}, data={"folds": 5}))
    assert found.runs[0].charged_epochs == 20
    assert found.runs[0].anytime[0][0] == 5


def test_friedman_s_test_needs_five_blocks() -> None:
    rng = np.random.default_rng(0)
    values = {m: (rng.normal(0.5, 0.01, 5) + shift).tolist() for m, shift in (("a", 0.3), ("b", 0.1), ("c", 0.0))}
    five = compare(simulated_study(values))
    ranking = five.ranking
    assert ranking is not None
    assert ranking.p < 0.05
    assert list(ranking.mean_ranks) == ["a", "b", "c"]
    assert ranking.groups == (("a", "b", "c"),)  # five seeds decide nothing, although a and c differ by Nemenyi's test
    assert ranking.pairwise["a", "c"] < 0.05
    table = ranks_table(ranking, five.tests)
    assert [(row[0], row[-1]) for row in table.rows] == [(f"{a} − {b}", "undecided") for a, b in ("ab", "ac", "bc")]
    assert "Nemenyi's critical difference: 1.48" in table.note
    six = compare(simulated_study({m: [*v, float(np.mean(v))] for m, v in values.items()}))
    assert six.ranking is not None
    assert six.ranking.groups == ()
    assert [row[-1] for row in ranks_table(six.ranking, six.tests).rows] == ["a better", "a better", "b better"]
    assert compare(simulated_study({m: v[:4] for m, v in values.items()})).ranking is None


def of_tasks(shifts: list[float], seeds: int = 8, noise: float = 0.01, **changes: object) -> Comparison:
    """Compares a and b on a task for each shift: by so much is a better there."""
    rng = np.random.default_rng(1)
    found = []
    for i, shift in enumerate(shifts):
        a, b = rng.normal(0.5 + i / 20, noise, (2, seeds))
        found.append(simulated_study({"a": (a + shift).tolist(), "b": b.tolist()}, name=f"t{i}", **changes))
    return compare_many(found)


def test_tasks_are_the_blocks_and_few_of_them_decide_each_for_itself() -> None:
    few, many = of_tasks([0.1] * 3), of_tasks([0.1] * 6)
    assert (few.blocks, few.tests[0].pairs, few.tasks) == ("task", 3, ("t0", "t1", "t2"))
    assert few.tests[0].verdict == "undecided"
    assert {task: (tests[0].pairs, tests[0].verdict) for task, tests in few.task_tests.items()} == {
        f"t{i}": (8, "a better") for i in range(3)
    }
    assert few.verdict == (
        "On these 3 tasks in val_accuracy (8 seeds each): a is better than b on each (adjusted p <= 0.009). Other tasks may "
        "differ: at least 6 are needed to tell."
    )
    assert (many.tests[0].pairs, many.tests[0].verdict, many.task_tests) == (6, "a better", {})
    assert many.verdict == "a is better than b (adjusted p <= 0.032) in val_accuracy (6 tasks)."
    assert len(few.runs) == 48
    assert {run.study for run in few.runs} == {"t0", "t1", "t2"}
    json.dumps(few.to_json(), allow_nan=False)


def test_the_verdict_names_the_tasks_on_which_the_order_reverses() -> None:
    assert "b is better than a on t0 and t1, but worse on t2 (adjusted p" in of_tasks([-0.1, -0.1, 0.1]).verdict
    assert "a is better than b on t0, but worse on t1 (adjusted p" in of_tasks([0.1, -0.1]).verdict
    close = of_tasks([0.1, 0.1, -0.008]).verdict
    assert "a is better than b on t0 and t1, with the means in the other order on t2 (adjusted p" in close
    losses = of_tasks([0.1, 0.1, -0.1], metric="val_loss", mode="min").verdict
    assert "b is better than a on t0 and t1, but worse on t2 (adjusted p" in losses


def test_equivalence_is_told_by_task_too() -> None:
    found = of_tasks([0.05, 0.0], noise=0.001)
    assert found.verdict.startswith(
        "On these 2 tasks in val_accuracy (8 seeds each): a is better than b on t0 (adjusted p <= 0.009); a is equivalent to b "
        "within 0.01 on t1 (adjusted p <= 0.013). Other tasks"
    )


def test_few_tasks_need_six_seeds_each() -> None:
    assert of_tasks([0.1, 0.1], seeds=5).verdict.startswith(
        "Undecided. On these 2 tasks with 5 seeds each no method can be shown to be better: p cannot fall below 0.0625, and "
        "at least 6 are needed."
    )
    assert of_tasks([0.1, 0.1], seeds=6).verdict.startswith("On these 2 tasks")


def test_the_tests_of_few_tasks_are_adjusted_for_all_of_them() -> None:
    alone, together = of_tasks([0.005], seeds=12), of_tasks([0.005, 0.0, 0.0, 0.0], seeds=12)
    assert together.task_tests["t0"][0].p == pytest.approx(alone.tests[0].p, abs=0.003)
    assert together.task_tests["t0"][0].p_adjusted > 2 * alone.tests[0].p_adjusted


def test_the_exam_of_each_task_confirms_that_task_s_claim() -> None:
    values = {"a": [0.9 + i / 1000 for i in range(9)], "b": [0.5 + i / 500 for i in range(9)]}
    mixed = {"a": values["a"], "b": values["a"]}
    one, two = (simulated_study(values, tests=tests, name=name) for name, tests in (("one", values), ("two", mixed)))
    found = compare_many([one, two])
    assert [tests[0].verdict for tests in found.test_task_tests.values()] == ["a better", "equivalent"]
    assert found.verdict.endswith("The final exam confirms 1 of these 2 differences.")


def test_a_task_with_more_seeds_weighs_no_more_in_the_means() -> None:
    tasks = [simulated_study({"a": [0.1] if i else [0.7, 0.7, 0.7], "b": [0.1]}, name=f"task{i}") for i in range(6)]
    found = compare_many(tasks)
    assert found.methods[0].mean == pytest.approx((0.7 + 5 * 0.1) / 6)
    assert compare_many(tasks[:5]).methods[0].mean == pytest.approx((0.7 + 4 * 0.1) / 5)


def test_tasks_of_different_budgets_are_labelled_by_each() -> None:
    sizes = {"t0": 4, "t1": 8, "t2": 4}
    tasks = []
    for name, epochs in sizes.items():
        data = simulated_study({"a": [0.9, 0.8], "b": [0.5, 0.6]}, name=name)
        tasks.append(replace(data, definition={**data.definition, "budget": {"epochs": epochs, "max_epochs": 4}}))
    found = compare_many(tasks)
    assert (found.budget_epochs, found.budgets) == (None, sizes)
    assert found.verdict.endswith("The budgets differ: 4 (t0 and t2) or 8 (t1) charged epochs per run.")
    assert comparison_tables(found)[0].title.endswith("after 4 (t0 and t2) or 8 (t1) charged epochs per run")
    assert found.to_json()["budgets"] == sizes
    one = compare(tasks[0])
    assert (one.budget_epochs, one.budgets) == (4, {"t0": 4})
    assert comparison_tables(one)[0].title.endswith("after 4 charged epochs per run")
    assert "budget" not in one.verdict
    same = compare_many([tasks[0], tasks[2]])
    assert same.budget_epochs == 4
    assert "budget" not in same.verdict


def test_a_method_with_another_budget_than_its_study_is_named() -> None:
    data = simulated_study({"a": [0.9], "b": [0.4]})
    rows = [{**row, "budget_epochs": 8 if row["method"] == "b" else 4} for row in data.runs.to_pylist()]
    found = compare(replace(data, runs=type(data.runs).from_pylist(rows)))
    assert "A run of b had a budget of 8 epochs, but the budget of simulated is 4." in found.notes
    assert not any("budget" in note for note in compare(data).notes)


def test_studies_with_different_metrics_are_refused() -> None:
    one = simulated_study({"a": [0.5]}, name="one")
    with pytest.raises(IncomparableStudies, match="the same mode to be compared, but one has max and two has min"):
        compare_many([one, simulated_study({"a": [0.5]}, name="two", mode="min")])
    with pytest.raises(IncomparableStudies, match="different names"):
        compare_many([one, one])
    with pytest.raises(IncomparableStudies, match="at least one"):
        compare_many([])


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda seeds: st.lists(st.lists(st.floats(0, 1), min_size=seeds, max_size=seeds), min_size=1, max_size=4)
    ),
    st.sampled_from(["max", "min"]),
)
def test_any_study_gives_a_json_whose_claims_agree_with_its_means(values: list[list[float]], mode: str) -> None:
    found = compare(simulated_study({f"m{i}": v for i, v in enumerate(values)}, mode=mode))
    json.dumps(found.to_json(), allow_nan=False)
    means = {m.method: m.mean for m in found.methods}
    sign = 1 if mode == "max" else -1
    for test in found.tests:
        if test.better is not None:
            worse = test.b if test.better == test.a else test.a
            assert sign * means[test.better] > sign * means[worse]
    assert found.verdict.endswith(".")
