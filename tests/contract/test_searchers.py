"""Holds every registered searcher to the contract of searchers."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hpo.methods.protocol import InvalidOption, Searcher, Setting
from hpo.methods.registry import SEARCHERS, build_searcher, searcher_options
from hpo.methods.searchers.kde import Kde
from hpo.study.space import Choice, Config, Float, Int, SearchSpace
from hpo.study.values import Observation, digest

MIXED = SearchSpace(
    {
        "learning_rate": Float(1e-4, 0.1, log=True, grid=(1e-3, 1e-2)),
        "dropout": Float(0.0, 0.5, step=0.05),
        "units": Int(4, 512, log=True),
        "layers": Int(0, 12, step=3),
        "optimizer": Choice(("adam", "sgd", 3, True)),
        "momentum": Float(0.5, 0.99),
        "warmup": Int(1, 5),
    },
    {"momentum": {"optimizer": ("sgd",)}, "warmup": {"momentum": (0.5, 0.99), "layers": (3, 6)}},
)
SMALL = SearchSpace(
    {"a": Int(0, 3), "b": Choice(("x", "y")), "c": Float(0.0, 1.0, step=0.5)}, {"c": {"b": ("y",)}}
)  # 4 * (1 + 3) configurations
SPACES = {
    "mixed": MIXED,
    "small": SMALL,
    "one range": SearchSpace({"x": Float(0.0, 1.0)}),
    "one value": SearchSpace({"x": Choice(("only",))}),
    "one point": SearchSpace({"x": Float(2.0, 2.0), "y": Int(3, 3)}),
    "ints": SearchSpace({"x": Int(1, 1000, log=True), "y": Int(-5, 5)}),
}
FINITE = {"small": 16, "one value": 1, "one point": 1}

# Options with which the model is used early, so that short games reach it.
MAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "grid": ("grid", {"points": 4}),
    "random": ("random", {}),
    "sobol": ("sobol", {}),
    "halton": ("halton", {}),
    "bayesian": ("bayesian", {}),
    "tpe": ("tpe", {"startup": 4}),
    "genetic": ("genetic", {"population": 6}),
    "local": ("local", {}),
    "cmaes": ("cmaes", {"population": 4}),
    "priorband": ("priorband", {}),
    "transfer": ("transfer", {}),
}
FACTORIES = {
    **MAIN,
    "bayesian ei": ("bayesian", {"acquisition": "ei", "xi": 0.01}),
    "bayesian ucb": ("bayesian", {"acquisition": "ucb"}),
    "bayesian pi": ("bayesian", {"acquisition": "pi"}),
    "tpe by hyperopt": ("tpe", {"startup": 4, "gamma": 0.25, "joint": False}),
}
QUICK = [name for name in MAIN if name != "grid"]


def test_every_registered_searcher_is_tested() -> None:
    assert {name for name, _ in FACTORIES.values()} == set(SEARCHERS)


def make(name: str, space: SearchSpace = MIXED, **setting: Any) -> Searcher:
    registered, options = FACTORIES[name]
    return build_searcher(registered, Setting(space, budget=1000, max_epochs=9, **setting), **options)


def value(space: SearchSpace, config: Config, epoch: int) -> float:
    """Returns a value, larger is better; the best is at 0.3 of each range."""
    return float(1.0 - ((space.encode(config) - 0.3) ** 2).mean() - 1.0 / (1 + epoch))


def fails(config: Config) -> bool:
    """Whether a configuration is among the half that fail."""
    return int(digest(dict(config)), 16) % 2 == 0


class Game:
    """A searcher under four workers; each suggestion trains 1, 3 or 9 epochs, interleaved with the others."""

    def __init__(self, searcher: Searcher, space: SearchSpace, fails: Callable[[Config], bool] = lambda config: False):
        self.searcher, self.space, self.fails = searcher, space, fails
        self.running: list[Config] = []
        self.configs: list[Config] = []

    def step(self) -> bool:
        """Takes a suggestion and ends an earlier one; returns False if nothing more comes."""
        config = self.searcher.suggest()
        if config is not None:
            self.space.check(config)
            self.configs.append(config)
            self.running.append(config)
            self.searcher.observe(config, 1, value(self.space, config, 1))
        if len(self.running) > 3 or config is None:
            self._end()
        return config is not None or bool(self.running)

    def _end(self) -> None:
        if not self.running:
            return
        config = self.running.pop(0)
        if self.fails(config):
            self.searcher.fail(config)
            return
        for epoch in range(2, (1, 3, 9)[len(self.configs) % 3] + 1):
            self.searcher.observe(config, epoch, value(self.space, config, epoch))
        self.searcher.close(config)

    def play(self, steps: int) -> list[Config]:
        for _ in range(steps):
            if not self.step():
                break
        return self.configs

    def __iter__(self) -> Iterator[str]:
        return (digest(dict(config)) for config in self.configs)


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_stays_in_the_space_and_never_repeats(name: str, space: SearchSpace) -> None:
    game = Game(make(name, space), space)
    game.play(16)
    assert len(set(game)) == len(game.configs) > 0


@pytest.mark.parametrize("name", MAIN)
@pytest.mark.parametrize("space", FINITE)
def test_an_exhausted_space_ends_after_all_its_configurations(name: str, space: str) -> None:
    game = Game(make(name, SPACES[space]), SPACES[space])
    game.play(FINITE[space] + 8)
    assert len(set(game)) == len(game.configs) == FINITE[space]
    assert game.searcher.suggest() is None


@pytest.mark.parametrize("name", MAIN)
def test_the_same_calls_give_the_same_suggestions(name: str) -> None:
    first, second, other = (Game(make(name, seed=seed), MIXED).play(14) for seed in (1, 1, 2))
    assert first == second
    assert first != other


@pytest.mark.parametrize("name", MAIN)
def test_a_copy_goes_on_as_the_original(name: str) -> None:
    game = Game(make(name), MIXED, fails)
    for _ in range(13):
        copied = copy.deepcopy(game)
        assert copied.searcher.suggest() == copy.deepcopy(game).searcher.suggest()
        game.step()
    copied = copy.deepcopy(game)
    assert game.play(4) == copied.play(4)


@pytest.mark.parametrize("name", FACTORIES)
def test_goes_on_where_half_of_all_configurations_fail(name: str) -> None:
    game = Game(make(name), MIXED, fails)
    game.play(24)
    assert len(set(game)) == 24
    assert any(fails(config) for config in game.configs)


@pytest.mark.parametrize("name", MAIN)
def test_goes_on_where_all_configurations_fail(name: str) -> None:
    searcher = make(name)
    suggested = []
    for _ in range(16):
        config = searcher.suggest()
        assert config is not None
        suggested.append(digest(dict(config)))
        searcher.fail(config)
    assert len(set(suggested)) == 16


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e300])
def test_values_of_any_size_are_survived(name: str, scale: float) -> None:
    """Values that are all equal, hardly different, and so large that their squares overflow."""
    searcher = make(name)
    for number in range(14):
        config = searcher.suggest()
        assert config is not None
        MIXED.check(config)
        searcher.observe(config, 1, scale * (number % 5 - 2))
        searcher.close(config)


@pytest.mark.parametrize("name", MAIN)
def test_start_configurations_come_first(name: str) -> None:
    start = tuple(MIXED.sample(np.random.default_rng(seed)) for seed in (1, 2, 1))
    game = Game(make(name, start=start), MIXED)
    game.play(8)
    assert game.configs[:2] == list(start[:2])
    assert len(set(game)) == len(game.configs) == 8


@pytest.mark.parametrize("name", MAIN)
def test_many_suggestions_before_the_first_result(name: str) -> None:
    searcher = make(name)
    suggested = [searcher.suggest() for _ in range(20)]
    assert len({digest(dict(config)) for config in suggested if config is not None}) == 20


BOWL = SearchSpace({"x": Float(0.0, 1.0), "y": Float(1e-4, 1.0, log=True), "z": Choice(("good", "bad", "worse"))})


def bowl(config: Config) -> float:
    x, y, z = BOWL.encode(config)
    return -((x - 0.7) ** 2) - (y - 0.2) ** 2 - 0.2 * (z > 1 / 3)


def best_of(searcher: Searcher, count: int) -> float:
    """Returns the best value of `count` suggestions, one after the other."""
    found = -math.inf
    for _ in range(count):
        config = searcher.suggest()
        assert config is not None
        searcher.observe(config, 1, bowl(config))
        searcher.close(config)
        found = max(found, bowl(config))
    return found


LEARNING = {"bayesian": 25, "tpe": 50, "genetic": 50, "local": 50, "cmaes": 80}


@pytest.mark.parametrize("name", LEARNING)
def test_learns_from_what_it_observes(name: str) -> None:
    """Better than random search on a bowl, in the median of 5 seeds."""
    settings = [Setting(BOWL, budget=100, max_epochs=1, seed=seed) for seed in range(5)]
    learned = np.median([best_of(build_searcher(name, s), LEARNING[name]) for s in settings])
    drawn = np.median([best_of(build_searcher("random", s), LEARNING[name]) for s in settings])
    assert learned > drawn / 2, (learned, drawn)  # values are negative: half as far from the best, or nearer


@pytest.mark.parametrize("name", ["bayesian", "tpe"])
def test_how_far_a_loss_explodes_teaches_nothing(name: str) -> None:
    """Losses of 1e8 and of 1e12, where less than half of the trainings go wrong, lead to the same suggestions."""
    setting = Setting(BOWL, budget=100, max_epochs=1, seed=3)
    searchers = {explosion: build_searcher(name, setting) for explosion in (1e8, 1e12)}
    for _ in range(16):
        configs = [searcher.suggest() for searcher in searchers.values()]
        assert configs[0] is not None
        assert configs[0] == configs[1]
        for explosion, searcher in searchers.items():
            value = bowl(configs[0])
            searcher.observe(configs[0], 1, value if value > -0.6 else explosion * value)
            searcher.close(configs[0])


@pytest.mark.parametrize("name", ["tpe"])
def test_only_the_order_of_values_teaches(name: str) -> None:
    """A loss that explodes to 1e8 and more leads to the same suggestions as values in [0, 1] of the same order."""
    setting = Setting(BOWL, budget=100, max_epochs=1, seed=3)
    calm, wild = build_searcher(name, setting), build_searcher(name, setting)
    for _ in range(16):
        config = calm.suggest()
        assert config is not None
        assert config == wild.suggest()
        calm.observe(config, 1, bowl(config))
        wild.observe(config, 1, -math.exp(-30 * bowl(config)))
        calm.close(config)
        wild.close(config)


@pytest.mark.parametrize("name", ["bayesian", "tpe", "genetic", "local", "cmaes"])
def test_earlier_results_teach_what_comes_next(name: str) -> None:
    """With 60 earlier results the best of 5 suggestions is better than without, in the median of 5 seeds."""
    drawn = build_searcher("random", Setting(BOWL, 100, 1, seed=9))
    configs = [config for _ in range(60) if (config := drawn.suggest()) is not None]
    prior = tuple(Observation(config, 1, bowl(config)) for config in configs)
    cold = [best_of(build_searcher(name, Setting(BOWL, 100, 1, seed=seed)), 5) for seed in range(5)]
    warm = [best_of(build_searcher(name, Setting(BOWL, 100, 1, seed=seed, prior=prior)), 5) for seed in range(5)]
    assert np.median(warm) > np.median(cold), (warm, cold)


@pytest.mark.parametrize("name", QUICK)
def test_earlier_results_of_another_space_are_ignored(name: str) -> None:
    prior = (Observation({"elsewhere": 1.0}, 3, 0.5), Observation({"x": 7.0, "y": 0.1, "z": "good"}, 3, 0.5))
    searcher = build_searcher(name.split()[0], Setting(BOWL, 100, 1, prior=prior))
    assert best_of(searcher, 12) <= 0.0


@pytest.mark.parametrize("name", MAIN)
def test_what_earlier_results_trained_to_the_end_comes_last(name: str) -> None:
    """Of 16 configurations 9 are known to R = 9 and 2 to less: the 7 that are not known to R come first, then the others."""
    drawn = build_searcher("random", Setting(SMALL, 1000, 9, seed=4))
    configs = [config for _ in range(11) if (config := drawn.suggest()) is not None]
    prior = tuple(Observation(c, 9 if i < 9 else 3, value(SMALL, c, 9)) for i, c in enumerate(configs))
    game = Game(make(name, SMALL, prior=prior), SMALL)
    game.play(24)
    known = {digest(dict(config)) for config in configs[:9]}
    assert not known & set(list(game)[:7])
    assert len(set(game)) == len(game.configs) == 16


def nearest(points: np.ndarray) -> float:
    """Returns the median distance of points [n, d] to their nearest neighbours."""
    return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))


@pytest.mark.parametrize("name", ["bayesian", "tpe", "genetic", "local", "cmaes", "bohb"])
def test_hundreds_of_workers_do_not_all_work_on_one_spot(name: str) -> None:
    """After 30 results, 300 suggestions without any result (bayesian: 60) lie at least a fiftieth as far apart as random ones."""
    space = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
    setting = Setting(space, budget=1000, max_epochs=1, seed=1)
    searcher = Kde(setting, [1]) if name == "bohb" else build_searcher(name, setting)
    for _ in range(30):
        config = searcher.suggest()
        assert config is not None
        searcher.observe(config, 1, -float(((space.encode(config) - 0.3) ** 2).sum()))
        searcher.close(config)
    pending = [config for _ in range(60 if name == "bayesian" else 300) if (config := searcher.suggest()) is not None]
    points = np.array([space.encode(config) for config in pending])
    assert nearest(points) > nearest(np.random.default_rng(0).random(points.shape)) / 50


def test_a_configuration_that_told_nothing_new_is_not_a_good_one() -> None:
    """Of two choices one does not matter: TPE does not draw the best configuration again and again with another value of it."""
    space = SearchSpace({"a": Choice(tuple("abcdefgh")), "b": Choice(tuple(str(i) for i in range(40)))})
    searcher = build_searcher("tpe", Setting(space, budget=200, max_epochs=2, seed=0))
    drawn = []
    for _ in range(100):
        config = searcher.suggest()
        assert config is not None
        drawn.append(config["a"])
        for epoch in (1, 2):
            searcher.observe(config, epoch, space.encode(config)[0] * epoch)
        searcher.close(config)
    assert max(drawn[50:].count(option) for option in "abcdefgh") < 25, drawn


PLAY = """
import sys
sys.path.insert(0, sys.argv[1])
import test_searchers as t
for name in t.FACTORIES:
    game = t.Game(t.make(name, seed=3), t.MIXED, t.fails)
    game.play(11)
    print(name, *game)
