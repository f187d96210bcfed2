"""Copies a running study's curves to other tools: TensorBoard's event files and an MLflow server.

The store alone is the truth. The copies are made in a thread of their own: a tracker that does not answer holds up
nothing, and loses entries, which are counted.
"""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hpo.files import expanded
from hpo.study.study import Study
from hpo.study.values import Charge, EpochRecord, TrialKey

log = logging.getLogger(__name__)

OPEN_FILES = 32
ANSWER_SECONDS, CLOSE_SECONDS = 10.0, 30.0


class Tracker(Protocol):
    """A tool that takes curves. Its methods raise OSError where it cannot be reached."""

    def epoch(self, key: TrialKey, record: EpochRecord) -> None: ...
    def incumbent(self, run: str, charged: int, value: float) -> None: ...
    def close(self) -> None: ...


class Tracking:
    """Hands entries to trackers. `lost` counts the entries that a tracker did not take."""

    def __init__(self, *trackers: Tracker, mode: str = "max") -> None:
        self._trackers = trackers
        self._better = max if mode == "max" else min
        self._entries: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._runs: dict[str, tuple[int, float]] = {}  # charged epochs, best value
        self.lost = 0
        self._thread = threading.Thread(target=self._loop, name="tracking", daemon=True)
        if trackers:
            self._thread.start()

    def epoch(self, key: TrialKey, record: EpochRecord) -> None:
        """Hands on a trained epoch."""
        if self._trackers:
            self._entries.put(("epoch", (key, record)))

    def charge(self, charge: Charge, *, new: bool) -> None:
        """Hands on the incumbent after a charge, unless an earlier driver of the study has (the charge is not `new`)."""
        if not self._trackers or not math.isfinite(charge.value):
            return
        run = str(charge.run)
        charged, best = self._runs.get(run, (0, charge.value))
        self._runs[run] = (charged + 1, self._better(best, charge.value))
        if new:
            self._entries.put(("incumbent", (run, *self._runs[run])))

    def close(self) -> None:
        """Waits until every entry is handed on, but no longer than half a minute."""
        if self._thread.is_alive():
            self._entries.put(None)
            self._thread.join(CLOSE_SECONDS)

    def _loop(self) -> None:
        while (entry := self._entries.get()) is not None:
            for tracker in self._trackers:
                self._tell(tracker, *entry)
        for tracker in self._trackers:
            self._tell(tracker, "close", ())
        if self.lost:
            log.warning("trackers missed %d entries; the store has them all", self.lost)

    def _tell(self, tracker: Tracker, what: str, values: tuple[Any, ...]) -> None:
        try:
            getattr(tracker, what)(*values)
        except (OSError, ValueError) as error:
            if not self.lost:
                log.warning("%s does not accept entries: %s", type(tracker).__name__, error)
            self.lost += 1


class TensorBoard:
    """Event files below `folder`: a series for each trial, and one for each run's incumbent over charged epochs."""

    def __init__(self, folder: str, study: str) -> None:
        self._folder = Path(folder) / study
        self._open: OrderedDict[str, Any] = OrderedDict()

    def epoch(self, key: TrialKey, record: EpochRecord) -> None:
        name = f"trials/{key.id}"
        if record.epoch == 1:
            self._writer(name).add_text("config", json.dumps(dict(key.config)), 0)
        for metric, value in record.metrics.items():
            self._writer(name).add_scalar(metric, value, record.epoch)

    def incumbent(self, run: str, charged: int, value: float) -> None:
        self._writer(f"runs/{run.replace('/', '-')}").add_scalar("incumbent", value, charged)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _writer(self, name: str) -> Any:
        """Returns an open event file; closes the least recently used one where too many are open."""
        from tensorboardX import SummaryWriter

        if name not in self._open:
            self._open[name] = SummaryWriter(str(self._folder / name), flush_secs=5)
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(name)
        return self._open[name]


class MlFlow:
    """An MLflow tracking server at `url`, over its REST API: one experiment, with a run for each of our trials and runs."""

    def __init__(self, url: str, study: str) -> None:
        self._url, self._study = url.rstrip("/"), study
        self._experiment = ""
        self._runs: dict[str, str] = {}

    def epoch(self, key: TrialKey, record: EpochRecord) -> None:
        run = self._run(key.id, {"seed": key.seed, **key.config})
        self._log(run, record.epoch, record.metrics)

    def incumbent(self, run: str, charged: int, value: float) -> None:
        self._log(self._run(run, {}), charged, {"incumbent": value})

    def close(self) -> None:
        now = int(time.time() * 1000)
        for run in self._runs.values():
            self._ask("runs/update", {"run_id": run, "status": "FINISHED", "end_time": now})

    def _log(self, run: str, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [{"key": name, "value": float(v), "timestamp": now, "step": step} for name, v in values.items()]
        self._ask("runs/log-batch", {"run_id": run, "metrics": metrics})

    def _run(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Returns the id of the run of that name: an earlier driver's, or a new one with these parameters."""
        if name not in self._runs:
            experiment = self._experiment = self._experiment or self._named(self._study)
            asked = {"experiment_ids": [experiment], "filter": f"tags.`mlflow.runName` = '{name}'", "max_results": 1}
            found = self._ask("runs/search", asked).get("runs")
            if found:
                self._runs[name] = found[0]["info"]["run_id"]
            else:
                begun = {"experiment_id": experiment, "run_name": name, "start_time": int(time.time() * 1000)}
                self._runs[name] = self._ask("runs/create", begun)["run"]["info"]["run_id"]
                given = [{"key": key, "value": str(value)} for key, value in parameters.items()]
                self._ask("runs/log-batch", {"run_id": self._runs[name], "params": given})
        return self._runs[name]

    def _named(self, study: str) -> str:
        try:
            found = self._ask(f"experiments/get-by-name?experiment_name={study}", None)
            return str(found["experiment"]["experiment_id"])
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        return str(self._ask("experiments/create", {"name": study})["experiment_id"])

    def _ask(self, what: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Sends a request and returns the answer. Raises OSError where the server refuses or does not answer."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._url}/api/2.0/mlflow/{what}", data=content, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                found: dict[str, Any] = json.loads(answer.read() or b"{}")
                return found
        except urllib.error.HTTPError as error:
            error.close()  # it is an answer too
            raise


def tracking(study: Study) -> Tracking:
    """Returns the trackers that the study file names."""
    track = study.track
    folder = TensorBoard(str(study.folder / expanded(track.tensorboard)), study.study) if track.tensorboard else None
    server = MlFlow(track.mlflow, study.study) if track.mlflow else None
    return Tracking(*(tracker for tracker in (folder, server) if tracker is not None), mode=study.mode)
