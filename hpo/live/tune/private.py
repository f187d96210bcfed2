"""Every undocumented part of Ray Tune that this project uses, each behind a function that says why.

Tested with Ray 2.60. tests/unit/test_ray_private.py fails where a later Ray has moved a part. None of them affects what a
study decides: they start processes sooner, count them and quote a dead one's last words.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.tune.experiment import Trial


def controller(given: Any) -> Any:
    """Returns the controller behind what Tune passes to a scheduler: for most calls a wrapper, for errors the controller.

    Tune's wrapper complains about, and may one day refuse, every attribute that the functions below need.
    """
    return getattr(given, "_tune_controller", given)


class _PlainClasses:
    """In place of Tune's cache of actor classes: the same class, without a runtime environment of its own."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def get(self, trainable: Any) -> Any:
        if trainable not in self._known:
            self._known[trainable] = ray.remote(trainable)
        return self._known[trainable]


def start_in_waiting_processes(given: Any) -> None:
    """Lets actors start in the processes that Ray keeps ready: Tune gives each an environment that none of those has.

    Without it, a process starts anew for each, which takes seconds, and Ray writes that environment into its logs: it has
    the driver's keys for S3. The driver tells them to the processes itself.
    """
    inside = controller(given)
    if not isinstance(inside._class_cache, _PlainClasses):
        inside._class_cache = _PlainClasses()


def without_room(given: Any) -> int:
    """Returns how many processes were asked for that no node has room for yet."""
    return int(controller(given)._actor_manager.num_pending_actors)


def last_words(trial: Trial) -> str:
    """Returns the last line of the error that ended the trial's process, or "" where it left none."""
    lines = str(trial.get_pickled_error() or "").strip().splitlines()
    return lines[-1] if lines else ""
