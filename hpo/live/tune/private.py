"""Every undocumented part of Ray Tune that this project uses, each behind a function that says why.

Tested with Ray 2.60. tests/unit/test_ray_private.py fails where a later Ray has moved a part. None of them affects what a
study decides: they start processes, count them and quote a dead one's last words.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.tune.experiment import Trial

from hpo.live.tune.worker import SlotWorker


def controller(given: Any) -> Any:
    """Returns the controller behind what Tune passes to a scheduler: for most calls a wrapper, for errors the controller.

    Tune's wrapper complains about, and may one day refuse, every attribute that the functions below need.
    """
    return getattr(given, "_tune_controller", given)


class _OurClass:
    """In place of Tune's cache of actor classes: ours, whatever is asked for, without a runtime environment of its own."""

    def __init__(self) -> None:
        made: Any = ray.remote(SlotWorker)
        start = made._remote

        def start_ours(args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            return start([kwargs["storage"].trial_working_directory], **options)  # the rest are objects of Tune's

        made._remote = start_ours
        self._made = made

    def get(self, trainable: Any) -> Any:
        return self._made


def start_our_processes(given: Any) -> None:
    """Makes Tune start our class where it would start its own, in the processes that Ray keeps ready.

    Those have not imported Tune, and need not: that takes each of them most of a second. Tune gives its own an environment,
    for which a process starts anew each time, and which Ray writes into its logs: it has the driver's keys for S3. The driver
    tells them to the processes itself.
    """
    inside = controller(given)
    if not isinstance(inside._class_cache, _OurClass):
        inside._class_cache = _OurClass()


def without_room(given: Any) -> int:
    """Returns how many processes were asked for that no node has room for yet."""
    return int(controller(given)._actor_manager.num_pending_actors)


def last_words(trial: Trial) -> str:
    """Returns the last line of the error that ended the trial's process, or "" where it left none."""
    lines = str(trial.get_pickled_error() or "").strip().splitlines()
    return lines[-1] if lines else ""
