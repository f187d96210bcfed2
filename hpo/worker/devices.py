"""Which GPUs a worker process sees: those that its trial asked for."""

from __future__ import annotations

import os
from collections.abc import Collection

VISIBLE = "CUDA_VISIBLE_DEVICES"


def hide_what_was_not_given(gpus: Collection[str]) -> None:
    """Hides all GPUs from a process that was given none; call it before CUDA starts.

    Ray chooses what a process sees that was given some, and lets one that was given none see all of its node's.
    """
    if not gpus:
        os.environ[VISIBLE] = ""
