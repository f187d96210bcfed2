"""A budget in cost: exact to the millionth, whatever epochs cost, in every method, and in the study file."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted_study import opened, written
from interrupted_study import play as play_all

from hpo import store as stores
from hpo.api.plan import Plan
from hpo.errors import HpoError
from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.game.runs import affordable, epoch_cost, runs_of, setting_of
from hpo.live.validation import validate
from hpo.methods.protocol import Setting
from hpo.report.comparison_section import anytime_section, budget_bands
from hpo.report.looks import method_looks
from hpo.report.parts import Figures
from hpo.results.compare import compare
from hpo.study.amounts import COST, EPOCHS
from hpo.study.space import Config
from hpo.study.study import Study
from hpo.study.values import Charge, Decision, Method, RunKey, Segment, TrialKey

STUDY = """
study: dear
trainable: {trainable}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.01]}}
  {more}
{data}
budget: {budget}
methods: [random, grid]
"""
PRICED = "cost: {type: choice, values: [0.1, 0.35, 1.0]}"


def study(folder: Path, budget: str, trainable: str = "curves", more: str = PRICED, data: str = "") -> Study:
    path = folder / "dear.yaml"
    path.write_text(STUDY.format(budget=budget, trainable=trainable, more=more, data=data))
    return Study.load(path)


class Listed:
    """A schedule that hands out the given segments (trial, start, stop), and knows which trials cannot go on."""

    oblivious = expensive = False
    max_epochs = 9

    def __init__(self, segments: Sequence[tuple[int, int, int]]) -> None:
        self.left = [Segment(trial, {"x": trial}, start, stop) for trial, start, stop in segments]
        self.failed: list[tuple[int, int]] = []

    def next_segment(self) -> Segment | None:
        return self.left.pop(0) if self.left else None

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        return Decision.CONTINUE

    def on_failure(self, trial: int, epoch: int) -> None:
        self.failed.append((trial, epoch))


def run_of(schedule: Listed, prices: Sequence[int], budget: int, workers: int = 1) -> Run:
    rules = Rules(
        budget, workers, unit=COST, price=lambda config: prices[int(config["x"])],
        cost=lambda config: COST.value(prices[int(config["x"])]), key=lambda config, r: TrialKey("task", config, 0, r),
    )  # fmt: skip
    return Run(RunKey("listed", 0), schedule, rules)


def play(run: Run, fails: Sequence[int] = (), ends: Sequence[int] = ()) -> list[Charge]:
    """Plays a run to its end, one cell at a time, and looks at its ledger after each.

    Trials that are among `fails` fail in their second epoch; training ends itself in the second epoch of `ends`.
    """
    curves, charges = Curves(), run.play(Curves())
    while not run.done:
        ledger = run.ledger
        assert 0 <= ledger.committed + ledger.reserved <= ledger.budget
        wanted = sum((d.stop - curves.known(d.key.id)) * (run.rules.amount(d.key.config)) for d in run.demands(curves))
        assert ledger.committed + wanted <= ledger.budget, "it wants more than it can pay"
        waiting = run.waiting_for
        assert waiting is not None
        number = next(trial.number for trial in run.trials if trial.key.id == waiting[0])
        if number in fails and waiting[1] == 2:
            curves.fail(waiting[0], "fails by design")
        else:
            curves.add(*waiting, 0.5, ended=number in ends and waiting[1] == 2)
        charges += run.play(curves)
    return charges


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    trials=st.lists(st.tuples(st.integers(1, 2_000_000), st.integers(1, 9)), min_size=1, max_size=14),
    budget=st.integers(1, 12_000_000),
    workers=st.integers(1, 6),
    fails=st.sets(st.integers(0, 13)),
    ends=st.sets(st.integers(0, 13)),
)
def test_the_ledger_is_exact_at_every_moment_whatever_epochs_cost(trials, budget, workers, fails, ends) -> None:
    prices = [price for price, _ in trials]
    run = run_of(Listed([(i, 0, stop) for i, (_, stop) in enumerate(trials)]), prices, budget, workers)
    charges = play(run, sorted(fails), sorted(ends))
    paid = sum(prices[charge.number] for charge in charges)
    assert run.ledger.committed == run.outcome().cost == paid <= budget
    assert run.ledger.reserved == 0
    left = budget - paid
    assert (left > 0) == bool(run.reason)
    reached = {charge.number: charge.epoch for charge in charges}
    over = {t.number for t in run.trials if t.status == "failed" or t.ended}
    could = [prices[i] for i, (_, stop) in enumerate(trials) if i not in over and reached.get(i, 0) < stop]
    asked = len(run.trials) == len(trials)
    assert not asked or all(price > left for price in could), "an epoch that the method asked for could be paid"


def test_tenths_add_up() -> None:
    """Ten times 0.1 is 1, which it is not in floating-point numbers."""
    run = run_of(Listed([(0, 0, 9), (1, 0, 9)]), [COST.amount(0.1)] * 2, COST.amount(1))
    assert len(play(run)) == 10
    assert (run.ledger.committed, run.reason) == (COST.scale, "")


@pytest.mark.parametrize(
    ("budget", "epochs", "left"), [(699_999, 1, "0.349999"), (700_000, 2, ""), (700_001, 2, "0.000001")]
)
def test_the_last_reservation_is_cut_to_whole_epochs(budget: int, epochs: int, left: str) -> None:
    run = run_of(Listed([(0, 0, 9)]), [350_000], budget)
    assert len(play(run)) == epochs
    said = f"a cost of {left} is left, and the cheapest epoch that the method still asked for costs 0.35"
    assert run.reason == (said if left else "")


def test_a_cheaper_trial_goes_on_where_a_dear_one_has_to_wait_and_a_refund_pays_the_dear_one_later() -> None:
    """1.0 is reserved for trial 0, 0.5 are left: trial 1 (0.8) waits, trial 2 (0.2) runs; trial 0 ends early."""
    run = run_of(Listed([(0, 0, 4), (1, 0, 1), (2, 0, 1)]), [250_000, 800_000, 200_000], 1_500_000, workers=2)
    charges = play(run, ends=[0])
    assert [(c.number, c.epoch) for c in charges] == [(2, 1), (0, 1), (0, 2), (1, 1)]
    assert [trial.status for trial in run.trials] == ["completed", "paused", "paused"]
    assert run.reason == ""


def test_what_nothing_can_pay_any_more_is_given_up_so_that_the_method_need_not_wait_for_it() -> None:
    schedule = Listed([(0, 0, 1), (1, 0, 1), (2, 0, 1)])
    run = run_of(schedule, [900_000, 500_000, 100_000], 1_000_000)
    assert [(c.number, c.epoch) for c in play(run)] == [(0, 1), (2, 1)]
    assert run.reason == "", "all of it is spent"
    endless = Listed([(i, 0, 1) for i in range(1000)])
    run = run_of(endless, [600_000] * 1000, 1_000_000)
    play(run)
    assert len(run.trials) == 11, "it does not ask for ever"
    assert endless.failed == [(i, 0) for i in range(1, 11)]


# -- the study file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("{max_epochs: 3}", "budget must have either epochs or cost, but got neither"),
        ("{epochs: 30, cost: 20, max_epochs: 3}", r"budget must have either epochs or cost, but got \(epochs=30, cost=20\)"),
        ("{cost: 0, max_epochs: 3}", "budget.cost >= 1e-06 must hold, but got 0"),
        ("{cost: 1.0e+10, max_epochs: 3}", "budget.cost <= 1000000000"),
        ("{cost: much, max_epochs: 3}", "budget.cost: .*, but got 'much'"),
    ],
)  # fmt: skip
def test_a_budget_that_cannot_be_is_refused(tmp_path: Path, budget: str, message: str) -> None:
    with pytest.raises(HpoError, match=message):
        study(tmp_path, budget)


def test_a_budget_in_epochs_is_stored_as_it_always_was(tmp_path: Path) -> None:
    assert study(tmp_path, "{epochs: 30, max_epochs: 3}").definition["budget"] == {"epochs": 30, "max_epochs": 3}
    dear = study(tmp_path, "{cost: 30, max_epochs: 3}")
    assert dear.definition["budget"] == {"cost": 30.0, "max_epochs": 3}
    assert (dear.budget.unit, dear.budget.amount) == (COST, 30_000_000)
    same = Study.load(tmp_path / "dear.yaml", epochs=7)
    assert (same.budget.cost, same.budget.epochs, same.budget.unit == EPOCHS) == (7, None, False)


def test_a_trainable_that_declares_no_cost_or_a_free_epoch_is_refused(tmp_path: Path) -> None:
    silent = study(tmp_path, "{cost: 20, max_epochs: 3}", trainable="tests.own_hooks:silent", more="")
    with pytest.raises(
        HpoError, match=r"budget\.cost needs a trainable that declares epoch_cost, but .*silent does not; give epochs"
    ):
        runs_of(silent)
    free = study(tmp_path, "{cost: 20, max_epochs: 3}", more="cost: {type: choice, values: [0, 1]}")
    with pytest.raises(
        HpoError, match=r"budget\.cost needs an epoch_cost above 0 for every configuration, but got 0\.0"
    ):
        validate(free)
    poor = study(tmp_path, "{cost: 0.5, max_epochs: 9}")
    with pytest.raises(HpoError, match=r"must pay for a trial's 9 epochs, which cost 0\.9 or more, but got 0\.5"):
        validate(poor)


def test_methods_plan_with_the_epochs_that_the_cost_pays_on_average_and_the_plan_says_what_they_cost(
    tmp_path: Path,
) -> None:
    dear = study(tmp_path, "{cost: 20, max_epochs: 3}")
    mean = (0.1 + 0.35 + 1) / 3
    assert affordable(dear) == pytest.approx(20 / mean, rel=0.15)
    assert affordable(study(tmp_path, "{cost: 0.2, max_epochs: 3}")) == 3, "never less than one trial"
    assert affordable(study(tmp_path, "{epochs: 17, max_epochs: 3}")) == 17
    plan = str(Plan.of(dear))
    assert "a cost of 20 per run, at most 3 epochs per trial; 40 in all; an epoch costs 0.1 to 1, 0.5" in plan


class Cheapest:
    """A user's searcher: the cheapest of eight draws, by what the setting says an epoch costs."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.rng = setting, np.random.default_rng(setting.seed)

    def suggest(self) -> Config:
        drawn = [self.setting.space.sample(self.rng) for _ in range(8)]
        return drawn[0] if self.setting.epoch_cost is None else min(drawn, key=self.setting.epoch_cost)

    def observe(self, config: Config, epoch: int, value: float) -> None: ...
    def fail(self, config: Config) -> None: ...
    def close(self, config: Config) -> None: ...


