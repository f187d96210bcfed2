"""Every undocumented part of Ray Tune that this project uses, each behind a function that says why.

Tested with Ray 2.60. tests/unit/test_ray_private.py fails where a later Ray has moved a part. None of them affects what a
study decides: they save the start of processes, count deaths fairly and quote a dead worker's last words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial

from cluster.variables import PRIVATE
from hpo.live.tune import MOST_SLOTS


def controller(given: Any) -> Any:
    """Returns the controller behind what Tune passes to a scheduler: for most calls a wrapper, for errors the controller.

    Tune's wrapper complains about, and may one day refuse, every attribute that the functions below need.
    """
    return getattr(given, "_tune_controller", given)


def waiting(given: Any) -> list[Trial]:
    """Returns the trials that have no process yet; Tune offers a scheduler no public list of them."""
    return [trial for trial in controller(given).get_live_trials() if trial.status == Trial.PENDING]


def keep_free_processes(given: Any, request: tune.PlacementGroupFactory, keep: bool) -> None:
    """Keeps every free process for a later trial, or none but those that Tune itself would keep.

    Tune ends free processes beyond the number of waiting trials; where trials are shorter than the start of a process,
    it would start and end processes all the time. Call it with `keep` alternating: it moves the limit up and down.
    """
    cache = controller(given)._actor_cache
    (cache.increase_max if keep else cache.decrease_max)(request, MOST_SLOTS)


def leave_to_its_own_process(given: Any, request: tune.PlacementGroupFactory, trial: Trial) -> None:
    """Takes a trial whose process is starting out of those that may get a free one.

    Tune would give it the free process and end the one that is starting, so that a single process would do all the work.
    """
    inside = controller(given)
    if trial in inside._trial_to_actor:
        inside._resources_to_pending_trials[request].discard(trial)


def is_resetting(given: Any, trial: Trial) -> bool:
    """Whether the trial is being given to a process that was free: if that process was dead, the trial is not to blame."""
    return trial in controller(given)._resetting_trials


def last_words(trial: Trial) -> str:
    """Returns the last line of the error that ended the trial's process, or "" where it left none."""
    lines = str(trial.get_pickled_error() or "").strip().splitlines()
    return lines[-1] if lines else ""


def keep_out_of_logs(names: Iterable[str]) -> None:
    """Keeps variables out of what Tune copies from the driver's environment into that of its processes (keys of AWS).

    Ray writes those into its logs. The processes of a job with private variables have them already.
    """
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(names)


keep_out_of_logs(os.environ.get(PRIVATE, "").split(","))
