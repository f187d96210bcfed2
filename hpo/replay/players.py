"""Games played seed by seed, in this process or side by side in several: the results are the same. Writes nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait as wait_for

import pyarrow as pa

from hpo.errors import HpoError
from hpo.game.script import Script
from hpo.replay.answers import Answers
from hpo.replay.game import Game
from hpo.store import StudyData, schema
from trainables import given

WAITING = 2  # parts that wait for a process, for each process: so that none is idle, and few results pile up


@dataclass(frozen=True)
class Part:
    """A part of all games: the runs of one game with these seeds. `stored`: the events that they must meet again."""

    game: int
    seeds: tuple[int, ...]
    stored: Mapping[str, Script] = field(default_factory=dict)


@dataclass(frozen=True)
class Played:
    """What a part gave: its tables as a store holds them, and which curves answered."""

    part: Part
    data: StudyData
    answers: Answers


def processors() -> int:
    """Returns the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def play(games: Sequence[Game], parts: Iterable[Part], processes: int = 1) -> Iterator[Played]:
    """Yields what each part gave: in their order by one process, in the order in which they end by several.

    Raises CurvesError if curves cannot answer, HpoError if a process dies.
    """
    if processes < 2 or any(given.of(game.study.trainable) for game in games):  # objects are in this process alone
        yield from (_played(games, part) for part in parts)
    else:
        yield from _side_by_side(games, parts, processes)


def whole(games: Sequence[Game], processes: int = 1) -> tuple[list[StudyData], Answers]:
    """Plays all games; returns the tables of each, and which curves answered in all of them together."""
    parts = [Part(i, seeds) for i, game in enumerate(games) for seeds in _shares(game, processes)]
    found: dict[tuple[int, tuple[int, ...]], Played] = {}
    for played in play(games, parts, processes):
        found[played.part.game, played.part.seeds] = played
    answers = sum(
        (found[part.game, part.seeds].answers for part in parts[1:]), found[parts[0].game, parts[0].seeds].answers
    )
    return [
        _joined([found[i, seeds].data for seeds in _shares(game, processes)]) for i, game in enumerate(games)
    ], answers


def _shares(game: Game, processes: int) -> list[tuple[int, ...]]:
    """Returns the seeds of each part of a game: all together for one process."""
    seeds = game.study.seeds
    return [tuple(seeds)] if processes < 2 else [(seed,) for seed in seeds]


def _joined(parts: Sequence[StudyData]) -> StudyData:
    tables = {name: pa.concat_tables([getattr(part, name) for part in parts]) for name in schema.TABLES}
    return replace(parts[0], **tables)


def _played(games: Sequence[Game], part: Part) -> Played:
    found = games[part.game].play(part.seeds, part.stored)
    return Played(part, found.data, found.answers)


def _side_by_side(games: Sequence[Game], parts: Iterable[Part], processes: int) -> Iterator[Played]:
    others, left = set(multiprocessing.active_children()), iter(parts)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (tuple(games),))
    under_way: set[Future[Played]] = set()
    try:
        while True:
            while len(under_way) < WAITING * processes and (part := next(left, None)) is not None:
                under_way.add(pool.submit(_play_here, part))
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        raise HpoError(
            "the processes of a replay must live until it ends, but one was killed, perhaps for lack of memory; take fewer "
            "with --processes"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            if under_way:  # it was left early: what they do is for nobody
                child.terminate()


# -- in a process of its own ----------------------------------------------------------------------------------------

_games: tuple[Game, ...] = ()


def _begin(games: tuple[Game, ...]) -> None:
    """Takes the games. A signal is for the process that shares out the parts, and this one ends with it."""
    global _games
    _games = games
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), name="parent", daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


def _play_here(part: Part) -> Played:
    return _played(_games, part)
