"""The game: budgets are exact, the order of arrival changes nothing, a replay repeats, whatever fails or ends early."""

from __future__ import annotations

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import methods
from hpo.game.arena import Arena
from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.game.script import Script
from hpo.methods.protocol import Method, Setting
from hpo.study.space import Choice, Float, SearchSpace
from hpo.study.values import Charge, RunKey, TrialKey

SPACE = SearchSpace({"rate": Float(1e-4, 1e-1, log=True, grid=(1e-3, 1e-2)), "optimizer": Choice(("adam", "sgd"))})


def run_of(name: str, *, budget: int, max_epochs: int, workers: int, seed: int = 0, clock: str = "virtual",
           mode: str = "max", charge: int = 1, script=None, space=SPACE, **options) -> Run:  # fmt: skip
    setting = Setting(space, budget, max_epochs, seed, workers)
    schedule = methods.build(Method(name, name, options), setting)
    rules = Rules(
        budget, workers, charge, mode, clock,
        key=lambda config, r: TrialKey("task", config, seed, r),
        cost=lambda config: 1.0 + 2.0 * config["rate"],
    )  # fmt: skip
    return Run(RunKey(name, seed), schedule, rules, script)


class Oracle:
    """Answers what an epoch gives, by the trial's content alone; some trials fail, give NaN or end early."""

    def __init__(self, fail: float = 0.0, nan: float = 0.0, end: float = 0.0, ties: bool = False) -> None:
        self.shares, self.ties = (fail, nan, end), ties

    def __call__(self, key: TrialKey, epoch: int) -> tuple[float, bool] | None:
        rng = np.random.default_rng([int(key.id, 16), 7])
        fate, at, level = rng.random(), int(rng.integers(1, 4)), rng.random()
        fail, nan, end = self.shares
        if fate < fail and epoch >= at:
            return None
        if fail <= fate < fail + nan and epoch == at:
            return math.nan, False
        value = 0.5 if self.ties else level * (1 - 1 / (epoch + 1))
        return value, fail + nan <= fate < fail + nan + end and epoch == at


def play(arena: Arena, oracle: Oracle, pick=lambda n: 0, slots: int = 1) -> list[Charge]:
    """Answers demands epoch by epoch; `pick` chooses among the first `slots` of them."""
    charges = arena.play()
    while not arena.done:
        demands = arena.demands()
        assert demands, "runs wait and nothing is demanded"
        demand = demands[pick(min(slots, len(demands)))]
        trial, epoch = demand.key.id, arena.curves.known(demand.key.id) + 1
        answer = oracle(demand.key, epoch)
        moved = arena.fail(trial, "broke") if answer is None else arena.add(trial, epoch, *answer)
        for run in moved:
            charges += arena.play_run(run)
    return charges


def told(charges):
    """Returns charges as text: since Python 3.13 a dataclass that holds NaN differs from its equal."""
    return [repr(charge) for charge in charges]


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["grid", "random", "asha"]),
    budget=st.integers(4, 120),
    max_epochs=st.integers(1, 9),
    workers=st.integers(1, 64),
    shares=st.sampled_from([(0, 0, 0), (0.5, 0, 0), (0, 0.4, 0), (0, 0, 0.5), (0.2, 0.2, 0.3)]),
    mode=st.sampled_from(["max", "min"]),
    clock=st.sampled_from(["virtual", "arrival"]),
    picks=st.randoms(use_true_random=False),
)
def test_every_run_is_charged_its_budget_exactly_or_says_why_not(
    name, budget, max_epochs, workers, shares, mode, clock, picks
):
    run = run_of(name, budget=budget, max_epochs=min(max_epochs, budget), workers=workers, mode=mode, clock=clock)
    arena = Arena([run], Curves(), ahead=5)
    charges = play(arena, Oracle(*shares), lambda n: picks.randrange(n), slots=4)
    outcome = run.outcome()
    assert outcome.status == "complete"
    assert outcome.committed == len(charges) <= budget
    assert outcome.committed == budget or outcome.reason
    assert run.ledger.reserved == 0
    cells = [(c.trial, c.epoch) for c in charges]
    assert len(set(cells)) == len(cells)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["random", "asha"]),
    workers=st.integers(1, 9),
    slots=st.integers(1, 9),
    ahead=st.integers(0, 9),
    picks=st.randoms(use_true_random=False),
)
def test_the_order_in_which_results_arrive_changes_nothing(name, workers, slots, ahead, picks):
    def charges(pick, slots, ahead):
        run = run_of(name, budget=60, max_epochs=8, workers=workers)
        return play(Arena([run], Curves(), ahead), Oracle(0.2, 0.1, 0.2), pick, slots)

    assert told(charges(lambda n: picks.randrange(n), slots, ahead)) == told(charges(lambda n: 0, 1, 0))


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(["random", "asha"]),
    clock=st.sampled_from(["virtual", "arrival"]),
    crash=st.integers(0, 59),
    picks=st.randoms(use_true_random=False),
)
def test_a_run_played_over_stored_curves_goes_on_as_it_would_have(name, clock, crash, picks):
    def fresh(script=None):
        return run_of(name, budget=60, max_epochs=8, workers=4, clock=clock, script=script)

    first = Arena([fresh()], Curves())
    whole = play(first, Oracle(0.2, 0.1, 0.2), lambda n: picks.randrange(n), slots=3)
    stored = [c for c in whole if c.order < crash]
    again = Arena([fresh(Script.of(stored) if clock == "arrival" else None)], first.curves)
    repeated = again.play()
    if clock == "virtual":
        assert told(repeated) == told(whole)
    else:
        assert told(repeated[: len(stored)]) == told(stored)
    full = Arena([fresh(Script.of(whole) if clock == "arrival" else None)], first.curves)
    assert told(full.play()) == told(whole)


