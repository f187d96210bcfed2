"""Runs whose methods think in threads: each is played by one thread at a time, and stopping loses nothing."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from hpo.live.thinking import Thinking

pytestmark = pytest.mark.timeout(60)


class Game:
    """Plays runs: each play of one waits for `go`, and charges its number."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0
        self.charged: list[int] = []
        self.thinking = Thinking(self.play, self.charged.extend)  # type: ignore[arg-type]

    def play(self, run) -> list[int]:
        self.begun += 1
        number = self.begun
        if run.schedule.expensive:
            assert self.go.wait(30)
        if run.fails:
            raise ValueError("the method is wrong")
        return [number]


def run(expensive: bool = True, fails: bool = False):
    return SimpleNamespace(schedule=SimpleNamespace(expensive=expensive), fails=fails)


def test_a_fast_method_is_played_at_once() -> None:
    game = Game()
    game.thinking.play(run(expensive=False))
    assert game.charged == [1]
    assert not game.thinking


def test_a_run_that_moves_while_its_method_thinks_is_played_once_more_and_not_meanwhile() -> None:
    game, one = Game(), run()
    for _ in range(3):
        game.thinking.play(one)
    game.thinking.collect()
    assert game.thinking
    assert game.charged == []
    game.go.set()
    while game.thinking:
        game.thinking.wait(10)
    assert game.charged == [1, 2]


def test_stopping_takes_what_a_method_has_decided_and_plays_nothing_more() -> None:
    game, one = Game(), run()
    game.thinking.play(one)
    game.thinking.play(one)  # it has moved, and would be played again
    game.go.set()
    game.thinking.finish()
    assert game.charged == [1]
    assert not game.thinking


def test_what_a_method_raises_is_raised_where_its_decisions_are_collected() -> None:
    game = Game()
    game.thinking.play(run(fails=True))
    game.go.set()
    with pytest.raises(ValueError, match="the method is wrong"):
        game.thinking.wait(10)


def test_threads_end_when_they_are_abandoned_though_a_signal_came_while_one_started(monkeypatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    game, before = Game(), set(threading.enumerate())
    game.go.set()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        game.thinking.play(run())
    begun = set(threading.enumerate()) - before
    game.thinking.abandon()
    for thread in begun:
        thread.join(30)
    assert not any(thread.is_alive() for thread in begun)
