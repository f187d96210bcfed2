"""The leaderboard's games are kept with the project: a killed run goes on, and a method's games can be played again."""

from __future__ import annotations

import datetime
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import bench_arena
from games import Game, Games, Played

SUITE = "smooth functions"
GAME = Game(SUITE, "random", 50, "smooth/branin", 0)
PLAYED = Played(0.5, 50, 0.25, datetime.date(2026, 11, 27))
ONE = {SUITE: replace(bench_arena.SUITES[SUITE], budgets=(2, 3))}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_arena, "SUITES", ONE)
    return tmp_path / "docs" / "arena.parquet"


def play(path, *methods, **given):
    return bench_arena.main(suites=[SUITE], methods=methods, processes=1, results=path, **given)


def standings(path):
    by = bench_arena.standings(Games(path), SUITE, ["sobol", "random"])
    return {label: standing.seeds for label, standing in by.items()}


def test_games_are_there_again_and_the_file_does_not_depend_on_their_order(tmp_path):
    games = [replace(GAME, seed=seed, method=method) for seed in range(3) for method in ("random", "asha+tpe")]
    for name, order in (("a", games), ("b", games[::-1])):
        known = Games(tmp_path / name)
        for game in order:
            known.add(game, PLAYED)
        known.save()
    assert Games(tmp_path / "a").played == dict.fromkeys(games, PLAYED)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_methods_are_named_by_the_labels_of_the_tables():
    named = bench_arena.named(["optuna-gp", "sobol"])
    assert [(method.label, method.name, dict(method.options)) for method in named] == [
        ("optuna-gp", "optuna", {"sampler": "GPSampler"}), ("sobol", "sobol", {}),
    ]  # fmt: skip
    assert len(bench_arena.named([])) == len(bench_arena.OURS) + len(bench_arena.HOSTED)


@pytest.mark.parametrize(("every", "kept"), [(0.0, 1), (3600.0, 0)])
def test_a_killed_run_loses_no_more_than_was_played_since_the_last_writing(tmp_path, every, kept):
    Games(path := tmp_path / "games", every).add(GAME, PLAYED)
    assert len(Games(path).played) == kept


def test_only_missing_games_are_played(path, monkeypatch):
    play(path, "random", seeds=1)
    before, asked = Games(path).played, []
    real = bench_arena.outcome
    monkeypatch.setattr(bench_arena, "outcome", lambda game, method: asked.append(game) or real(game, method))
    play(path, "random", "sobol", seeds=2)
    assert {(game.method, game.seed) for game in asked} == {("random", 1), ("sobol", 0), ("sobol", 1)}
    assert before.items() < Games(path).played.items()


def test_what_was_played_before_a_failure_is_kept(path, monkeypatch):
    real = bench_arena.outcome
    fails = lambda game, method: 1 / 0 if game.seed == 1 else real(game, method)  # noqa: E731
    monkeypatch.setattr(bench_arena, "outcome", fails)
    with pytest.raises(ZeroDivisionError):
        play(path, "random", seeds=2)
    assert standings(path) == {"random": 1}


def test_games_of_a_method_are_played_again_and_no_others(path):
    play(path, "random", "sobol", seeds=2)
    known = Games(path)
    for game in known.played:
        known.played[game] = PLAYED
    known.save()
    play(path, "random", seeds=1, again=["random"])
    assert {game.seed for game in Games(path).played if game.method == "random"} == {0}
    assert {game.method for game, played in Games(path).played.items() if played == PLAYED} == {"sobol"}
    with pytest.raises(ValueError, match="played here, but sobol is none"):
        play(path, "random", seeds=1, again=["sobol"])
    assert standings(path) == {"random": 1, "sobol": 2}


def test_the_page_says_of_each_method_how_many_seeds_it_has_and_leaves_out_those_without(path, monkeypatch):
    page = path.parent / "page.md"
    page.parent.mkdir()
    page.write_text(f"<!-- table: {SUITE} -->\nold\n<!-- end of table: {SUITE} -->\n")
    monkeypatch.setattr(bench_arena, "PAGE", page)
    play(path, "random", seeds=0, writes=True)
    assert "old" in page.read_text()  # nothing is known
    play(path, "random", seeds=2)
    play(path, "sobol", seeds=1, writes=True)
    found = [line.strip("| ").split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")]
    assert [(line[0], line[-1]) for line in found] == [
        ("method", "seeds"),
        ("---", "---:"),
        ("random", "2"),
        ("sobol", "1"),
    ]


def test_a_seed_counts_once_all_its_games_are_played(path):
    play(path, "random", seeds=2)
    known = Games(path)
    del known.played[Game(SUITE, "random", 3, "smooth/branin", 1)]
    known.save()
    assert standings(path) == {"random": 1}


def test_methods_are_compared_by_task(path):
    """Two tasks, three seeds: the cell is the mean over tasks of the seeds' means, and random has no verdict."""
    known = Games(path)
    for seed in range(3):
        for task, regret in zip(bench_arena.tasks("smooth", False), (0.0, 0.25, 0.5, 0.75, 1.0), strict=True):
            for budget in (2, 3):
                known.add(Game(SUITE, "random", budget, task, seed), replace(PLAYED, regret=regret))
                known.add(Game(SUITE, "sobol", budget, task, seed), replace(PLAYED, regret=regret / budget))
    text, rows = bench_arena.table(bench_arena.standings(known, SUITE, ["random", "sobol"]), SUITE)
    assert [(row["what"], row["median"]) for row in rows[:2]] == [
        (f"{SUITE}, 2: sobol", 0.25), (f"{SUITE}, 3: sobol", pytest.approx(0.5 / 3)),
    ]  # fmt: skip
    lines = text.splitlines()[2:]
    assert lines[0].startswith("| sobol | 0.250 (")
    assert lines[1].endswith(") | 3 | 50 | 0.25 |")
