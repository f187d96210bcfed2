"""Faults drawn by a seed, done to a study while it runs, and what must hold afterwards. Used by the tests and by soak.py."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
from faulty_cluster import FaultyCluster, until
from ray_nodes import BIN, Child, environment

STUDY = """
study: faults
trainable: curves
data: {{seconds: {seconds}, fail_share: 0.1, landscape: {landscape}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01, 0.03]}}
  optimizer: {{type: choice, values: [adam, sgd]}}
budget: {{epochs: {epochs}, max_epochs: {most}}}
methods: [grid, random, bayesian, {{asha: {{eta: 2}}}}]
seeds: {seeds}
parallelism: 3
"""
PATIENCE = 300.0


class Store(Protocol):
    """Where a study under fire keeps its results."""

    uri: str

    def fault(self) -> str: ...
    def hurt(self) -> None: ...
    def heal(self) -> None: ...
    def checkpoints(self) -> list[str]: ...


def comparison(text: str) -> dict[str, Any]:
    """What `hpo run --format json` says, but for times and waste."""

    def kept(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: v for name, v in values.items() if "seconds" not in name and "wasted" not in name}

    whole = json.loads(text)
    return {**whole, "runs": [kept(run) for run in whole["runs"]], "methods": [kept(m) for m in whole["methods"]]}


def ledger(uri: str) -> list[dict[str, Any]]:
    from hpo.store import read

    return sorted(read(uri, "faults").charges.to_pylist(), key=lambda row: (row["run"], row["order"]))


def wasted(uri: str) -> int:
    from hpo.store import read

    return sum(row["attempt"] > 0 for row in read(uri, "faults").epochs.to_pylist())


@dataclass
class Undisturbed:
    """What a study comes to when nothing happens to it."""

    comparison: dict[str, Any]
    ledger: list[dict[str, Any]]


def undisturbed(study: Path, store: Path, workers: int) -> Undisturbed:
    """The study on a cluster of its own to which nothing happens."""
    command = [BIN / "python", "-m", "hpo.cli", "run", study, "--store", store, "--workers", workers, "--format", "json",
               "--no-report", "--quiet"]  # fmt: skip
    answer = subprocess.run([str(w) for w in command], env=environment(), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return Undisturbed(comparison(answer.stdout), ledger(str(store)))


def played_here(study: Path, store: Path) -> Undisturbed:
    """The study in this process: no cluster, and epochs that take no time."""
    from hpo.game.runs import epoch_cost, runs_of
    from hpo.live.dispatch import Dispatch
    from hpo.results.compare import compare
    from hpo.store import StudyWriter, read
    from hpo.study.study import Study
    from hpo.worker.training import Training

    loaded = Study.load(str(study), store=str(store))
    writer = StudyWriter.open(
        loaded.store, study=loaded.study, definition=loaded.definition, digest=loaded.digest, environment={},
        space_kinds=loaded.kinds,
    )  # fmt: skip
    dispatch = Dispatch(
        loaded, runs_of(loaded, cost=epoch_cost(loaded)), writer, str(store / "faults" / "checkpoints"), 8
    )
    with patch("trainables.curves.time", SimpleNamespace(sleep=lambda seconds: None)):
        while not dispatch.finished:
            if (assignment := dispatch.next()) is None:
                dispatch.think(1.0)
                continue
            training = Training(assignment)
            while assignment.trial in dispatch.live:
                dispatch.report(assignment, training.step(), "here:1")
    dispatch.finish(complete=True)
    return Undisturbed(comparison(json.dumps(compare(read(str(store))).to_json())), ledger(str(store)))


@dataclass
class Ordeal:
    """A study under fire: begun again whenever its driver has ended, as a job's retry policy does."""

    cluster: FaultyCluster
    study: Path
    store: Store
    rng: np.random.Generator
    away_seconds: float = 60.0
    stopped_seconds: float = 30.0
    excused: bool = False  # whether its driver may end at any time: the faults are done to another study's cluster
    done: Counter[str] = field(default_factory=Counter)
    drivers: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    _driver: Child | None = None
    _excused: bool = False  # whether something is under way that may end a driver
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def play(self, faults: Sequence[str], patience: float = 2 * PATIENCE) -> None:
        """Lets the study run to its end while the faults come, one after the other; after the last it has `patience` seconds."""
        with self.underway():
            for fault in faults:
                self._wait(float(self.rng.uniform(0.5, 4.0)))
                if self._driver is None:
                    break
                if getattr(self, f"_{fault}")() is not False:  # it could not be done: the study was over before
                    self.done[fault] += 1
            until(self._over, patience, lambda: self.text[-3000:])

    @contextlib.contextmanager
    def underway(self) -> Iterator[None]:
        """From the first driver's begin to the last one's end."""
        try:
            self._begin()
            yield
        finally:
            for _, act in self._later:
                act()
            if self._driver is not None:
                self._driver.close()

    def watch(self, *nodes: int) -> None:
        """Returns when processes of all these nodes have trained an epoch each; fails where the study ends before."""

        def all_have() -> bool:
            assert not self._over(), f"the study is over, and of {nodes} some were idle"
            return all(map(self.has_trained, nodes))

        until(all_have, PATIENCE, lambda: f"of {nodes} some are idle")

    def has_trained(self, number: int) -> bool:
        """Whether an epoch in the store was trained by a process that lives on the node."""
        from hpo.store import StoreError, read

        try:
            workers = read(self.store.uri, "faults").epochs["worker"].to_pylist()
        except (StoreError, KeyError):
            return False
        return bool({int(name.rpartition(":")[2]) for name in workers if name} & set(self.cluster.of(number)))

    @property
    def text(self) -> str:
        """What the drivers said."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self._folder.glob("driver*.err")))

    @property
    def answer(self) -> str:
        """What the last driver gave as the study's result."""
        return (self._folder / f"driver{self.drivers:02}.out").read_text()

    @property
    def _folder(self) -> Path:
        return self.study.parent

    # -- the driver -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.drivers += 1
        out = self._folder / f"driver{self.drivers:02}.out"
        words = ["exec", BIN / "python", "-m", "hpo.cli", "run", self.study, "--store", self.store.uri, "--address",
                 self.cluster.address, "--format", "json", "--no-report", "--quiet", ">", out]  # fmt: skip
        command = ["bash", "-c", " ".join(str(word) for word in words)]
        log = self._folder / f"driver{self.drivers:02}.err"
        self._driver = self.cluster.child(command, log, self._folder)

    def _over(self) -> bool:
        """Whether the study is done; begins it again where its driver has ended before."""
        self._mend()
        if self._driver is None:
            return True
        code = self._driver.process.poll()
        if code is None:
            return False
        if code == 0:
            self._driver = None
            return True
        said = self._driver.text.strip().splitlines()
        self.ends[f"exit {code}: {said[-1][:150] if said else ''}"] += 1
        assert self.excused or self._excused or self._later, (
            f"the driver ended with {code}:\n{self._driver.text[-3000:]}"
        )
        self._excused = bool(self._later)
        time.sleep(5.0 if self._excused else 1.0)  # a retry policy pauses too
        self._begin()
        return False

    def _mend(self) -> None:
        """What was to last a while ends when its time has come."""
        now = time.monotonic()
        due = [act for at, act in self._later if at <= now]
        self._later = [(at, act) for at, act in self._later if at > now]
        for act in due:
            act()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._over():
            time.sleep(0.1)

    def _end(self, number: signal.Signals) -> int:
        assert self._driver is not None
        driver = self._driver
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.process.pid, number)
        self._await_end(driver, f"{number.name} does not end it")
        self._excused = True
        return driver.process.returncode

    def _await_end(self, driver: Child, otherwise: str) -> None:
        def ended() -> bool:
            self._mend()
            return driver.process.poll() is not None

        until(ended, PATIENCE, lambda: f"{otherwise}: {driver.text[-3000:]}")

    # -- the faults -----------------------------------------------------------------------------------------------

    def _a_worker(self) -> int | None:
        """One of the processes that train; None where the study ends before there is one."""
        found: list[int] = []
        end = time.monotonic() + PATIENCE
        while not found and time.monotonic() < end and not self._over():
            found = self.cluster.workers()
            time.sleep(0.05)
        return int(self.rng.choice(found)) if found else None

    def _worker_killed(self) -> bool:
        worker = self._a_worker()
        if worker is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        return True

    def _worker_stopped(self) -> bool:
        """It stands still for a while, which is no end of it; the next faults come meanwhile."""
        worker = self._a_worker()
        if worker is None:
            return False

        def go_on() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)

        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGSTOP)
        self._later.append((time.monotonic() + self.stopped_seconds, go_on))
        return True

    def _node_killed(self) -> None:
        number = int(self.rng.choice([n for n in self.cluster.nodes if n]))
        self.cluster.kill(number)
        self._wait(float(self.rng.uniform(0, 3)))
        self.cluster.add(int(self.rng.choice(self.cluster.cpus)))

    def _driver_killed(self) -> None:
        self._end(signal.SIGKILL)

    def _driver_asked(self) -> None:
        """SIGTERM: it says how to continue, and the store is whole."""
        code = self._end(signal.SIGTERM)
        assert self._driver is not None
        if code not in (0, -15, 143):  # it had ended by itself, or was still loading
            words = {130: "to continue: ", 2: "hpo: "}  # 2: the store could not be reached, or had no room
            assert code in words, f"{code}: {self._driver.text[-3000:]}"
            assert words[code] in self._driver.text.splitlines()[-1]

    def _head_killed(self) -> None:
        """The head goes with all that it knew. Drivers and nodes end by themselves; then all begins anew."""
        self._excused = True
        self.cluster.kill(0)
        driver = self._driver
        assert driver is not None
        self._await_end(driver, "no end without a head")
        nodes = list(self.cluster.nodes)
        until(lambda: all(map(self.cluster.ended, nodes)), PATIENCE, lambda: f"left without a head: {nodes}")
        for number in nodes:
            self.cluster.kill(number)
        self.cluster.start()

    def _store_hurt(self) -> None:
        """Its disk is full, or its server cannot be reached, for a while; the next faults come meanwhile."""
        self.store.hurt()
        self._later.append((time.monotonic() + self.away_seconds, self.store.heal))
        self._excused = True


def afterwards(ordeal: Ordeal, undisturbed: Undisturbed) -> None:
    """What must hold when a study under fire is done."""
    from hpo.store import verify

    uri = ordeal.store.uri
    assert comparison(ordeal.answer) == undisturbed.comparison, "the comparison differs"
    assert ledger(uri) == undisturbed.ledger, "the ledger differs"
    assert verify(uri) == []
    assert ordeal.store.checkpoints() == [], "checkpoints were left behind"
    cluster = ordeal.cluster
    until(lambda: not cluster.workers(), 60, lambda: f"workers were left behind: {cluster.workers()}")
    assert "Traceback" not in ordeal.text, ordeal.text[-3000:]
