"""The leaderboard's games: a Parquet table that is kept with the project, so that another machine goes on with it.

Knows nothing of how a game is played. The same games give the same bytes, in whatever order they were played.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hpo.files import appearing

EVERY = 60.0  # seconds between two writings: what a killed run loses at most


@dataclass(frozen=True, order=True)
class Game:
    """What is played: `budget` in trainings of the suite's unit, `method` by its label."""

    suite: str
    method: str
    budget: int
    task: str
    seed: int


@dataclass(frozen=True)
class Played:
    """What a game gave: its last regret, its trials, processor seconds, and the day (UTC) on which it was played."""

    regret: float
    trials: int
    seconds: float
    day: datetime.date


_NAME = pa.dictionary(pa.int16(), pa.string())
SCHEMA = pa.schema(
    {
        "suite": _NAME, "method": _NAME, "budget": pa.int32(), "task": _NAME, "seed": pa.int32(),
        "regret": pa.float32(), "trials": pa.int32(), "seconds": pa.float32(), "day": pa.date32(),
    }
)  # fmt: skip
GAME, PLAYED = ([field.name for field in fields(kind)] for kind in (Game, Played))


class Games:
    """The games of a file. It is written whole, `every` so many seconds at most, and by `save`."""

    def __init__(self, path: Path, every: float = EVERY) -> None:
        self._path, self._every = path, every
        lines = pq.read_table(path, schema=SCHEMA).to_pylist() if path.exists() else []
        self.played = {
            Game(**{name: line[name] for name in GAME}): Played(**{name: line[name] for name in PLAYED})
            for line in lines
        }
        self._saved = time.monotonic()

    def add(self, game: Game, played: Played) -> None:
        self.played[game] = played
        if time.monotonic() - self._saved >= self._every:
            self.save()

    def forget(self, methods: Collection[str]) -> None:
        """Forgets the games of these methods, at once also in the file."""
        self.played = {game: played for game, played in self.played.items() if game.method not in methods}
        self.save()

    def save(self) -> None:
        lines = [vars(game) | vars(played) for game, played in sorted(self.played.items(), key=lambda item: item[0])]
        with appearing(self._path) as beside:
            pq.write_table(pa.Table.from_pylist(lines, SCHEMA), beside, compression="zstd")
        self._saved = time.monotonic()
