"""What goes wrong with stores, as sentences."""

from __future__ import annotations


class StoreError(ValueError):
    """A store that cannot be used: one sentence that says what must hold, what was got and what to do."""


class Unreachable(StoreError):
    """A store that does not answer now and may answer later: what is to be written waits in the spool."""


class TakenOver(StoreError):
    """Another writer holds the study now: this one must write nothing more."""
