"""ASHA against Algorithm 2 of Li et al. 2020, worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.schedules.asha import Asha
from hpo.methods.schedules.rungs import Rung, levels
from hpo.study.space import Config, Float, SearchSpace
from hpo.study.values import Decision

SPACE = SearchSpace({"x": Float(0.0, 1.0)})


class Listed:
    """A searcher that suggests the given values in order."""

    def __init__(self, values: Sequence[float]) -> None:
        self.left = list(values)
        self.heard: list[tuple[str, float]] = []

    def suggest(self) -> Config | None:
        return {"x": self.left.pop(0)} if self.left else None

    def observe(self, config: Config, epoch: int, value: float) -> None:
        self.heard.append(("epoch", float(config["x"])))

    def fail(self, config: Config) -> None:
        self.heard.append(("fail", float(config["x"])))

    def close(self, config: Config) -> None:
        self.heard.append(("close", float(config["x"])))


def setting(max_epochs: int, **changes: int) -> Setting:
    return Setting(SPACE, budget=10_000, max_epochs=max_epochs, **changes)


def played(schedule: Asha, value: Callable[[float], float], segments: int) -> list[tuple[int, int]]:
    """Plays with one worker; returns what was trained, as (trial, up to epoch)."""
    seen = []
    for _ in range(segments):
        segment = schedule.next_segment()
        if segment is None:
            break
        seen.append((segment.trial, segment.stop))
        for epoch in range(segment.start + 1, segment.stop + 1):
            decision = schedule.on_epoch(segment.trial, epoch, value(float(segment.config["x"])))
            assert (decision is Decision.CONTINUE) == (epoch < segment.stop)
    return seen


def test_promotions_of_algorithm_2() -> None:
    """R = 9, r = 1, eta = 3, s = 0, one worker; configurations are worth their own x.

    Rung 0 grows 0.1 0.2 0.3: floor(3/3) = 1, its best (trial 2) goes to rung 1. 0.4 .. 0.6: at six entries two are in
    the top third, 0.6 and 0.5, trials 5 and 4, the better first; at the fourth and fifth entry the top third is one,
    a new best each time (0.4, then 0.5), so each is promoted at once, as Algorithm 2 has it. Rung 1 then has three
    entries, 0.3 0.4 0.5, and trial 4 goes to R = 9 before anything else.
    """
    seen = played(Asha(setting(9), Listed([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]), eta=3), lambda x: x, 9)
    assert seen == [(0, 1), (1, 1), (2, 1), (2, 3), (3, 1), (3, 3), (4, 1), (4, 3), (4, 9)]


def test_a_rejected_configuration_is_resumed_when_the_rung_has_grown() -> None:
    """Best first: 0.9 goes up at three entries; 0.8, passed over then, goes up when six make the top third two."""
    seen = played(Asha(setting(9), Listed([0.9, 0.8, 0.1, 0.2, 0.3, 0.4, 0.5]), eta=3), lambda x: x, 9)
    assert seen == [(0, 1), (1, 1), (2, 1), (0, 3), (3, 1), (4, 1), (5, 1), (1, 3), (6, 1)]


def test_equal_values_go_to_the_earlier_trial() -> None:
    seen = played(Asha(setting(4), Listed([0.1] * 5), eta=2), lambda x: 0.5, 6)
    assert seen == [(0, 1), (1, 1), (0, 2), (2, 1), (3, 1), (1, 2)]


def test_s_starts_later_and_the_last_rung_is_the_maximum() -> None:
    assert levels(1, 16, 4) == [1, 4, 16]
    assert levels(1, 16, 4, s=1) == [4, 16]
    assert levels(1, 16, 4, s=2) == [16]
    assert levels(2, 25, 4) == [2, 8, 25]
    assert levels(7, 7, 3) == [7]


def test_at_most_full_models_reach_the_top_then_a_new_round_begins() -> None:
    """Paper 001's setting (R 16, r 1, eta 4), N_m = 1: after one fully trained model the rungs are empty again."""
    searcher = Listed([i / 200 for i in range(200)])
    seen = played(Asha(setting(16), searcher, full_models=1), lambda x: x, 40)
    first = seen.index(next(s for s in seen if s[1] == 16))
    after = seen[first + 1 :]
    assert [stop for _, stop in after[:5]] == [1, 1, 1, 1, 4]
    assert min(trial for trial, _ in after) > max(trial for trial, _ in seen[: first + 1])


def test_the_limit_holds_while_models_are_still_under_way() -> None:
    schedule = Asha(setting(2), Listed([0.1 * i for i in range(9)]), eta=2, full_models=1)
    asked = [schedule.next_segment() for _ in range(4)]
    for segment in asked:
        assert segment is not None
        schedule.on_epoch(segment.trial, 1, 0.5)
    under_way = [schedule.next_segment() for _ in range(3)]
    assert [s.stop for s in under_way if s] == [2, 1, 1]


