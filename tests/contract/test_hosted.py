"""Holds other libraries' methods to the contract of methods, and their processes to their promises.

Optuna and hyperopt lie in the project's own environment; the others (marked `hosts`) need environments of their own, which
`make hosts` makes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.cli.app import main
from hpo.game.contract import (
    LANDSCAPES,
    SETTINGS,
    SPACE,
    Landscape,
    begin,
    moves,
    never_repeats,
    play,
    spends_exactly,
    stays_in_the_space,
    verify,
)
from hpo.game.curves import Curves
from hpo.game.run import Run
from hpo.game.script import OtherDecision, Script
from hpo.methods import build, origins
from hpo.methods.hosted import environments, process
from hpo.methods.hosted.libraries import HOSTED, LIBRARIES, Library
from hpo.methods.hosted.process import HostFailed, Line
from hpo.methods.protocol import InvalidOption, Setting
from hpo.study.methods_file import parse_methods
from hpo.study.space import Choice, Int, SearchSpace
from hpo.study.values import Method, Observation

HERE: dict[str, dict[str, Any]] = {
    "optuna": {},
    "optuna: {sampler: CmaEsSampler}": {"sampler": {"CmaEsSampler": {"n_startup_trials": 3}}},
    "optuna: {pruner: HyperbandPruner}": {"pruner": "HyperbandPruner"},
    "ray-tune: hyperopt": {"name": "hyperopt", "n_startup_jobs": 4},
}
ELSEWHERE: dict[str, dict[str, Any]] = {
    **{f"syne-tune: {name}": {"name": name, "flat": True} for name in ("ASHA", "BOHB", "CQR", "BORE", "REA", "TPE")},
    "syne-tune: BOTorch": {"name": "BOTorch", "flat": True},
    "smac": {},
    "smac: {facade: MultiFidelityFacade}": {"facade": "MultiFidelityFacade"},
    "neps: priorband": {"name": "priorband", "flat": True},
    "neps: hyperband": {"name": "hyperband", "flat": True},
    "hebo": {"flat": True, "rand_sample": 4},
    "ray-tune: bohb": {"name": "bohb"},
    "optuna: {sampler: GPSampler}": {"sampler": {"GPSampler": {"n_startup_trials": 4}}},
}
HOSTS = [*HERE, *(pytest.param(name, marks=pytest.mark.hosts) for name in ELSEWHERE)]
SLOW = ("smac", "hebo", "syne-tune: BOTorch", "syne-tune: BORE", "syne-tune: CQR")

SMALL = SearchSpace({"rate": Choice((0.001, 0.01)), "layers": Choice((9, "all")), "units": Int(1, 2)})
POOLED = SearchSpace(SPACE.domains, SPACE.conditions, [SPACE.sample(np.random.default_rng([7, i])) for i in range(16)])


def method(name: str, **options: Any) -> Method:
    return Method(name.partition(":")[0], "hosted", {**{**HERE, **ELSEWHERE}.get(name, {}), **options})


def least(name: str, setting: Setting) -> Setting:
    """A shorter game for what takes long to decide."""
    return replace(setting, budget=24, parallelism=2) if name.startswith(SLOW) else setting


@pytest.mark.parametrize("name", HOSTS)
def test_contract(name: str) -> None:
    verify(method(name), [least(name, replace(SETTINGS[0], budget=45))], LANDSCAPES[2:3], every=7)


@pytest.mark.parametrize("name", HOSTS)
def test_a_pool_and_a_small_space_are_trained_whole(name: str) -> None:
    """Each candidate is trained at most once, and none but them; then the run says why it ended."""
    for space, size in ((POOLED, 16), (SMALL, 8)):
        game = play(method(name), Setting(space, budget=300, max_epochs=6, parallelism=3), Landscape(failing=0.1))
        assert not game.run.schedule.broken
        for check in (stays_in_the_space, never_repeats, spends_exactly):
            check(game)
        assert len(game.configs) == size


@pytest.mark.parametrize("name", HOSTS)
def test_start_configurations_come_first_and_prior_results_are_taken(name: str) -> None:
    start = (
        {"learning_rate": 0.003, "dropout": 0.1, "batch_size": 16, "optimizer": "adam", "finetuned_layers": 2},
        {"learning_rate": 0.03, "dropout": 0.3, "batch_size": 64, "optimizer": "adam", "finetuned_layers": 1},
    )
    prior = tuple(Observation({**start[0], "dropout": 0.1 + i / 50}, 1 + i % 3, 0.5 + i / 100) for i in range(1, 12))
    game = play(method(name), Setting(SPACE, budget=18, max_epochs=3, start=start, prior=prior), Landscape())
    assert [dict(config) for config in game.configs[:2]] == list(start)
    spends_exactly(game)
    trained = [dict(o.config) for o in prior if o.epoch == 3]
    assert not any(dict(config) in trained for config in game.configs)


PACKAGE = """
import optuna

