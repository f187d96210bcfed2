"""Combined methods against their papers: BOHB's split, paper 000's defaults and Algorithm 2, paper 003."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.game.contract import Landscape, play
from hpo.methods.protocol import InvalidOption, Schedule, Setting
from hpo.methods.searchers.kde import Density, Kde, enough, split
from hpo.methods.whole.bohb import Bohb
from hpo.methods.whole.default import Default, nearest_value
from hpo.methods.whole.refine import Refine, by_importance
from hpo.methods.whole.sequential_unfreezing import SequentialUnfreezing, lowered
from hpo.study.space import Choice, Config, Float, Int, SearchSpace
from hpo.study.values import Method, Observation

TUNING = SearchSpace(
    {
        "learning_rate": Float(1e-5, 0.1, log=True),
        "batch_size": Choice((16, 32, 64)),
        "finetuned_layers": Choice((9, 14, 18, "all")),
        "dropout": Float(0.0, 0.5),
    }
)


def train(schedule: Schedule, values: list[float | None]) -> list[Config]:
    """Plays with one worker and R = 1; returns the configurations in order. Each gets the next value (None: it fails)."""
    configs = []
    for value in values:
        segment = schedule.next_segment()
        if segment is None:
            break
        configs.append(segment.config)
        if value is None:
            schedule.on_failure(segment.trial, 0)
        else:
            schedule.on_epoch(segment.trial, 1, value)
    return configs


# -- BOHB -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "expected"),
    [(8, 5, (6, 6)), (20, 2, (3, 17)), (40, 2, (6, 34)), (100, 5, (15, 85)), (7, 4, (5, 5))],
)
def test_split_of_bohb(n: int, d: int, expected: tuple[int, int]) -> None:
    """Falkner et al. 2018, equation 3: N_l = max(N_min, q N), N_g = max(N_min, N - N_l), with N_min = d + 1, q = 15 %."""
    assert split(n, d, 0.15) == expected


@given(n=st.integers(1, 500), d=st.integers(1, 40))
def test_split_is_in_two_parts_wherever_a_length_is_modelled(n: int, d: int) -> None:
    """Unless published: at least half of N_min are good, none is both good and bad, and more are bad than good."""
    if n >= enough(d, published=False):
        good, bad = split(n, d, 0.15, published=False)
        assert good + bad == n
        assert (d + 1) // 2 <= good < bad


@pytest.mark.parametrize(("published", "modelled"), [(True, 3), (False, 1)])
def test_bohb_waits_for_two_parts_unless_as_published(published: bool, modelled: int) -> None:
    """d = 2, five results at epoch 3: N_min + 2 = 5 are enough in the paper, two disjoint parts would need 6.

    At epoch 1 what is near 0 is good, at epoch 3 what is near 1.
    """
    space = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
    start = tuple(
        {"x": x, "y": 0.1 * i} for i, x in enumerate([0.0, 0.03, 0.06, 0.09, 0.12, 0.8, 0.9, 0.95, 0.98, 1.0])
    )
    searcher = Kde(Setting(space, 100, 3, start=start), [1, 3], random_fraction=0.0, published=published)
    assert [searcher.suggest() for _ in start] == list(start)
    for config in start:
        searcher.observe(config, 1, 1.0 - float(config["x"]))
    for config in (start[0], start[1], *start[7:]):
        searcher.observe(config, 3, float(config["x"]))
    near_one = np.mean([float(suggested(searcher)["x"]) for _ in range(20)]) > 0.5
    assert near_one == (modelled == 3)


def test_bohb_models_the_longest_training_with_enough_results() -> None:
    """d = 1: N_min + 2 = 4 results. Four at epoch 1 and three at epoch 3: epoch 1; with a fourth at epoch 3: epoch 3.

    At epoch 1 what is near 0 is good, at epoch 3 what is near 1: where the draws fall tells which one is modelled.
    """
    space = SearchSpace({"x": Float(0.0, 1.0)})
    xs = [0.02 * i for i in range(5)] + [1 - 0.02 * i for i in range(5)]
    start = tuple({"x": x} for x in xs)
    searcher = Kde(Setting(space, 100, 3, start=start), [1, 3], random_fraction=0.0)
    given = [searcher.suggest() for _ in xs]
    assert given == list(start)
    for config in start:
        searcher.observe(config, 1, 1.0 - abs(float(config["x"])))
    for config in start[2:5]:
        searcher.observe(config, 3, float(config["x"]))
    assert np.mean([float(suggested(searcher)["x"]) for _ in range(20)]) < 0.4
    for config in start[5:]:
        searcher.observe(config, 3, float(config["x"]))
    assert np.mean([float(suggested(searcher)["x"]) for _ in range(20)]) > 0.6


def suggested(searcher: Kde) -> Config:
    config = searcher.suggest()
    assert config is not None
    return config


def test_a_failed_configuration_is_bad_at_the_length_that_it_did_not_reach() -> None:
    space = SearchSpace({"x": Float(0.0, 1.0)})
    start = tuple({"x": i / 19} for i in range(20))
    searcher = Kde(Setting(space, 100, 1, start=start), [1], random_fraction=0.0)
    for config in start:
        assert searcher.suggest() == config
        if float(config["x"]) < 0.5:
            searcher.fail(config)
        else:
            searcher.observe(config, 1, 0.0)
    assert np.mean([float(suggested(searcher)["x"]) > 0.4 for _ in range(40)]) > 0.9


def test_densities_integrate_to_one_over_choices_and_peak_at_their_rows() -> None:
    rows = np.array([[0.2, 1 / 6], [0.25, 1 / 6], [0.3, 0.5]])
    density = Density.fit(rows, np.array([0, 3]), 1e-3)
    at = np.array([[0.25, (k + 0.5) / 3] for k in range(3)])
    mass = np.exp(density.log_pdf(at))
    assert mass[0] > mass[1] > mass[2] > 0
    xs = np.linspace(-2, 3, 4001)
    total = sum(np.exp(density.log_pdf(np.column_stack([xs, np.full_like(xs, (k + 0.5) / 3)]))) for k in range(3))
    assert np.trapezoid(total, xs) == pytest.approx(1.0, abs=1e-3)


def test_bohb_plays_hyperbands_brackets() -> None:
    schedule = Bohb(Setting(TUNING, 10_000, 9, seed=3))
    stops = []
    for _ in range(22):
        segment = schedule.next_segment()
        assert segment is not None
        stops.append(segment.stop)
        for epoch in range(segment.start + 1, segment.stop + 1):
            schedule.on_epoch(segment.trial, epoch, float(segment.config["dropout"]))
    assert stops == [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3


# -- paper 000 --------------------------------------------------------------------------------------------------------


def test_defaults_are_table_4_of_paper_000() -> None:
    """Batch 16: 1e-4 frozen, 1e-5 unfrozen; 32: 1e-3, 1e-4; 64: 1e-2, 1e-3; the paper's own defaults first."""
    configs = train(Default(Setting(TUNING, 100, 1)), [0.5] * 6)
    shown = [(c["batch_size"], round(float(c["learning_rate"]), 9), c["finetuned_layers"]) for c in configs]
    assert shown == [
        (32, 1e-3, 9), (32, 1e-4, "all"), (16, 1e-4, 9), (16, 1e-5, "all"), (64, 1e-2, 9), (64, 1e-3, "all"),
    ]  # fmt: skip
    assert {c["dropout"] for c in configs} == {0.5}


