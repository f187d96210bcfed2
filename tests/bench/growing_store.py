"""A large study that goes on growing in its store, written by a real writer: what a service reads while a driver runs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

    @contextmanager
    def running(self, epochs_a_second: float = 20.0) -> Iterator[None]:
        """Grows in a thread, at a steady rate, until the block ends."""
        ended = threading.Event()

        def loop() -> None:
            while not ended.wait(1.0):
                self.grow(round(epochs_a_second), flush=False)

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """Gives the lease back."""
        self._writer.close(compact=False)


def main(uri: str) -> None:
    """Grows a study in a process of its own until its standard input ends; prints how many epochs it has added."""
    growing = Growing(uri)
    print("ready", flush=True)
    began = time.monotonic()
    with growing.running():
        sys.stdin.read()
    growing.close()
    print(growing.added / (time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
