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

NAME, RUN = "big", RunKey("method0", 0)
EPOCHS = 20  # of a trial
WORK = 40_000  # numbers that an epoch's computing adds up: some milliseconds
REST_SECONDS = 0.015  # that a driver waits for the next epoch's result
SNAPSHOT_SECONDS = 5.0


class Growing:
    """The one writer of a study of about `rows` epochs. `step` adds an epoch with its charge; every 20 are a trial."""

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
        self._number = 1 + max(data.trials["number"].to_pylist())
        self._key = self._next_trial()
        self.added = 0

    def step(self) -> None:
        """Adds an epoch of the trial under way, or the first one of the next trial."""
        epoch = self.added % EPOCHS + 1
        if epoch == 1 and self.added:
            self._number += 1
            self._key = self._next_trial()
        value = float(self._rng.random())
        measured = {"val_accuracy": value, "loss": 1.0, "val_loss": 1.0}
        self._writer.epoch(self._key, EpochRecord(self._key.id, epoch, measured, 0.1, 0, "host:1"))
        self._writer.charge(Charge(RUN, self._order, self._key.id, self._number, epoch, 1.0, value))
        self._order += 1
        self.added += 1
        if epoch == EPOCHS:
            self._note_trial(value)

    def grow(self, epochs: int = EPOCHS) -> None:
        """Adds so many epochs and a snapshot; the store has them when this returns."""
        for _ in range(epochs):
            self.step()
        self.snapshot()
        self._writer.flush()

    def snapshot(self) -> None:
        """Hands the writer all trials and runs as they are."""
        self._writer.snapshot({name: list(cells) for name, cells in self._trials.items()}, self._runs)

    def close(self) -> None:
        """Gives the lease back."""
        self._writer.close(compact=False)

    def _next_trial(self) -> TrialKey:
        config = {"learning_rate": float(self._rng.random()), "batch_size": 16, "layers": "9"}
        return TrialKey("grown", config, self._number, EPOCHS)

    def _note_trial(self, value: float) -> None:
        row = {name: cells[-1] for name, cells in self._trials.items()} | {
            "run": str(RUN), "method": RUN.method, "seed": RUN.seed, "number": self._number, "trial": self._key.id,
            "status": "completed", "epochs": EPOCHS, "best_epoch": EPOCHS, "best_value": value,
        }  # fmt: skip
        for name, cells in self._trials.items():
            cells.append(row[name])


def main(uri: str, rows: int) -> None:
    """Plays a driver until its standard input ends; answers each line with its epochs until then and the clock's time.

    For each epoch it computes a little, writes it down, and waits for the next one: what holds it up makes it slower for
    good, since it does not catch up.
    """
    growing = Growing(uri, rows)
    print("ready", flush=True)
    due = 0.0
    while True:
        sum(number * number for number in range(WORK))
        growing.step()
        if time.monotonic() > due:
            growing.snapshot()
            due = time.monotonic() + SNAPSHOT_SECONDS
        time.sleep(REST_SECONDS)
        if select.select([sys.stdin], [], [], 0)[0]:
            if not sys.stdin.readline():
                break
            print(growing.added, time.monotonic(), flush=True)
    growing.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
