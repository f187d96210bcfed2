"""The root of this package's errors. One sentence each: what must hold, what was found, what to do."""

from __future__ import annotations


class ClusterError(Exception):
    """An error of ours: the command line prints its sentence and ends with `exit_code`."""

    exit_code: int = 2
