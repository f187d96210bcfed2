"""A large study that goes on growing in its store, written by a real writer: what a service reads while a driver runs."""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from hpo.storage.place import place
from hpo.store import StudyWriter, layout, read
from hpo.study.values import Charge, EpochRecord, RunKey, TrialKey
from tests.bench import large_store
from tests.bench.large_store import KINDS

NAME = "big"


class Growing:
    """The one writer of a study of about `rows` epochs; `grow` adds some, with their charges and the snapshots."""

    def __init__(self, uri: str, rows: int = 100_000, seed: int = 0) -> None:
        large_store.write(uri, NAME, trials=max(1, rows // 1000), seed=seed)
        place(uri).create(
            layout.lease(NAME, 1), b'{"released": true}'
        )  # of who wrote it: files of the next one sort after
        head = json.loads(place(uri).read(layout.head(NAME)) or b"")
        definition, digest = head["study"], head["digest"]
        self._writer = StudyWriter.open(
            uri, study=NAME, definition=definition, digest=digest, environment={}, space_kinds=KINDS
        )
        self._rng = np.random.default_rng(seed)
        data = read(uri, NAME)
        self._trials, self._runs = data.trials.to_pydict(), data.runs.to_pylist()
        self._order = data.charges.num_rows
        self.added = 0

    def grow(self, epochs: int = 20, *, flush: bool = True) -> None:
        """Adds a trial of so many epochs, each with its charge; with `flush` the store has them when this returns."""
        config = {"learning_rate": float(self._rng.random()), "batch_size": 16, "layers": "9"}
        key = TrialKey("grown", config, self._order, 20)
        for epoch in range(1, epochs + 1):
            value = float(self._rng.random())
            measured = {"val_accuracy": value, "loss": 1.0, "val_loss": 1.0}
            self._writer.epoch(key, EpochRecord(key.id, epoch, measured, 0.1, 0, "host:1"))
            self._writer.charge(Charge(RunKey("method0", 0), self._order, key.id, self._order, epoch, 1.0, value))
            self._order += 1
            self.added += 1
        self._writer.snapshot(dict(self._trials), self._runs)
        if flush:
            self._writer.flush()

    def close(self) -> None:
        """Gives the lease back."""
        self._writer.close(compact=False)


def main(uri: str, rows: int, epochs_a_second: int = 20) -> None:
    """Plays a driver that never rests until its standard input ends; prints how many steps of work it did a second.

    Each second it adds some epochs; between these it computes.
    """
    growing = Growing(uri, rows)
    print("ready", flush=True)
    began, steps, due = time.monotonic(), 0, 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        sum(number * number for number in range(20_000))
        steps += 1
        if time.monotonic() > due:
            due = time.monotonic() + 1.0
            growing.grow(epochs_a_second, flush=False)
    print(steps / (time.monotonic() - began), flush=True)
    growing.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