class Halves(optuna.samplers.RandomSampler):
    pass

__all__ = ["Halves"]
"""


@pytest.mark.hosts
def test_a_package_of_optunahub_plays_from_a_copy_of_the_registry_and_is_asked_for_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "samplers" / "halves").mkdir(parents=True)
    (tmp_path / "samplers" / "halves" / "__init__.py").write_text(PACKAGE)
    options = {"name": "samplers/halves", "registry": str(tmp_path)}
    verify(Method("optunahub", "halves", options), [replace(SETTINGS[0], budget=45)], LANDSCAPES[2:3], every=7)
    with pytest.raises(InvalidOption, match="class must be one of Halves of samplers/halves, but got 'Thirds'"):
        build(Method("optunahub", "thirds", {**options, "class": "Thirds"}), SETTINGS[0])
    with pytest.raises(InvalidOption, match="samplers/nowhere must be had from OptunaHub's registry, or from a folder"):
        build(Method("optunahub", "nowhere", {**options, "name": "samplers/nowhere"}), SETTINGS[0])


@pytest.mark.hosts
@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("neps", {"name": "ifbo", "flat": True}, "ifbo needs the weights of its surrogate"),
        ("neps: priorband", {"flat": False}, "neps knows no conditions, but momentum exists only where optimizer in"),
        ("hebo", {"flat": False}, "hebo knows no conditions"),
        ("syne-tune: ASHA", {"name": "PBT"}, "syne-tune must name a method, one of RandomSearch"),
        ("smac", {"facade": "HPOFacade"}, "smac must name a facade, one of"),
    ],
)
def test_what_a_library_cannot_do_is_one_sentence(name: str, options: dict[str, Any], error: str) -> None:
    known = method(name)
    with pytest.raises(InvalidOption, match=error):
        build(replace(known, options={**known.options, **options}), SETTINGS[0])


@pytest.mark.parametrize("name", ["optuna", "ray-tune: hyperopt"])
def test_the_seed_decides(name: str) -> None:
    first, again, other = (play(method(name), replace(SETTINGS[3], seed=s), LANDSCAPES[0]) for s in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint


PLAYED = """
import json, sys
from hpo.game.contract import LANDSCAPES, SETTINGS, play
from hpo.study.values import Method
for name, options in json.loads(sys.argv[1]):
    print(play(Method(name, "hosted", options), SETTINGS[3], LANDSCAPES[1]).fingerprint)
"""


def test_another_process_plays_the_same_games() -> None:
    """With another hash seed and more threads, so that a decision that depends on either would show."""
    methods = [method(name) for name in HERE]
    done = subprocess.run(
        [sys.executable, "-c", PLAYED, json.dumps([(m.name, m.options) for m in methods])],
        cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "2"},
        capture_output=True, text=True, timeout=110, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [play(m, SETTINGS[3], LANDSCAPES[1]).fingerprint for m in methods]


def test_what_is_not_deterministic_repeats_what_is_stored() -> None:
    """In another sitting the library suggests something else, here by another seed; the stored ones are trained again."""
    setting, options = SETTINGS[0], {"sampler": "RandomSampler", "deterministic": False}
    stored = dict(enumerate(play(method("optuna", **options), setting, LANDSCAPES[0]).configs[:4]))
    run = begin(method("optuna", **options), replace(setting, seed=9))
    run.schedule.repeat(stored)
    for _ in moves(run, Curves(), LANDSCAPES[0], setting):
        pass
    configs = [trial.key.config for trial in run.trials]
    assert configs[:4] == list(stored.values())
    assert configs[4] not in stored.values()


# -- processes --------------------------------------------------------------------------------------------------------


def guests() -> list[int]:
    """The processes of the runs of Optuna's host."""
    host = next(host for (name, _), host in process._hosts.items() if name == "optuna")
    parent = host._process.pid
    found = [path.name for path in Path("/proc").glob("[0-9]*") if _parent(path) == parent]
    return [int(name) for name in found]


