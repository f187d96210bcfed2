"""Holds schedules of ours over other libraries' searchers to the contract of methods.

Optuna and hyperopt lie in the project's own environment; the others (marked `hosts`) need environments of their own, which
`make hosts` makes.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.game.contract import LANDSCAPES, SETTINGS, Landscape, begin, moves, play, spends_exactly, verify
from hpo.game.curves import Curves
from hpo.game.run import Run
from hpo.methods import build, origins
from hpo.methods.hosted import advisor, process
from hpo.methods.hosted.guests.optuna import OptunaStudy
from hpo.methods.hosted.guests.terms import Domain, Opening
from hpo.methods.protocol import InvalidOption, Setting
from hpo.study.space import Float, SearchSpace
from hpo.study.values import Method

TPE: dict[str, Any] = {"optuna": {"sampler": {"TPESampler": {"n_startup_trials": 4}}}}
HYPEROPT: dict[str, Any] = {"ray-tune": {"name": "hyperopt", "n_startup_jobs": 4}}
HERE: dict[str, dict[str, Any]] = {
    "asha over optuna": {"searcher": TPE},
    "async-hyperband over optuna": {"searcher": {"optuna": {"sampler": {"CmaEsSampler": {"n_startup_trials": 3}}}}},
    "asha over hyperopt": {"searcher": HYPEROPT, "max_epochs": 4, "full_models": 2},
    "hyperband over optuna": {"searcher": TPE},
    "sha over hyperopt": {"searcher": HYPEROPT},
    "median-stopping over optuna": {"searcher": TPE},
    "i-epoch over hyperopt": {"searcher": HYPEROPT},
    "refine over optuna": {"searcher": "optuna"},
}
ELSEWHERE: dict[str, dict[str, Any]] = {
    "asha over smac": {"searcher": "smac"},
    "asha over hebo": {"searcher": {"hebo": {"flat": True, "rand_sample": 4}}},
    "asha over syne-tune": {"searcher": {"syne-tune": {"name": "TPE", "flat": True}}},
    "asha over neps": {"searcher": {"neps": {"name": "bayesian_optimization", "flat": True}}},
}
NAMES = [*HERE, *(pytest.param(name, marks=pytest.mark.hosts) for name in ELSEWHERE)]
SMALL = replace(SETTINGS[0], budget=45)


def method(name: str, **options: Any) -> Method:
    return Method(name.partition(" over ")[0], "composed", {**{**HERE, **ELSEWHERE}[name], **options})


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    finite = name.startswith("refine")
    verify(method(name), [SMALL if name in HERE else replace(SMALL, budget=24)], LANDSCAPES[2:3], finite, every=7)


@pytest.mark.parametrize("name", ["asha over optuna", "asha over hyperopt"])
def test_the_seed_decides(name: str) -> None:
    first, again, other = (play(method(name), replace(SETTINGS[3], seed=s), LANDSCAPES[0]) for s in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize("name", ["asha over optuna", "asha over hyperopt", "hyperband over optuna"])
def test_a_library_learns_from_trials_that_wait_or_were_eliminated(name: str) -> None:
    """In the median the last third of the suggestions is nearer to the best place than random ones, which are 0.3 away."""
    space = SearchSpace({"x": Float(0.0, 1.0)})
    setting = Setting(space, budget=120, max_epochs=9, parallelism=2)
    game = play(method(name), setting, Landscape())
    spends_exactly(game)
    reached = [trial for trial in game.run.trials if trial.epochs == game.run.schedule.max_epochs]
    assert len(reached) < len(game.configs) / 2
    late = [abs(float(config["x"]) - 0.3) for config in game.configs[-len(game.configs) // 3 :]]
    assert np.median(late) < 0.15, late


def test_what_is_not_deterministic_repeats_what_is_stored() -> None:
    random = {"searcher": {"optuna": {"sampler": "RandomSampler", "deterministic": False}}}
    composed = Method("asha", "composed", random)
    stored = dict(enumerate(play(composed, SMALL, LANDSCAPES[0]).configs[:4]))
    run = begin(composed, replace(SMALL, seed=9))
    run.schedule.repeat(stored)
    for _ in moves(run, Curves(), LANDSCAPES[0], SMALL):
        pass
    configs = [trial.key.config for trial in run.trials]
    assert configs[:4] == list(stored.values())
    assert configs[4] not in stored.values()


def guests(library: str) -> list[int]:
    """The processes of a library's runs; the host buries those that ended a moment later."""
    host = next(host for (name, _), host in process._hosts.items() if name == library)
    with open(f"/proc/{host._process.pid}/task/{host._process.pid}/children") as children:
        return [pid for pid in map(int, children.read().split()) if not _ended(pid)]


