"""Lets Tune's trials take the worker processes that Ray has started already."""

from __future__ import annotations

from ray.tune.execution import class_cache


def take_ready_processes() -> None:
    """Makes Tune ask for processes without environment variables of their own, which any process has.

    Tune asks for a copy of some of the driver's variables, and so for new processes. On a cluster that the driver has
    started, every process has all of the driver's variables from the beginning.
    """
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()
