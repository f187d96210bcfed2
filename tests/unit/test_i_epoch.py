"""i-Epoch with top-k, worked by hand: how many candidates a budget has, who is promoted, and what failures change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from interrupted_study import written

from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.game.runs import runs_of
from hpo.methods import InvalidOption, build
from hpo.methods.protocol import Setting
from hpo.study.space import Choice, Float, SearchSpace
from hpo.study.values import Method, RunKey, TrialKey

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
Curve = Callable[[int, int], float | None]


def played(
    value: Curve,
    budget: int,
    most: int,
    workers: int = 1,
    charge: int = 1,
    space: SearchSpace = SPACE,
    ends: int = 10**6,
    **options: object,
) -> Run:
    """Plays i-Epoch to its end: `value` of (trial, epoch) is a metric, None a failure; training ends itself at `ends`."""
    setting = Setting(space, budget, most, parallelism=workers, charge=charge)
    rules = Rules(budget, workers, charge, key=lambda config, r: TrialKey("task", config, 0, r))
    run, curves = Run(RunKey("i-epoch", 0), build(Method("i-epoch", "i-epoch", options), setting), rules), Curves()
    run.play(curves)
    while not run.done:
        waited = run.waiting_for
        assert waited is not None
        number = next(trial.number for trial in run.trials if trial.key.id == waited[0])
        found = value(number, waited[1])
        if found is None:
            curves.fail(waited[0], "by design")
        else:
            curves.add(*waited, found, waited[1] == ends)
        run.play(curves)
    return run


def trained(run: Run) -> list[int]:
    """Returns the epochs of each trial."""
    return [trial.epochs for trial in run.trials]


def later_is_better(trial: int, epoch: int) -> float:
    return trial + epoch / 100


@pytest.mark.parametrize("workers", [1, 3, 50])
@pytest.mark.parametrize(
    ("budget", "most", "options", "candidates", "finalists"),
    [
        (400, 25, {}, 328, 3),  # 328 + 3 * 24 = 400
        (100, 25, {}, 52, 2),  # half of 100 trains two to R: 52 + 2 * 24
        (99, 25, {}, 75, 1),  # half of 99 trains one: 75 + 24
        (49, 25, {}, 25, 1),  # half of 49 trains none, yet one is: 25 + 24
        (25, 25, {}, 1, 1),
        (60, 10, {"top_k": 1}, 51, 1),
        (60, 10, {"top_k": 6}, 6, 6),
        (60, 10, {"epochs": 3}, 13, 3),  # 13 * 3 + 3 * 7 = 60
        (60, 10, {"max_epochs": 5}, 48, 3),  # 48 + 3 * 4
        (60, 10, {"epochs": 10}, 6, 6),  # nothing is left to promote
        (8, 1, {}, 8, 8),
    ],
)
def test_the_budget_gives_the_number_of_candidates(
    budget: int, most: int, options: dict[str, object], candidates: int, finalists: int, workers: int
) -> None:
    run = played(later_is_better, budget, most, workers, **options)
    whole = int(str(options.get("max_epochs", most)))
    assert len(run.trials) == candidates
    assert trained(run) == [int(str(options.get("epochs", 1)))] * (candidates - finalists) + [whole] * finalists
    assert run.ledger.committed == budget


@pytest.mark.parametrize(("budget", "extra"), [(60, 0), (61, 1), (62, 2), (63, 0)])
def test_epochs_that_i_does_not_divide_train_the_next_best(budget: int, extra: int) -> None:
    """13 candidates of 3 epochs and 3 finalists of 7 more; what is left over goes to the fourth, 63 makes a 14th."""
    run = played(later_is_better, budget, 10, epochs=3)
    total = 14 if budget == 63 else 13
    assert trained(run) == [3] * (total - 4) + [3 + extra] + [10] * 3
    assert run.ledger.committed == budget


def test_values_at_epoch_i_decide_and_of_equal_ones_the_earlier() -> None:
    """The candidates' values are 0.5 but for trial 4's; what was better before epoch i does not count."""
    run = played(lambda t, e: 0.9 if t == 4 or (t == 7 and e == 1) else 0.5, 30, 5, epochs=2, top_k=3)
    assert [t.number for t in run.trials if t.epochs == 5] == [0, 1, 4]


def test_a_candidate_that_fails_makes_room_for_another() -> None:
    """20 - 2 * 4 = 12 epochs for candidates of 1; four that fail before their first epoch cost nothing."""
    run = played(lambda t, e: None if t < 4 else float(t), 20, 5, workers=3, top_k=2)
    assert trained(run) == [0] * 4 + [1] * 10 + [5] * 2
    assert run.ledger.committed == 20


def test_a_candidate_that_diverges_pays_for_its_epoch() -> None:
    run = played(lambda t, e: float("nan") if t < 4 else float(t), 20, 5, workers=3, top_k=2)
    assert trained(run) == [1] * 10 + [5] * 2
    assert [t.status for t in run.trials[:4]] == ["failed"] * 4


def test_the_next_best_takes_the_place_of_a_finalist_that_fails() -> None:
    """Trial 11, the best, fails after 3 of its 5 epochs: the third best gets the 2 that it leaves, and no more."""
    run = played(lambda t, e: None if t == 11 and e == 4 else later_is_better(t, e), 20, 5, top_k=2)
    assert trained(run) == [1] * 9 + [3, 5, 3]
    assert run.ledger.committed == 20


def test_training_that_ends_early_leaves_its_epochs_to_the_next_best() -> None:
    """Each training ends itself at epoch 3 of 5: four finalists instead of two, and the run is exact."""
    run = played(later_is_better, 20, 5, top_k=2, ends=3)
    assert trained(run) == [1] * 8 + [3] * 4
    assert run.ledger.committed == 20


def test_training_that_ends_before_i_counts_with_its_best_value() -> None:
    run = played(lambda t, e: t + (0.5 if e == 1 else 0.0), 24, 6, epochs=3, top_k=2, ends=2)
    assert {trial.status for trial in run.trials} == {"completed"}
    assert run.ledger.committed == 24


def test_a_small_space_is_trained_whole_and_the_run_says_why_it_ended() -> None:
    run = played(later_is_better, 40, 4, space=SearchSpace({"x": Choice((1, 2, 3))}))
    assert trained(run) == [4, 4, 4]
    assert run.reason == "the method has no configuration left to train; 28 epochs were not needed"


def test_when_all_candidates_failed_another_round_begins() -> None:
    """16 candidates diverge; the 4 epochs that are left train one of a new round as far as they go."""
    run = played(lambda t, e: float("nan") if t < 16 else 0.5, 20, 5, top_k=1)
    assert trained(run) == [1] * 16 + [4]
    assert run.ledger.committed == 20


def test_folds_are_charged() -> None:
    """An epoch of five folds costs 5: of a budget of 100 there are 20, which train 12 candidates and 2 finalists."""
    run = played(later_is_better, 100, 5, charge=5)
    assert trained(run) == [1] * 10 + [5] * 2
    assert run.ledger.committed == 100


def test_a_study_tells_its_methods_of_its_folds(tmp_path: Path) -> None:
    study = written(tmp_path, "i-epoch", epochs=60, most=5)
    (run,) = runs_of(study.model_copy(update={"data": {**study.data, "folds": 3}}))
    (plain,) = runs_of(study)
    assert (run.rules.charge, run.schedule._budget, plain.schedule._budget) == (3, 20, 60)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, "epochs must be a whole number with 1 <= epochs <= 10 (max_epochs), but got 0"),
        ({"epochs": 11}, "epochs must be a whole number with 1 <= epochs <= 10 (max_epochs), but got 11"),
        ({"epochs": 6, "max_epochs": 5}, "epochs must be a whole number with 1 <= epochs <= 5 (max_epochs), but got 6"),
        ({"top_k": 0}, "top_k must be a whole number with 1 <= top_k <= 6 (a budget of 69 epochs, 10 for each), but got 0"),
        ({"top_k": 7}, "top_k must be a whole number with 1 <= top_k <= 6 (a budget of 69 epochs, 10 for each), but got 7"),
        ({"topk": 3}, "i-epoch has no option 'topk'; did you mean 'top_k'?"),
    ],
)  # fmt: skip
def test_options_that_cannot_hold(options: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        build(Method("i-epoch", "i-epoch", options), Setting(SPACE, 69, 10))
    assert str(caught.value) == says


@pytest.mark.parametrize("name", ["1-epoch", "i_epoch", "iepoch"])
def test_other_spellings_are_answered_with_the_name(name: str) -> None:
    with pytest.raises(InvalidOption, match="did you mean 'i-epoch'"):
        build(Method(name, name), Setting(SPACE, 69, 10))
