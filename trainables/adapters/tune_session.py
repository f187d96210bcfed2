"""What code written for Ray Tune finds around it in a worker of ours, in place of what Tune would have put there.

Every undocumented part of Ray that the adapter uses is in this file. Tested with Ray 2.60; tests/unit/test_ray_private.py
fails where a later Ray has moved a part. Writes into temporary folders.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.train._internal import session as sessions
from ray.tune import Checkpoint, PlacementGroupFactory

TOTALS = ("training_iteration", "time_total_s", "timesteps_total", "episodes_total")


class Session(ABC):
    """What `ray.tune.report`, `get_checkpoint` and `get_context` ask, each a method or an attribute of this."""

    world_rank = None  # by which Tune tells its own sessions from those of Ray Train
    experiment_name = "hpo"
    trial_resources = PlacementGroupFactory([{"CPU": 1}])

    def __init__(self, folder: str) -> None:
        self.trial_dir = folder
        self.trial_name = self.trial_id = Path(folder).name

    @property
    @abstractmethod
    def loaded_checkpoint(self) -> Checkpoint | None:
        """The checkpoint that `get_checkpoint` returns."""

    @abstractmethod
    def report(self, metrics: Mapping[str, Any], checkpoint: Checkpoint | None = None) -> None:
        """Takes what the function reports."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Makes this the session that Tune's functions find, while the block runs."""
        before = sessions._session
        sessions._session = self
        try:
            yield
        finally:
            sessions._session = before


def built(kind: Any, config: dict[str, Any]) -> Any:
    """Returns a tune.Trainable, with a temporary folder for its log instead of one in ~/ray_results."""

    def set_up(self: Any) -> None:
        self._logdir = tempfile.mkdtemp(prefix="hpo-tune-")

    return type(kind.__name__, (kind,), {"_setup_logdir": set_up, "__module__": kind.__module__})(config)


def saved(trainable: Any, folder: Path) -> None:
    """Saves a tune.Trainable, with what Tune counts in it."""
    metrics = trainable.save(str(folder / "state")).metrics
    (folder / "totals.json").write_text(json.dumps({name: metrics.get(name) for name in TOTALS}))


def restored(trainable: Any, folder: Path) -> None:
    """Restores what `saved` wrote."""
    totals = json.loads((folder / "totals.json").read_text())
    trainable.restore(sessions._TrainingResult(Checkpoint.from_directory(str(folder / "state")), totals))


def ended(trainable: Any) -> None:
    """Ends a tune.Trainable and deletes its folder."""
    try:
        trainable.stop()
    finally:
        shutil.rmtree(trainable.logdir, ignore_errors=True)