def test_methods_know_what_an_epoch_costs(tmp_path: Path) -> None:
    dear = study(tmp_path, "{cost: 20, max_epochs: 3}")
    mine = Method(f"{__name__}:Cheapest", "mine")
    (run,) = runs_of(dear.model_copy(update={"methods": [mine], "seeds": [0]}))
    run.play(Curves())
    assert {trial.key.config["cost"] for trial in run.trials} == {0.1}
    assert setting_of(dear, mine, 0).epoch_cost is None, "where nobody says"


def test_folds_multiply_the_price(tmp_path: Path) -> None:
    folded = study(tmp_path, "{cost: 20, max_epochs: 3}", data="data: {folds: 4}")
    run = runs_of(folded)[0]
    assert run.rules.amount({"learning_rate": 0.01, "cost": 0.35}) == 4 * 350_000


@pytest.mark.parametrize(("preset", "trainable"), [
    ("digits", "image_classifier"), ("paper002-synthetic-10", "mlp"), ("digits", "tests.own_hooks:Mine"),
])  # fmt: skip
def test_ours_keep_their_ticks_under_a_budget_in_epochs_and_follow_costs_where_a_study_asks(
    preset: str, trainable: str
) -> None:
    """Decisions of their stored studies depend on the ticks, and those of stored subclasses too."""
    given = Study.load(preset).model_copy(update={"trainable": trainable})
    assert epoch_cost(given) is None
    assert {run.rules.price for run in runs_of(given)} == {None}
    cost = epoch_cost(given.model_copy(update={"clock": "cost"}))
    assert cost is not None
    assert cost(given.space.sample(np.random.default_rng(0))) > 0