def test_a_trial_that_failed_counts_among_the_worst() -> None:
    schedule = Asha(setting(9), Listed([0.1, 0.2, 0.3, 0.4]), eta=3)
    for _ in range(3):
        schedule.next_segment()
    for trial in range(3):
        if trial == 1:
            schedule.on_epoch(1, 1, 0.2)
        else:
            schedule.on_failure(trial, 0)
    segment = schedule.next_segment()
    assert segment is not None
    assert (segment.trial, segment.start, segment.stop) == (1, 1, 3)


def test_without_new_configurations_the_best_paused_trials_train_on() -> None:
    searcher = Listed([0.1, 0.2])
    seen = played(Asha(setting(9), searcher, eta=3), lambda x: x, 99)
    assert seen == [(0, 1), (1, 1), (1, 3), (1, 9), (0, 3), (0, 9)]
    assert [x for kind, x in searcher.heard if kind == "close"] == [0.2, 0.1]


def test_passed_over_trials_wait_while_another_is_under_way() -> None:
    """Trial 1 may still beat trial 0 at the rung, so trial 0 trains on only when nothing runs."""
    schedule = Asha(setting(9), Listed([0.1, 0.2]), eta=3)
    for _ in range(2):
        schedule.next_segment()
    schedule.on_epoch(0, 1, 0.1)
    assert schedule.next_segment() is None
    schedule.on_epoch(1, 1, 0.2)
    segment = schedule.next_segment()
    assert segment is not None
    assert (segment.trial, segment.stop) == (1, 3)


def test_without_new_configurations_the_latest_round_trains_on_first() -> None:
    """R = 2, eta = 2, one full model a round: trials 0 and 2 win the rounds; 3, of the second, goes on before 1."""
    schedule = Asha(setting(2), Listed([0.9, 0.1, 0.8, 0.2]), eta=2, full_models=1)
    seen = played(schedule, lambda x: x, 99)
    assert seen == [(0, 1), (1, 1), (0, 2), (2, 1), (3, 1), (2, 2), (3, 2), (1, 2)]


def test_a_trial_that_fails_on_its_way_to_the_maximum_does_not_count_as_a_full_model() -> None:
    schedule = Asha(setting(2), Listed([0.9, 0.8, 0.1, 0.2]), eta=2, full_models=1)
    assert played(schedule, lambda x: x, 2) == [(0, 1), (1, 1)]
    segment = schedule.next_segment()
    assert segment is not None
    assert (segment.trial, segment.stop) == (0, 2)
    schedule.on_failure(0, 1)
    assert played(schedule, lambda x: x, 3) == [(2, 1), (3, 1), (1, 2)]


@pytest.mark.parametrize(("s", "first"), [(0, 1), (1, 4), (2, 16)])
def test_the_first_rung_may_be_the_maximum(s: int, first: int) -> None:
    assert played(Asha(setting(16), Listed([0.1]), s=s), lambda x: x, 1) == [(0, first)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": 1}, "eta must be a whole number with eta >= 2, but got 1"),
        ({"eta": 2.5}, "eta must be a whole number with eta >= 2, but got 2.5"),
        ({"min_epochs": 0}, "min_epochs must be a whole number with 1 <= min_epochs <= 16 (max_epochs), but got 0"),
        ({"min_epochs": 17}, "min_epochs must be a whole number with 1 <= min_epochs <= 16 (max_epochs), but got 17"),
        ({"max_epochs": 17}, "max_epochs must be a whole number with 1 <= max_epochs <= 16"),
        ({"s": 3}, "min_epochs * eta^s <= max_epochs must hold, but got (min_epochs=1, eta=4, s=3, max_epochs=16)"),
        ({"full_models": 0}, "full_models must be a whole number with full_models >= 1, but got 0"),
        ({"full_models": True}, "full_models must be a whole number with full_models >= 1, but got True"),
    ],
)
def test_options_that_cannot_hold(options: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        Asha(setting(16), Listed([]), **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_a_rung_agrees_with_sorting(eta: int) -> None:
    """At every size the heaps give the same as Algorithm 2's top_k over the whole rung."""
    values = [((7 * i * i + 3 * i) % 101) / 10 for i in range(300)]
    rung, promoted = Rung(eta), set()
    for trial, value in enumerate(values):
        rung.record(trial, value)
        best = sorted(range(trial + 1), key=lambda t: (-values[t], t))[: (trial + 1) // eta]
        expected = next((t for t in best if t not in promoted), None)
        assert rung.promotable() == expected
        if expected is not None and trial % 3:
            assert rung.take() == expected
            promoted.add(expected)


class Counted(float):
    """A value that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: float) -> bool:
        Counted.comparisons += 1
        return float.__lt__(self, other)

    def __neg__(self) -> Counted:
        return Counted(float.__neg__(self))


def comparisons_per_trial(trials: int) -> float:
    Counted.comparisons = 0
    rung = Rung(4)
    for trial in range(trials):
        rung.record(trial, Counted((trial * 7919 % 100_003) / 100_003))
        if rung.promotable() is not None:
            rung.take()
    assert len(rung) == trials
    return Counted.comparisons / trials


def test_an_event_of_a_hundred_thousand_trials_costs_what_one_of_ten_thousand_does() -> None:
    assert comparisons_per_trial(100_000) < 1.25 * comparisons_per_trial(10_000) < 100
