"""What a Tune actor runs. Worker processes import this file, so it imports neither the store nor the dispatch."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, replace
from typing import Any

import ray
from ray import tune

from hpo.study import environment
from hpo.worker import mps
from hpo.worker.devices import hide_what_was_not_given
from hpo.worker.training import FAULT, REPORT_SECONDS, Assignment, Training


class SegmentWorker(tune.Trainable):
    """Trains the assignments that its Tune trial carries, one after the other, and reports on each.

    A process that cannot compute any more first reports what it has trained and what is wrong, then ends: Tune sees it
    die, and another process takes its work. It frees nothing before, because calls to a dead device may never return.
    """

    _training: Training | None = None
    _sequence = 0
    _fault = ""  # what is wrong with this process
    _own = False  # whether the trial may be the cause: not where its device was unusable from the start, nor under MPS

    def setup(self, config: dict[str, Any]) -> None:
        hide_what_was_not_given(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        self._mps = mps.join(float(config["gpus"]))
        ranks, cpus = int(config["ranks"]), float(config["rank_cpus"])

        def make(trainable: str, arguments: dict[str, Any]) -> Any:
            from hpo.worker.ranks import Ranks

            return Ranks(trainable, ranks, cpus, **arguments)

        self._make = make if ranks > 1 else None
        self._left = [Assignment(**given) for given in json.loads(config["assignments"])]
        self._begin()

    def _begin(self) -> None:
        self._training = Training(self._left.pop(0), self._training, self._make)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._fault:
            os._exit(1)
        began, done = time.monotonic(), False
        reports: list[tuple[str, dict[str, Any]]] = []
        while not (done or self._fault) and (not reports or time.monotonic() - began < REPORT_SECONDS):
            assert self._training is not None
            report = self._training.step()
            if report.failure is not None and report.failure["kind"] == FAULT:
                self._fault = mps.suspect(report.failure["reason"])
                self._own = self._training.built and not mps.shared()
                report = replace(report, failure=None, done=False)
            if not (self._sequence or reports):
                report.provenance |= {"node": environment.node(), **({"mps": self._mps} if self._mps else {})}
            reports.append((self._training.assignment.trial, asdict(report)))
            if report.done and self._left:
                self._begin()
            else:
                done = report.done
        self._sequence += 1
        worker = f"{socket.gethostname()}:{os.getpid()}"
        text = json.dumps(reports)  # as text, because Tune flattens nested results before its scheduler sees them
        fault = {"fault": self._fault, "own": self._own}
        return {"reports": text, "worker": worker, "sequence": self._sequence, **fault, "done": done}

    def cleanup(self) -> None:
        if self._training is not None:
            self._training.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Does nothing: the training writes its own checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Does nothing: the training reads its own checkpoints."""
