"""The contract of methods, as checks that every method must pass, whether registered or your own. Pure.

    from hpo.game.contract import verify
    from hpo.study.values import Method

    def test_my_method() -> None:
        verify(Method("my_package.my_method:MyMethod", "mine"))

Each check plays the method in the game, or takes such a game, and raises AssertionError with the expected and the found
values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.methods import build
from hpo.methods.protocol import Setting
from hpo.study.amounts import COST, EPOCHS, Unit
from hpo.study.space import Choice, Config, Float, Int, SearchSpace
from hpo.study.values import Charge, Method, RunKey, TrialKey, digest

SPACE = SearchSpace(
    {
        "learning_rate": Float(1e-4, 0.1, log=True, grid=(1e-3, 1e-2)),
        "dropout": Float(0.0, 0.5, grid=(0.0, 0.2, 0.4)),
        "batch_size": Choice((16, 32, 64)),
        "optimizer": Choice(("adam", "sgd")),
        "momentum": Float(0.5, 0.99, grid=(0.9,)),
        "finetuned_layers": Int(1, 6, grid=(1, 3, 6)),
    },
    {"momentum": {"optimizer": ("sgd",)}},
)
"""A mixed and conditional space; it has the names that some methods give a meaning."""


@dataclass(frozen=True)
class Landscape:
    """Computed learning curves for any configuration: the oracle of the checks. Larger is better.

    A share `failing` of the configurations fail at some epoch, a share `diverging` give NaN from some epoch on. Values
    are rounded to `digits`; few digits make ties.
    """

    seed: int = 0
    failing: float = 0.0
    diverging: float = 0.0
    digits: int = 12

    def value(self, space: SearchSpace, config: Config, epoch: int, max_epochs: int) -> float | None:
        """Returns the value after `epoch`; NaN if training has diverged, None if it fails."""
        draws = [int(digest([self.seed, dict(config), i]), 16) / 16**16 for i in range(3)]
        end = 1 + int(draws[1] * max_epochs)
        if epoch >= end and draws[0] < self.failing:
            return None
        if epoch >= end and draws[0] < self.failing + self.diverging:
            return math.nan
        best = 1.0 - sum((float(u) - 0.3) ** 2 for u in space.encode(config)) / len(space)
        return round(best * (1.0 - math.exp(-3.0 * epoch / max_epochs * (0.5 + draws[2]))), self.digits)


@dataclass(frozen=True)
class Game:
    """A run that a method has played to its end, in a setting on a landscape."""

    run: Run
    charges: tuple[Charge, ...]
    setting: Setting

    @property
    def configs(self) -> list[Config]:
        """The configurations in the order of their trials."""
        return [trial.key.config for trial in self.run.trials]

    @property
    def fingerprint(self) -> str:
        """A digest of all charges, in order: equal for equal decisions."""
        return digest([[c.trial, c.number, c.epoch, c.at, repr(c.value)] for c in self.charges])


def price(config: Config) -> int:
    """Returns what an epoch of the configuration costs in games under a budget in cost: up to 1.5, in millionths."""
    return 1 + int(digest(["price", dict(config)]), 16) % (3 * COST.scale // 2)


def begin(method: Method, setting: Setting, mode: str = "max", unit: Unit = EPOCHS) -> Run:
    """Builds a run of the method, before its first event. A budget in cost pays about as many epochs as the setting's."""
    rules = Rules(
        budget=setting.budget if unit == EPOCHS else setting.budget * COST.scale * 3 // 4,
        unit=unit,
        price=None if unit == EPOCHS else price,
        parallelism=setting.parallelism,
        mode=mode,
        key=lambda config, max_epochs: TrialKey("contract", config, 0, max_epochs),
        cost=lambda config: 1.0 + len(digest(dict(config)).strip("0123456789")) / 16,
    )
    return Run(RunKey(method.label, setting.seed), build(method, setting), rules)


def moves(
    run: Run, curves: Curves, landscape: Landscape, setting: Setting, mode: str = "max"
) -> Iterator[list[Charge]]:
    """Plays a run event by event, yielding each event's charges; the landscape answers one unknown cell at a time."""
    sign = 1.0 if mode == "max" else -1.0
    while True:
        yield run.play(curves)
        if run.done:
            return
        demand = next(d for d in run.demands(curves) if run.waiting_for == (d.key.id, curves.known(d.key.id) + 1))
        epoch = curves.known(demand.key.id) + 1
        value = landscape.value(setting.space, demand.key.config, epoch, demand.key.max_epochs)
        if value is None:
            curves.fail(demand.key.id, "fails by design")
        else:
            curves.add(demand.key.id, epoch, sign * value)


def play(method: Method, setting: Setting, landscape: Landscape, mode: str = "max", unit: Unit = EPOCHS) -> Game:
    """Plays a method until its run is over."""
    run, curves = begin(method, setting, mode, unit), Curves()
    charges = [charge for found in moves(run, curves, landscape, setting, mode) for charge in found]
    return Game(run, tuple(charges), setting)


# -- the checks -------------------------------------------------------------------------------------------------------


def spends_exactly(game: Game, finite: bool = False) -> None:
    """Checks that the whole budget is committed; a `finite` method may leave some over, if the run says why.

    Of a budget in cost may be left less than the cheapest epoch that the method still asked for.
    """
    outcome = game.run.outcome()
    if outcome.unit == COST:
        _pays_exactly(game, finite)
        return
    assert outcome.committed == len(game.charges), f"{len(game.charges)} charges, {outcome.committed} epochs committed"
    short = outcome.committed < outcome.budget
    assert not short or outcome.reason, "a run that leaves epochs over must say why"
    exhausted = finite or game.setting.space.size <= len(game.configs)
    assert not short or exhausted, f"{outcome.budget - outcome.committed} epochs left over: {outcome.reason}"