def test_defaults_that_agree_with_what_is_fixed_come_first() -> None:
    space = SearchSpace({"learning_rate": Choice((1e-5, 1e-4, 1e-3, 1e-2, 1e-1))})
    configs = train(Default(Setting(space, 100, 1, fixed={"batch_size": 16, "finetuned_layers": "fewest"})), [0.5] * 9)
    assert configs[0] == {"learning_rate": 1e-4}
    assert len(configs) == 5
    assert Default(Setting(space, 100, 1)).oblivious


def test_default_refuses_a_space_of_which_nothing_is_published() -> None:
    with pytest.raises(InvalidOption, match="but the space has only x"):
        Default(Setting(SearchSpace({"x": Float(0.0, 1.0)}), 10, 1))


def test_published_values_move_to_the_nearest_that_the_space_has() -> None:
    assert nearest_value(Float(0.01, 1.0, log=True), 1e-3) == 0.01
    assert nearest_value(Choice((8, 128)), 64) == 128
    assert nearest_value(Choice(("sgd", "rmsprop")), "adam") == "sgd"
    assert nearest_value(Int(8, 64, step=8), 30) == 32
    assert nearest_value(Choice((14, "all", 9)), "fewest") == 9
    assert nearest_value(Choice((14, "all", 9)), "most") == "all"


def test_algorithm_2_of_paper_000() -> None:
    """y1 = 0.5. Attempt 1 gives 0.6: kept. Attempt 2 gives 0.4: unfrozen with a tenth of the rate it gives 0.7: kept.

    Attempt 3 gives 0.65, no better than 0.7; unfrozen 0.6: discarded. Attempt 4 fails: discarded, nothing is unfrozen.
    """
    schedule = SequentialUnfreezing(Setting(TUNING, 100, 1, seed=1), searcher="random")
    configs = train(schedule, [0.5, 0.6, 0.4, 0.7, 0.65, 0.6, None, 0.1])
    layers = [c["finetuned_layers"] for c in configs]
    assert layers == [9, 9, 9, 14, 9, 14, 9, 9]
    assert (configs[0]["learning_rate"], configs[0]["batch_size"]) == (pytest.approx(1e-3), 32)
    for first, second in ((2, 3), (4, 5)):
        expected = max(1e-5, float(configs[first]["learning_rate"]) / 10)
        assert configs[second]["learning_rate"] == pytest.approx(expected, rel=1e-6)
        assert configs[second]["dropout"] == configs[first]["dropout"]
    assert configs[6] not in (configs[4], configs[7])


