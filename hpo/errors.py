"""The root of every error of ours, and those that no single room owns. Imports nothing.

An error of ours is one sentence for a user: what must hold, what was found, what to do. Anything else is a bug.
"""

from __future__ import annotations


class HpoError(Exception):
    """An error of ours: the command line prints its sentence and ends with `exit_code`."""

    exit_code: int = 2


class StudyError(HpoError):
    """A study that cannot be played as it is written: one sentence, with file, line and column where they are known."""


class StudyFailed(HpoError):
    """The study cannot go on: one sentence that says why, and what to do."""

    exit_code = 1


class InterruptedStudy(HpoError):
    """The study was asked to stop; the sentence says how to continue."""

    exit_code = 130
