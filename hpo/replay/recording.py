"""Replays in a store: as a live study is stored, written seed by seed, so that one that was stopped goes on.

Reads and writes the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from hpo import store as stores
from hpo.game.script import Script
from hpo.replay.answers import Answers
from hpo.replay.game import Game
from hpo.replay.players import Part, Played, play
from hpo.storage.place import place
from hpo.store import StudyData, StudyWriter, schema, seal
from hpo.store.agreement import REPLAY
from hpo.store.recover import scripts
from hpo.study import environment
from hpo.study.study import Study
from hpo.text import encodable

NEWS_SECONDS = 30.0


def record(
    games: Sequence[Game], store: str, *, processes: int, command: str, tell: Callable[[str], None] = lambda said: None
) -> list[str]:
    """Plays what the store lacks of the games, and writes it there; returns a sentence for each game, in the order of their ends.

    `tell` takes them as soon as they are true, and now and then how far a long replay is. Raises StoreError, with nothing
    written, if the store holds another study of a name, or one of another origin. `command`: what a user repeats to go on.
    """
    told, said = _checked(games, store, command), list[str]()

    def over(sentence: str) -> None:
        said.append(sentence)
        tell(sentence)

    with ExitStack() as closing:
        open_now: dict[int, _Recording] = {}

        def parts() -> Iterator[Part]:
            for number, game in enumerate(games):
                if _has_all(store, game):
                    over(_nothing_left(game))
                    continue
                recording = _Recording(game, store, told[number])
                closing.callback(recording.close)
                if not recording.missing:  # whoever played the last of it could not seal it
                    over(recording.end())
                    continue
                open_now[number] = recording
                yield from (Part(number, (seed,), recording.scripts(seed)) for seed in sorted(recording.missing))

        news = _News(sum(len(game.study.seeds) for game in games))
        for played in play(games, parts(), processes):
            recording = open_now[played.part.game]
            recording.take(played)
            if not recording.missing:
                over(open_now.pop(played.part.game).end())
            if (sentence := news.after(played)) is not None:
                tell(sentence)
    return said


def _checked(games: Sequence[Game], store: str, command: str) -> list[dict[str, Any]]:
    """Returns what the store is told of each game's environment. Raises StoreError for one that it would not take."""
    about = {**environment.collect(), "command": encodable(command)}
    told = [{**about, REPLAY: game.origin} for game in games]
    for game, environment_of in zip(games, told, strict=True):
        StudyWriter.check(store, **_identity(game), environment=environment_of)
    return told


def _nothing_left(game: Game) -> str:
    return f"{game.study.study}: the store has all of it, nothing is left to play"


class _News:
    """Tells now and then how far a long replay is; `whole`: the seeds of all games together."""

    def __init__(self, whole: int) -> None:
        self._whole, self._done, self._told = whole, 0, time.monotonic()

    def after(self, played: Played) -> str | None:
        """Returns a sentence if the last one is long past."""
        self._done += len(played.part.seeds)
        if time.monotonic() - self._told < NEWS_SECONDS:
            return None
        self._told = time.monotonic()
        return f"played in this replay: {self._done} of at most {self._whole} seeds of all studies together"


def _identity(game: Game) -> dict[str, Any]:
    study = game.study
    return {"study": study.study, "definition": study.definition, "digest": study.digest}


def _has_all(store: str, game: Game) -> bool:
    """Tells whether a sealed study of the store has every run of the game, and perhaps more."""
    study = game.study
    if study.study not in stores.studies(store) or not seal.made(place(store), study.study):
        return False
    found = stores.read(store, study.study)
    known = found.definition["methods"]
    return _runs(study) <= _complete(found) and all(method in known for method in study.definition["methods"])


def _runs(study: Study) -> set[str]:
    return {f"{method.label}/{seed}" for method in study.methods for seed in study.seeds}


def _complete(stored: StudyData) -> set[str]:
    """Returns the stored runs that are over."""
    return {row["run"] for row in stored.runs.to_pylist() if row["status"] == "complete"}


class _Recording:
    """One game in the store. `missing`: the seeds of which the store lacks a run."""

    def __init__(self, game: Game, store: str, about: dict[str, Any]) -> None:
        study = game.study
        self._game = game
        self._writer = StudyWriter.open(store, **_identity(game), environment=about, space_kinds=study.kinds)
        stored = self._writer.stored
        self._scripts = scripts(stored, self._writer.changes)
        there = _complete(stored)
        self.missing = {seed for seed in study.seeds if not _runs(study.changed(seeds=[seed])) <= there}
        kept = _runs(study.changed(seeds=[seed for seed in study.seeds if seed not in self.missing]))
        self._kept = {name: [_of_runs(getattr(stored, name), kept)] for name in schema.SNAPSHOTS}
        self._answers: Answers | None = None
        self._whole = False

    def scripts(self, seed: int) -> Mapping[str, Script]:
        """Returns the stored events of a seed's runs, which they must meet again."""
        return {run: script for run, script in self._scripts.items() if run.rpartition("/")[2] == str(seed)}

    def take(self, played: Played) -> None:
        """Writes what a seed's runs gave; the rows of runs come last, so that a run is complete or not there."""
        tables = {name: getattr(played.data, name) for name in schema.TABLES}
        for name in schema.SNAPSHOTS:
            self._kept[name].append(tables[name])
            tables[name] = pa.concat_tables(self._kept[name], promote_options="permissive")
        self._writer.add(tables)
        self.missing -= set(played.part.seeds)
        self._answers = played.answers if self._answers is None else self._answers + played.answers

    def end(self) -> str:
        """Seals the study in the store; returns a sentence about what was played."""
        self._whole = True
        self.close()
        if self._answers is None:
            return _nothing_left(self._game)
        return f"{self._game.study.study}: {self._answers.sentence()}"

    def close(self) -> None:
        """Lets the next writer in."""
        self._writer.close(compact=self._whole)


def _of_runs(table: pa.Table, runs: set[str]) -> pa.Table:
    return table.filter(pa.array([run in runs for run in table["run"].to_pylist()], type=pa.bool_()))