"""


def test_another_process_with_another_hash_seed_gives_the_same() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PLAY, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True, text=True, check=True, timeout=100,
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == len(FACTORIES)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grid", {"points": 0}),
        ("bayesian", {"acquisition": "lcb"}),
        ("bayesian", {"initial": 0}),
        ("bayesian", {"kappa": -1}),
        ("tpe", {"gamma": 2}),
        ("tpe", {"startup": 1.5}),
        ("tpe", {"joint": "no"}),
        ("genetic", {"population": 1}),
        ("genetic", {"mutation": "often"}),
        ("local", {"step": 0}),
        ("cmaes", {"population": 1}),
    ],
)
def test_options_that_cannot_hold_are_refused(name: str, options: dict[str, Any]) -> None:
    ((option, given),) = options.items()
    with pytest.raises(InvalidOption, match=f"{option} must .*{given!r}"):
        build_searcher(name, Setting(MIXED, 10, 1), **options)


# -- costs --------------------------------------------------------------------------------------------------------

AWARE = [name for name in MAIN if "cost_aware" in (searcher_options(MAIN[name][0]) or ())]


def by_cost(config: Config) -> float:
    """One in four options of MIXED's choice costs 1, the others 20; in SMALL half of them."""
    return 1.0 if config.get("optimizer", config.get("b")) in ("sgd", "y") else 20.0