def test_runs_that_ask_for_the_same_trial_share_its_training_and_are_both_charged():
    runs = [run_of("random", budget=24, max_epochs=6, workers=2), run_of("random", budget=24, max_epochs=6, workers=3)]
    runs[1].key = RunKey("twin", 0)
    arena = Arena(runs, Curves())
    trained = 0
    arena.play()
    while not arena.done:
        demand = arena.demands()[0]
        trained += 1
        for run in arena.add(demand.key.id, arena.curves.known(demand.key.id) + 1, 0.5):
            arena.play_run(run)
    assert trained == 24
    assert [run.ledger.committed for run in runs] == [24, 24]


def test_an_epoch_of_k_folds_is_charged_k():
    run = run_of("random", budget=50, max_epochs=4, workers=2, charge=3)
    charges = play(Arena([run], Curves()), Oracle())
    assert run.ledger.committed == 48 == 3 * len(charges)
    assert "2 epochs are left" in run.outcome().reason


def test_a_study_in_which_everything_fails_ends_with_the_reason():
    run = run_of("random", budget=50, max_epochs=4, workers=2)
    arena = Arena([run], Curves())
    arena.play()
    while not arena.done:
        for moved in arena.fail(arena.demands()[0].key.id, "no such layer"):
            arena.play_run(moved)
    assert run.outcome().committed == 0
    assert run.outcome().reason == "100 trials in a row failed before their first epoch; the last: no such layer"


def test_the_incumbent_follows_the_mode_and_the_earlier_of_equals_stays():
    for mode, better in (("max", max), ("min", min)):
        run = run_of("random", budget=24, max_epochs=4, workers=3, mode=mode)
        charges = play(Arena([run], Curves()), Oracle())
        assert run.incumbent is not None
        assert run.incumbent.value == better(c.value for c in charges)
    run = run_of("random", budget=24, max_epochs=4, workers=3)
    first = play(Arena([run], Curves()), Oracle(ties=True))[0]
    assert (run.incumbent.trial, run.incumbent.epoch) == (first.trial, first.epoch)


def test_grid_and_random_are_demanded_ahead_and_never_beyond_the_budget():
    run = run_of("random", budget=20, max_epochs=6, workers=1)
    arena = Arena([run], Curves(), ahead=10)
    arena.play()
    wanted = arena.demands()
    assert sum(d.stop for d in wanted) == 20
    assert [d.at for d in wanted] == sorted(d.at for d in wanted)


@settings(max_examples=80, deadline=None)
@given(
    names=st.lists(st.sampled_from(["grid", "random", "asha", "hyperband"]), min_size=1, max_size=3),
    budget=st.integers(4, 90),
    max_epochs=st.integers(1, 6),
    workers=st.integers(1, 9),
    ahead=st.integers(0, 9),
    charge=st.integers(1, 2),
    shares=st.sampled_from([(0, 0, 0), (0.5, 0, 0), (0, 0.4, 0), (0, 0, 0.5), (0.2, 0.2, 0.3)]),
    clock=st.sampled_from(["virtual", "arrival"]),
    small=st.booleans(),
    chance=st.integers(0, 1000),
)
def test_the_demands_are_those_of_all_runs_after_every_change_whoever_takes_and_gives_back(
    names, budget, max_epochs, workers, ahead, charge, shares, clock, small, chance
):
    """In a small space configurations come again, in one run too."""
    common = {"budget": budget * charge, "max_epochs": min(max_epochs, budget), "workers": workers, "charge": charge}
    space = SearchSpace({"rate": Choice((0.1, 0.2, 0.3))}) if small else SPACE
    runs = [run_of(name, clock=clock, space=space, **common) for name in names]  # of one seed: they share trials
    picks = random.Random(chance)
    arena, taken, oracle = Arena(runs, Curves(), ahead), {}, Oracle(*shares)
    arena.play()
    while not arena.done:
        wanted = {}
        for demand in (demand for run in runs for demand in run.demands(arena.curves)):
            wanted[demand.key.id] = max(demand.stop, wanted.get(demand.key.id, 0))
        assert {d.key.id: d.stop for d in arena.demands()} == {t: s for t, s in wanted.items() if t not in taken}
        assert all(arena.wanted.stop(trial) == stop for trial, stop in wanted.items())
        ordered = [(d.at, d.key.id) for d in arena.wanted]
        assert ordered == sorted(ordered)
        assert [(d.at, d.key.id) for d in arena.wanted.after(2)] == ordered[2:]
        for demand in arena.demands()[: picks.randrange(4) or not taken]:
            taken[demand.key.id] = demand
            arena.wanted.take(demand.key.id)
        trial, demand = picks.choice(sorted(taken.items()))
        epoch = arena.curves.known(trial) + 1
        answer = oracle(demand.key, epoch)
        moved = arena.fail(trial, "broke") if answer is None else arena.add(trial, epoch, *answer)
        for run in moved:
            arena.play_run(run)
        if epoch >= demand.stop or arena.curves.closed(trial) or picks.random() < 0.2:
            taken.pop(trial)
            arena.wanted.give_back(trial)


def test_charges_come_in_the_order_of_virtual_time():
    run = run_of("random", budget=40, max_epochs=4, workers=2)
    charges = play(Arena([run], Curves()), Oracle())
    assert [c.at for c in charges] == sorted(c.at for c in charges)
    assert [c.order for c in charges] == list(range(40))