def _parent(path: Path) -> int:
    """The parent of a process that has not ended."""
    try:
        fields = (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[1])


def left() -> list[int]:
    """What is left of these processes, which may take a moment to end."""
    soon = time.monotonic() + 20
    while guests() and time.monotonic() < soon:
        time.sleep(0.05)
    return guests()


def disturbed(run: Run, number: int) -> Run:
    """Plays Optuna to its end; sends its process a signal after some events."""
    for events, _ in enumerate(moves(run, Curves(), LANDSCAPES[0], SETTINGS[0])):
        if events == 12:
            for guest in guests():
                os.kill(guest, number)
    return run


def test_a_library_that_crashes_ends_its_run_with_the_reason() -> None:
    run = disturbed(begin(method("optuna"), SETTINGS[0]), signal.SIGKILL)
    assert run.done
    assert run.outcome().reason.startswith("the method can decide nothing more: optuna ended without an answer")
    assert run.ledger.reserved == 0 < run.ledger.committed < run.ledger.budget


def test_a_run_whose_library_crashes_earlier_than_before_says_so() -> None:
    charges = play(method("optuna"), SETTINGS[0], LANDSCAPES[0]).charges
    run = begin(method("optuna"), SETTINGS[0])
    run.follow(Script.of(charges))
    with pytest.raises(OtherDecision, match=r"the end of the run \(optuna ended without an answer"):
        disturbed(run, signal.SIGKILL)


def test_a_library_that_hangs_ends_its_run_at_its_limit() -> None:
    run = disturbed(begin(method("optuna", limit=1), SETTINGS[0]), signal.SIGSTOP)
    assert "optuna must answer within 1 s, but did not" in run.outcome().reason
    assert not left()


def test_no_process_is_left_when_a_run_is_over() -> None:
    play(method("optuna"), SETTINGS[3], LANDSCAPES[0])
    assert not left()


