"""A study's state: one word, derived from its lease, its charges and its driver's last words. Pure; see `signs` for reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Word = Literal["queued", "starting", "running", "no sign of life", "stopped", "failed", "complete"]
WORDS: tuple[Word, ...] = ("queued", "starting", "running", "no sign of life", "stopped", "failed", "complete")
LIVE: tuple[Word, ...] = ("queued", "starting", "running")  # what may become another state without anybody's doing


@dataclass(frozen=True)
class State:
    """What becomes of a study at this moment.

    queued: a job that will play it waits for its turn. starting: its driver lives, and no epoch of this sitting has
    arrived. running: epochs have arrived. no sign of life: its driver ended without a word, or does not get through to the
    store. stopped: somebody asked it to stop, or it ended early. failed: it cannot go on as it is, or it is over without a
    result. complete: every run is over and every exam taken.

    since: unix seconds at which it came into the state, None where nobody knows. sentence: what a user should know, ready
    to be shown. command: what goes on with it, None where nothing is left to do or nobody knows.
    """

    word: Word
    since: float | None
    sentence: str
    command: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the state as the API and `hpo compare --format json` show it."""
        return {"word": self.word, "since": self.since, "sentence": self.sentence, "command": self.command}
