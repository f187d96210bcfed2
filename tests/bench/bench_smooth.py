"""How near `bayesian` and `tpe` come to the minima of smooth functions, beside others' methods, and what they cost.

    python tests/bench/bench_smooth.py [--quick] [--functions hartmann6 ...] [--players bayesian ...] [--seeds 20]
                                       [--results FILE] [--json FILE]

Median regret after 50 and 100 evaluations one after the other, of our `bayesian`, Optuna's GPSampler (needs optuna and
torch) and BoTorch's qLogExpectedImprovement as its documentation sets it up (needs botorch), with twice the better of the two
as the bar; of our `tpe` and Optuna's TPESampler, as it is by default, with 1.2 times the latter as the bar. Who is not
installed is left out. With --results, a game is a line of that file, and the command goes on where it was stopped; remove
the lines of a player that changed. Also the processor time of a suggestion in 31 dimensions, of numbers and of mixed kinds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell
from tasks import FUNCTIONS

from hpo.methods.protocol import Setting
from hpo.methods.searchers.bayesian import Bayesian
from hpo.methods.searchers.searching import Searching
from hpo.methods.searchers.tpe import Tpe
from hpo.study.space import Choice, Config, Float, Int, SearchSpace

AT = (50, 100)  # evaluations
Function = Callable[[NDArray[np.float64]], float]
Games = dict[tuple[str, str, int], list[float]]
"""player, function, seed -> regrets after AT evaluations"""


# -- who plays: each evaluates the function `count` times, one after the other, and leaves the values ---------------


def bayesian(function: Function, d: int, seed: int, count: int) -> None:
    _play(Bayesian, function, d, seed, count)


def tpe(function: Function, d: int, seed: int, count: int) -> None:
    _play(Tpe, function, d, seed, count)


def _play(kind: type[Searching], function: Function, d: int, seed: int, count: int) -> None:
    space = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(d)})
    searcher = kind(Setting(space, count, 1, seed=seed))  # type: ignore[call-arg]
    for _ in range(count):
        config = searcher.suggest()
        assert config is not None
        searcher.observe(config, 1, -function(space.encode(config)))
        searcher.close(config)


def optuna_gp(function: Function, d: int, seed: int, count: int) -> None:
    import optuna

    _optuna(optuna.samplers.GPSampler(seed=seed), function, d, count)


def optuna_tpe(function: Function, d: int, seed: int, count: int) -> None:
    import optuna

    _optuna(optuna.samplers.TPESampler(seed=seed), function, d, count)


def _optuna(sampler: Any, function: Function, d: int, count: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda t: function(np.array([t.suggest_float(f"x{i}", 0, 1) for i in range(d)])), n_trials=count)


def botorch_log_ei(function: Function, d: int, seed: int, count: int) -> None:
    import torch
    from botorch.acquisition import qLogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf
    from botorch.utils.sampling import draw_sobol_samples
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    box = torch.tensor([[0.0] * d, [1.0] * d], dtype=torch.double)
    x = draw_sobol_samples(box, n=2 * d, q=1, seed=seed).squeeze(1)
    y = torch.tensor([[-function(point.numpy())] for point in x], dtype=torch.double)
    while len(x) < count:
        model = SingleTaskGP(x, y, outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        utility = qLogExpectedImprovement(model, best_f=y.max())
        point, _ = optimize_acqf(utility, bounds=box, q=1, num_restarts=10, raw_samples=512)
        x = torch.cat([x, point])
        y = torch.cat([y, torch.tensor([[-function(point[0].numpy())]], dtype=torch.double)])


@dataclass(frozen=True)
class Player:
    """`play` needs packages; its bar is `factor` times the best of `peers`."""

    play: Callable[[Function, int, int, int], None]
    needed: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    factor: float = 1.0


PLAYERS = {
    "bayesian": Player(bayesian, peers=("optuna-gp", "botorch"), factor=2.0),
    "optuna-gp": Player(optuna_gp, ("optuna", "torch")),
    "botorch": Player(botorch_log_ei, ("botorch", "torch")),
    "tpe": Player(tpe, peers=("optuna-tpe",), factor=1.2),
    "optuna-tpe": Player(optuna_tpe, ("optuna",)),
}


def game(player: str, name: str, seed: int) -> list[float]:
    """Returns the regrets after AT evaluations."""
    function, d = FUNCTIONS[name]
    values: list[float] = []

    def recorded(u: NDArray[np.float64]) -> float:
        values.append(function(u))
        return values[-1]

    PLAYERS[player].play(recorded, d, seed, max(AT))
    return [float(min(values[:n])) for n in AT]


def games(players: Sequence[str], names: Sequence[str], seeds: int, results: Path | None) -> Games:
    """Returns the regrets by player, function and seed; plays what `results` does not hold, seed by seed."""
    text = results.read_text() if results and results.exists() else ""
    whole = text[: text.rfind("\n") + 1]  # a killed run may have left a part of a line
    if results and whole != text:
        results.write_text(whole)
    lines = map(json.loads, whole.splitlines())
    found = {(line["player"], line["function"], line["seed"]): line["regrets"] for line in lines}
    todo = [(player, name, seed) for seed in range(seeds) for name in names for player in players]
    for player, name, seed in todo:
        if (player, name, seed) in found:
            continue
        began = time.process_time()
        found[player, name, seed] = game(player, name, seed)
        line = {"player": player, "function": name, "seed": seed, "regrets": found[player, name, seed],
                "seconds": time.process_time() - began}  # fmt: skip
        if results:
            with results.open("a") as file:
                file.write(json.dumps(line) + "\n")
    return found


def strength(players: Sequence[str], names: Sequence[str], seeds: int, results: Path | None) -> list[Row]:
    there = [player for player in players if all(find_spec(package) for package in PLAYERS[player].needed)]
    found = games(there, names, seeds, results)
    rows = []
    for name in names:
        for i, n in enumerate(AT):
            regrets = {player: [found[player, name, seed][i] for seed in range(seeds)] for player in there}
            for player in there:
                peers = [float(np.median(regrets[peer])) for peer in PLAYERS[player].peers if peer in there]
                bar = f"at most {PLAYERS[player].factor * min(peers):.3g}" if peers else ""
                rows.append(row(f"{name}, {player}, regret at {n} evaluations", regrets[player], "", bar))
    return rows


# -- what a suggestion costs ---------------------------------------------------------------------------------------


def spaces() -> dict[str, SearchSpace]:
    """Returns 31 reals, and 31 hyperparameters like those of fine-tuning: mostly choices."""
    mixed: dict[str, Any] = {f"c{i}": Choice(tuple("abcdefghijklmnopqrstuvwx"[: 2 + i])) for i in range(20)}
    mixed |= {f"i{i}": Int(1, 50) for i in range(5)} | {f"x{i}": Float(1e-5, 1.0, log=True) for i in range(6)}
    return {"reals": SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(31)}), "mixed": SearchSpace(mixed)}


def cost(count: int, bar: float, suggestions: int, running: int = 0) -> list[Row]:
    rows = []
    for kind, space in spaces().items():
        rng = np.random.default_rng(0)
        searcher = Bayesian(Setting(space, 10**6, 1))

        def answer(config: Config, searcher: Bayesian = searcher, space: SearchSpace = space) -> None:
            searcher.observe(config, 1, float(-((space.encode(config) - 0.3) ** 2).sum()))
            searcher.close(config)

        for _ in range(count):
            answer(searcher.history.take(space.sample(rng)))
        for _ in range(running):
            searcher.history.take(space.sample(rng))
        searcher.suggest()  # imports and first fit
        taken = []
        for _ in range(suggestions):
            began = time.process_time()
            config = searcher.suggest()
            taken.append(time.process_time() - began)
            assert config is not None
            answer(config)
        also = f" and {running:,} running" if running else ""
        what = f"a suggestion among 31 {kind}, {count:,} observations{also}"
        rows.append(row(what, taken, "s", f"at most {bar}"))
    return rows


def main(
    names: Sequence[str] = tuple(FUNCTIONS),
    players: Sequence[str] = tuple(PLAYERS),
    seeds: int = 20,
    quick: bool = False,
    results: Path | None = None,
) -> list[Row]:
    suggestions = 5 if quick else 21
    costs = [*cost(100, 0.06, suggestions), *cost(2000, 0.3, suggestions), *cost(100, 0.3, suggestions, running=1000)]
    return [*costs, *strength(players, names, seeds, results)]


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    parser = command(__doc__)
    parser.add_argument("--functions", nargs="*", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    parser.add_argument("--players", nargs="*", choices=list(PLAYERS), default=list(PLAYERS))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    seeds = given.seeds or (3 if given.quick else 20)
    tell(main(given.functions, given.players, seeds, given.quick, given.results), given.json)