def _pays_exactly(game: Game, finite: bool) -> None:
    outcome, unpaid = game.run.outcome(), game.run.unpaid
    costs = {trial.key.id: price(trial.key.config) for trial in game.run.trials}
    paid, left = sum(costs[charge.trial] for charge in game.charges), outcome.budget - outcome.spent
    assert outcome.spent == outcome.cost == paid, f"{paid} of cost charged, {outcome.spent} committed"
    assert game.run.ledger.reserved == 0 <= left, f"{game.run.ledger.reserved} reserved at the end, {left} left"
    assert not left or outcome.reason, "a run that leaves budget over must say why"
    assert unpaid is None or unpaid > left, f"{left} are left, and an epoch that the method asked for costs {unpaid}"
    exhausted = finite or game.setting.space.size <= len(game.configs)
    assert not left or unpaid is not None or exhausted, f"{left} of cost left over: {outcome.reason}"


def trains_each_epoch_once(game: Game) -> None:
    """Checks that each trial's epochs are charged once, in order, and at most up to the method's max_epochs."""
    reached: dict[str, int] = {}
    for charge in game.charges:
        expected = reached.get(charge.trial, 0) + 1
        assert charge.epoch == expected, f"trial {charge.number} was charged epoch {charge.epoch}, not {expected}"
        reached[charge.trial] = charge.epoch
    most, bound = max(reached.values(), default=0), min(game.run.schedule.max_epochs, game.setting.max_epochs)
    assert most <= bound, f"a trial trained {most} epochs, and {bound} are the most allowed"


def stays_in_the_space(game: Game) -> None:
    """Checks that every configuration belongs to the space."""
    for config in game.configs:
        game.setting.space.check(config)


def never_repeats(game: Game) -> None:
    """Checks that no configuration comes twice, unless the space is exhausted."""
    keys = [digest(dict(config)) for config in game.configs]
    repeated = len(keys) - len(set(keys))
    assert not repeated or len(keys) > game.setting.space.size, f"{repeated} configurations came twice"


def survives(game: Game) -> None:
    """Checks that no failed trial is trained on."""
    failed = {trial.number: trial.epochs for trial in game.run.trials if trial.status == "failed"}
    reached: dict[int, int] = {}
    for charge in game.charges:
        reached[charge.number] = charge.epoch
    assert all(reached.get(number, 0) == epochs for number, epochs in failed.items()), "a failed trial was trained on"


def repeats_itself(method: Method, setting: Setting, landscape: Landscape) -> None:
    """Checks that the same setting gives the same game, also when negated values are minimised."""
    first, second = (play(method, setting, landscape).fingerprint for _ in range(2))
    assert first == second, "the same setting gave a different game"
    mirrored = [c.trial for c in play(method, setting, landscape, "min").charges]
    assert mirrored == [c.trial for c in play(method, setting, landscape).charges], "minimising gave a different game"


def replays(method: Method, setting: Setting, landscape: Landscape, every: int = 1, unit: Unit = EPOCHS) -> None:
    """Checks that a run rebuilt from the known curves, after every `every` events, goes on like an undisturbed one."""
    whole = play(method, setting, landscape, unit=unit)
    curves, charges, done = Curves(), list[Charge](), False
    while not done:
        run, charges = begin(method, setting, unit=unit), []
        for events, found in enumerate(moves(run, curves, landscape, setting)):
            charges.extend(found)
            if events == every:
                break
        done = run.done
    game = Game(run, tuple(charges), setting)
    assert game.fingerprint == whole.fingerprint, "a rebuilt run went on differently"
    assert game.run.outcome() == whole.run.outcome(), "a rebuilt run ended with another ledger"


SETTINGS = (
    Setting(SPACE, budget=60, max_epochs=9, parallelism=4),
    Setting(SPACE, budget=37, max_epochs=5, parallelism=1, seed=1),
    Setting(SPACE, budget=40, max_epochs=1, parallelism=16, seed=2),
    Setting(SPACE, budget=7, max_epochs=16, parallelism=3, seed=3),
    Setting(SPACE, budget=20, max_epochs=4, parallelism=2, seed=4),
)
LANDSCAPES = (Landscape(), Landscape(failing=0.5), Landscape(diverging=0.3, failing=0.2), Landscape(digits=1))


def verify(
    method: Method,
    settings: Iterable[Setting] = SETTINGS,
    landscapes: Iterable[Landscape] = LANDSCAPES,
    finite: bool = False,
    every: int = 1,
) -> None:
    """Runs all checks over settings and landscapes.

    `finite`: the method has a limited number of configurations to try. `every`: after how many events a run is rebuilt;
    take more than 1 for methods whose suggestions take long.
    """
    landscapes = tuple(landscapes)
    for setting in settings:
        games = [play(method, setting, landscape) for landscape in landscapes]
        for game in [*games, play(method, setting, landscapes[0], unit=COST)]:
            spends_exactly(game, finite)
            trains_each_epoch_once(game)
            stays_in_the_space(game)
            never_repeats(game)
            survives(game)
        repeats_itself(method, setting, landscapes[-1])
        replays(method, replace(setting, budget=min(setting.budget, 24)), landscapes[-1], every)
    replays(method, replace(setting, budget=min(setting.budget, 24)), landscapes[0], every, unit=COST)
