"""The root of every error of ours, and the errors that belong to no single package. Imports nothing.

An error of ours is one sentence for a user: what must hold, what was found, what to do. Any other exception is a bug.
"""

from __future__ import annotations


class HpoError(Exception):
    """An error of ours: the command line prints its sentence and exits with `exit_code`."""

    exit_code: int = 2


class StudyError(HpoError):
    """A study that cannot be played as written: one sentence, with file, line and column where they are known."""


class StudyFailed(HpoError):
    """A study that cannot go on: one sentence with the reason and what to do."""

    exit_code = 1


class InterruptedStudy(HpoError):
    """A study that was asked to stop; the sentence says how to continue."""

    exit_code = 130