def test_after_n_discarded_attempts_the_whole_space_is_searched() -> None:
    """N = 1: the baseline, one attempt that neither as it is nor unfrozen improves, then any number of layers."""
    schedule = SequentialUnfreezing(Setting(TUNING, 100, 1), searcher="random", attempts=1)
    configs = train(schedule, [0.9] + [0.1] * 30)
    layers = [c["finetuned_layers"] for c in configs]
    assert layers[:3] == [9, 9, 14]
    assert set(layers[3:]) == {9, 14, 18, "all"}


def test_each_further_step_unfreezes_a_further_layer() -> None:
    schedule = SequentialUnfreezing(Setting(TUNING, 100, 1), searcher="random", steps=3)
    assert [c["finetuned_layers"] for c in train(schedule, [0.9] + [0.1] * 5)] == [9, 9, 14, 18, "all", 9]


def test_workers_wait_for_the_baseline() -> None:
    schedule = SequentialUnfreezing(Setting(TUNING, 100, 2), searcher="random")
    assert schedule.next_segment() is not None
    assert schedule.next_segment() is None
    schedule.on_epoch(0, 1, 0.5)
    schedule.on_epoch(0, 2, 0.4)
    assert schedule.next_segment() is not None


def test_rates_of_a_choice_go_to_the_next_lower_one() -> None:
    domain = Choice((0.1, 0.001, 0.01))
    assert [lowered(domain, rate, 0.1) for rate in (0.1, 0.01, 0.001)] == [0.01, 0.001, 0.001]


def test_unfreezing_refuses_a_space_without_rate_and_layers() -> None:
    with pytest.raises(InvalidOption, match="needs learning_rate or finetuned_layers"):
        SequentialUnfreezing(Setting(SearchSpace({"x": Float(0.0, 1.0)}), 10, 1))


# -- paper 003 --------------------------------------------------------------------------------------------------------


def test_refine_changes_the_most_important_alone_then_the_least() -> None:
    """The best dropout is 0.4, found with the first pass of changes; the change of the rate goes on from there."""
    incumbent = {"learning_rate": 0.001, "batch_size": 32, "finetuned_layers": 9, "dropout": 0.1}
    order = ["dropout", "finetuned_layers", "batch_size", "learning_rate"]
    schedule = Refine(Setting(TUNING, 100, 1), incumbent=incumbent, order=order, points=5)
    seen, best = [], incumbent
    for _ in range(12):
        segment = schedule.next_segment()
        assert segment is not None
        seen.append(dict(segment.config))
        schedule.on_epoch(segment.trial, 1, 1 - abs(float(segment.config["dropout"]) - 0.4))
    assert seen[0] == incumbent
    changed = [[name for name in best if config[name] != incumbent[name]] for config in seen[1:6]]
    assert changed == [["dropout"]] * 5
    best = min(seen[:6], key=lambda config: abs(config["dropout"] - 0.4))
    for config in seen[6:11]:
        assert [name for name in best if config[name] != best[name]] == ["learning_rate"]
    assert [name for name in best if seen[11][name] != best[name]] == ["finetuned_layers"]


def test_refine_tunes_first_where_no_incumbent_is_given() -> None:
    game = play(Method("refine", "r", {"searcher": "random"}), Setting(TUNING, 40, 2, parallelism=3), Landscape())
    tuned, changed = game.configs[:10], game.configs[10:]
    best = max(tuned, key=lambda c: Landscape().value(TUNING, c, 2, 2) or 0.0)
    assert len(changed) == 10
    assert all(sum(c[name] != best[name] for name in best) == 1 for c in changed[:5])


def test_refine_orders_by_what_earlier_results_show() -> None:
    rng = np.random.default_rng(0)
    configs = [TUNING.sample(rng) for _ in range(80)]
    prior = [Observation(c, 1, float(c["dropout"]) + 0.002 * float(c["batch_size"])) for c in configs]
    order = by_importance(TUNING, prior)
    assert order[0] == "dropout"
    assert order[2] == "batch_size"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": ["dropuot"]}, "did you mean 'dropout'?"),
        ({"incumbent": {"dropout": 0.1}}, "must be a configuration of the space"),
        ({"incumbent": 3}, "must be a configuration of the space"),
        ({"share": 2.0}, "share must be a number with 0 <= share <= 1"),
    ],
)
def test_refine_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        Refine(Setting(TUNING, 10, 1), **options)
    assert message in str(caught.value)