def _ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def disturbed(run: Run) -> Run:
    for events, _ in enumerate(moves(run, Curves(), LANDSCAPES[0], SMALL)):
        if events == 12:
            for guest in guests("optuna"):
                os.kill(guest, signal.SIGKILL)
    return run


@pytest.mark.parametrize("name", ["asha over optuna", "hyperband over optuna", "median-stopping over optuna"])
def test_a_library_that_crashes_ends_its_run_though_trials_wait_that_could_go_on(name: str) -> None:
    run = disturbed(begin(method(name), SMALL))
    assert run.done
    assert run.outcome().reason.startswith("the method can decide nothing more: optuna ended without an answer")
    assert run.ledger.reserved == 0 < run.ledger.committed < run.ledger.budget


def test_no_process_is_left_when_a_run_is_over() -> None:
    gc.collect()  # those that other tests have not played to the end
    play(method("asha over optuna"), SETTINGS[3], LANDSCAPES[0])
    soon = time.monotonic() + 20
    while guests("optuna") and time.monotonic() < soon:
        time.sleep(0.05)
    assert not guests("optuna")


def test_a_library_is_told_of_the_schedules_own_longest_training(monkeypatch: pytest.MonkeyPatch) -> None:
    openings: list[Mapping[str, Any]] = []
    real = advisor.opened

    def opened(library: Any, python: str, opening: Mapping[str, Any], limit: float) -> Any:
        openings.append(opening)
        return real(library, python, opening, limit)

    monkeypatch.setattr(advisor, "opened", opened)
    play(method("asha over optuna", max_epochs=3), SMALL, LANDSCAPES[0])
    assert {opening["max_epochs"] for opening in openings} == {3}


def test_optuna_sees_a_trial_as_pruned_where_it_waits_and_as_complete_at_its_end() -> None:
    study = OptunaStudy(
        Opening("", {}, (Domain("x", "float", 0.0, 1.0),), max_epochs=3, budget=9, seed=0, parallelism=1), None, None
    )
    for trial, epochs in enumerate((1, 1, 3, 1)):
        study.ask()
        for epoch in range(1, epochs + 1):
            study.observe(trial, epoch, trial + epoch / 10)
        study.close(trial) if trial == 2 else study.pause(trial)
    for epoch, value in ((2, 9.0), (3, 8.0)):  # the first is promoted to the end
        study.observe(0, epoch, value)
    study.close(0)
    study.observe(1, 2, 1.2)
    study.fail(1)
    told = [(t.state.name, t.value, t.last_step) for t in study._study.trials]
    assert told == [
        ("PRUNED", 0.1, 1), ("PRUNED", 1.1, 1), ("COMPLETE", 2.3, 3), ("PRUNED", 3.1, 1), ("COMPLETE", 9.0, 3),
    ]  # fmt: skip
    assert study._study.trials[4].params == study._study.trials[0].params


@pytest.mark.parametrize(
    ("name", "searcher", "error"),
    [
        (
            "asha",
            {"optuna": {"pruner": "MedianPruner"}},
            "searcher of asha must only suggest configurations, but optuna",
        ),
        ("asha", {"optuna": {"sampler": "TPE"}}, "sampler must be a name or .*TPESampler.*'TPE'"),
        ("asha", {"optuna": {"limit": 0}}, "limit must be a number"),
        ("hyperband", "ray-tune", "ray-tune must name one of hyperopt, bohb"),
        ("hyperband", {"optuna": 3}, "searcher of hyperband must be a name or"),
        ("asha", "optna", "asha knows no searcher 'optna'; did you mean 'optuna'?"),
        (
            "sequential-unfreezing",
            "optuna",
            "searcher of sequential-unfreezing must be one of this project, but got 'optuna'",
        ),
    ],
)
def test_what_cannot_be_a_searcher_is_refused_when_the_method_is_built(name: str, searcher: Any, error: str) -> None:
    with pytest.raises(InvalidOption, match=error.replace("?", r"\?")):
        build(Method(name, name, {"searcher": searcher}), SETTINGS[0])


def test_a_run_records_the_version_of_its_searchers_library() -> None:
    import hyperopt
    import optuna

    found = origins(
        [Method("asha", "a", {"searcher": "optuna"}), Method("asha", "b", {"searcher": {"ray-tune": "hyperopt"}})]
    )
    assert found == {"optuna": optuna.__version__, "hyperopt": hyperopt.__version__}
