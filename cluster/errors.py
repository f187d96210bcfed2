"""The root of this package's errors, and the one line that it quotes from errors of others.

Each error is one sentence: what must hold, what was found, what to do.
"""

from __future__ import annotations


class ClusterError(Exception):
    """An error with a sentence for the user: the command line prints it and ends with `exit_code`."""

    exit_code: int = 2


def one_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its class name when it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