KILLED = """
import os, signal
from hpo.game.contract import LANDSCAPES, SETTINGS, begin, moves
from hpo.game.curves import Curves
from hpo.methods.hosted import process
from hpo.study.values import Method
for events, _ in enumerate(moves(begin(Method("optuna", "o"), SETTINGS[0]), Curves(), LANDSCAPES[0], SETTINGS[0])):
    if events == 5:
        print(*(host._process.pid for host in process._hosts.values()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_library_ends_with_a_driver_that_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=100
    )
    host = Path(f"/proc/{int(done.stdout)}")
    soon = time.monotonic() + 20
    while _parent(host) and time.monotonic() < soon:
        time.sleep(0.05)
    assert not _parent(host)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"Warning: never mind\n", "must answer with a JSON object, but answered 'Warning: never mind'"),
        (b"[1, 2]\n", "must answer with a JSON object"),
        (b'{"error": "ValueError: no"}\n', "failed: ValueError: no"),
        (b'{"ask', "ended without an answer; its last words: MemoryError"),
    ],
)
def test_nonsense_is_one_sentence(answer: bytes, error: str) -> None:
    ours, theirs = socket.socketpair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115
    errors.write(b"Traceback\nMemoryError\n")

    def reply() -> None:
        theirs.recv(1000)
        theirs.sendall(answer)
        theirs.close()

    thread = threading.Thread(target=reply)
    thread.start()
    line = Line("optuna", ours, errors)
    with pytest.raises(HostFailed, match=error.replace("[", r"\[")):
        line.ask({"do": "ask"}, limit=10)
    thread.join()
    line.close()


@pytest.mark.parametrize(
    ("suggested", "error"),
    [
        ({"rate": 0.5, "layers": 9, "units": 1}, "rate must lie in"),
        ({"layers": 9, "units": 1}, "rate a value"),
        ({"rate": 0.01, "layers": "9", "units": 1}, "layers must lie in"),
        ({"rate": 0.01, "layers": 9, "units": 1, "more": 2}, "may contain only"),
        ({"rate": 0.01, "layers": 9, "units": float("nan")}, "units must lie in"),
    ],
)
def test_configurations_outside_of_the_space_are_refused(suggested: dict[str, Any], error: str) -> None:
    from hpo.methods.hosted.spaces import Translation

    with pytest.raises(HostFailed, match=f"optuna suggested .*{error}"):
        Translation(SMALL).understood("optuna", json.loads(json.dumps(suggested)))


# -- what a user may name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("optuna", {"sampler": "TPE"}, "sampler must be a name or .*TPESampler.*'TPE'"),
        ("optuna", {"sampler": {"TPESampler": {"gamma_": 1}}}, "TPESampler has no option 'gamma_'"),
        ("optuna", {"smpler": "TPESampler"}, "optuna has no option 'smpler'; it has sampler, pruner"),
        ("optuna", {"limit": 0}, "limit must be a number"),
        ("ray-tune", {}, "ray-tune must name one of hyperopt, bohb"),
        ("ray-tune", {"name": "hyperopt", "algorithm": "atpe"}, "algorithm must be one of tpe, anneal, rand"),
    ],
)
def test_options_that_cannot_hold_are_refused_when_the_method_is_built(
    name: str, options: dict[str, Any], error: str
) -> None:
    with pytest.raises(InvalidOption, match=error):
        build(Method(name, name, options), SETTINGS[0])


def test_a_library_that_is_not_installed_is_one_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_HOSTS", str(tmp_path))
    monkeypatch.setitem(LIBRARIES, "hebo", replace(LIBRARIES["hebo"], module="no_such_module"))
    with pytest.raises(InvalidOption, match="HEBO must be installed, but is not: hpo host add hebo"):
        build(Method("hebo", "hebo"), SETTINGS[0])
    assert dict(environments.rows())["hebo"].startswith("not installed; hpo host add hebo installs HEBO 0.3.6")


def test_an_environment_of_its_own_is_used_and_listed_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one lacks the library, as if somebody had deleted it: the run says so instead of waiting."""
    monkeypatch.setenv("HPO_HOSTS", str(tmp_path))
    empty = Library("optuna", "optuna", "optuna", "optuna", ())
    monkeypatch.setitem(LIBRARIES, "optuna", empty)
    where = environments.add("optuna", tell=lambda text: None)
    assert environments.python_of(empty) == str(where / "bin" / "python")
    with pytest.raises(InvalidOption, match=r"optuna must load in .*No module named 'optuna'"):
        build(method("optuna"), SETTINGS[0])
    environments.remove("optuna")
    assert environments.python_of(empty) == sys.executable
    with pytest.raises(environments.NoHost, match="'optuna' must be the name of an environment"):
        environments.remove("optuna")


def test_the_command_lists_what_there_is_and_refuses_what_there_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, code in ((["list"], 0), ([], 0), (["add", "optna"], 2), (["remove", "smac"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(["host", *words, *(["--folder", str(tmp_path)] if words else [])])
        assert ended.value.code == code
    told = capsys.readouterr()
    assert told.out.count("hyperopt 0.") == 2
    assert "did you mean 'optuna'?" in told.err
    assert "'smac' must be the name of an environment in" in told.err


def test_a_name_is_short_for_the_option_name_and_makes_the_label() -> None:
    first, second, third = parse_methods(["optuna", {"syne-tune": "ASHA"}, {"optunahub": "samplers/auto_sampler"}])
    assert (first.label, first.options) == ("optuna", {})
    assert (second.label, second.options) == ("syne-tune:ASHA", {"name": "ASHA"})
    assert (third.label, third.options) == ("optunahub:auto_sampler", {"name": "samplers/auto_sampler"})


def test_a_run_records_the_version_of_the_library() -> None:
    import optuna

    assert origins([Method("optuna", "o")]) == {"optuna": optuna.__version__}


def test_every_hosted_method_has_a_library_with_a_guest_and_pins() -> None:
    named = {LIBRARIES[library].name for hosting in HOSTED.values() for library in hosting.hosts.values()}
    assert named == set(LIBRARIES)
    for library in LIBRARIES.values():
        assert (process.GUESTS / f"{library.guest}.py").exists()
        assert all("==" in pin for pin in (*library.pins, *library.alone))
        assert library.pin
    tested = {method(name).name for name in (*HERE, *ELSEWHERE)}
    assert tested == set(HOSTED) - {"optunahub"}