POOLED = SearchSpace(MIXED.domains, MIXED.conditions, [MIXED.sample(np.random.default_rng(i)) for i in range(200)])


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize("space", [MIXED, POOLED], ids=["free", "pool"])
def test_costs_change_nothing_where_they_are_unknown_or_do_not_count(name: str, space: SearchSpace) -> None:
    registered, options = MAIN[name]

    def suggested(aware: bool | None, **more: Any) -> list[Config]:
        setting = Setting(space, budget=1000, max_epochs=9, **more)
        return Game(build_searcher(registered, setting, **options, cost_aware=aware), space).play(14)

    plain = Game(make(name, space), space).play(14)
    assert suggested(True) == suggested(None, budget_in_cost=True) == plain, "nobody knows the costs"
    assert suggested(None, epoch_cost=by_cost) == plain, "the budget counts epochs"
    assert suggested(False, epoch_cost=by_cost, budget_in_cost=True) == plain, "they were turned off"


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize("space", [MIXED, POOLED], ids=["free", "pool"])
def test_where_costs_count_cheap_configurations_are_tried_more_often(name: str, space: SearchSpace) -> None:
    def cheap(**more: Any) -> int:
        games = [Game(make(name, space, seed=seed, epoch_cost=by_cost, **more), space).play(14) for seed in range(3)]
        return sum(by_cost(config) == 1.0 for game in games for config in game)

    assert cheap(budget_in_cost=True) > cheap() + 8


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize("space", FINITE)
def test_with_costs_a_small_space_still_ends_after_all_its_configurations(name: str, space: str) -> None:
    searcher = make(name, SPACES[space], epoch_cost=by_cost, budget_in_cost=True)
    game = Game(searcher, SPACES[space])
    game.play(FINITE[space] + 8)
    assert len(set(game)) == len(game.configs) == FINITE[space]