def test_the_clock_of_cost_needs_a_cost_and_moves_with_it(tmp_path: Path) -> None:
    silent = study(tmp_path, "{epochs: 30, max_epochs: 3}\nclock: cost", "tests.own_hooks:silent", more="")
    with pytest.raises(
        HpoError, match=r"clock needs a trainable that declares epoch_cost, .* does not; leave clock out"
    ):
        validate(silent)
    free = study(tmp_path, "{epochs: 30, max_epochs: 3}\nclock: cost", more="cost: {type: choice, values: [0, 1]}")
    with pytest.raises(HpoError, match=r"clock needs an epoch_cost above 0 for every configuration, but got 0\.0"):
        validate(free)
    asked = study(tmp_path, "{epochs: 30, max_epochs: 3}\nclock: cost", "mlp", "units: {type: int, low: 8, high: 256}",
                  "data: {name: synthetic_10}")  # fmt: skip
    validate(asked)
    run = runs_of(asked, cost=epoch_cost(asked))[0]
    small, large = ({"learning_rate": 0.01, "units": units} for units in (8, 256))
    assert run.rules.cost(small) < run.rules.cost(large)
    assert run.rules.declared(large) == round(run.rules.cost(large) * COST.scale)
    assert run.rules.amount(large) == 1, "the budget counts epochs still"
    assert "cost, 4 virtual workers per run; an epoch costs " in str(Plan.of(asked))


def test_pictures_have_the_axis_of_the_budget_and_the_first_one_says_what_it_shows(tmp_path: Path) -> None:
    dear = written(tmp_path, "random, asha", cost=9.7)
    dispatch = opened(dear)
    play_all(dispatch, random.Random(0))
    dispatch.finish(complete=True)
    found = compare(stores.read(dear.store))
    bands, label = budget_bands(found)
    assert label == "charged cost of a run"
    assert all(band.x[-1] <= 9.7 for band in bands.values())
    (figures,) = anytime_section(found, method_looks(found)).parts
    assert isinstance(figures, Figures)
    assert [picture.caption.startswith("The same") for picture in figures.figures] == [False, True, True]


def test_the_clock_is_part_of_the_digest_only_where_it_is_used(tmp_path: Path) -> None:
    plain = study(tmp_path, "{epochs: 30, max_epochs: 3}")
    same = study(tmp_path, "{epochs: 30, max_epochs: 3}\nclock: virtual")
    other = study(tmp_path, "{epochs: 30, max_epochs: 3}\nclock: cost")
    assert plain.digest == same.digest != other.digest
