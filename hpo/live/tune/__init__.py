"""The study on Ray Tune: one Tuner whose searcher and scheduler pass the dispatch's work on to worker processes.

The only package that imports ray.tune. Tune reads its settings from the environment when it is imported, so they are
set here: Python runs this file before any module of the package.
"""

from __future__ import annotations

import os

MOST_SLOTS = 4096

SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # our own progress display is enough
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # CSV, JSON and TensorBoard logs halve the results a second
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver has its own
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # snapshots of the experiment: nothing reads them
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",  # nor do we want warnings about them
    # With one trial pending at a time, Tune's default here, processes would start one after the other.
    "TUNE_MAX_PENDING_TRIALS_PG": str(MOST_SLOTS),
}

for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)
