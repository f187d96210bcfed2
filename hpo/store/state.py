"""A study's state: one word, derived from its lease, its charges and its driver's last words. Pure; `signs` reads them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hpo.store.lease import FORGOTTEN_SECONDS, TTL_SECONDS

Word = Literal["queued", "starting", "running", "no sign of life", "stopped", "failed", "complete"]
WORDS: tuple[Word, ...] = ("queued", "starting", "running", "no sign of life", "stopped", "failed", "complete")
CLOCKS_SECONDS = 60.0  # by which clocks that agree may seem to differ
PLAYED: tuple[Word, ...] = ("starting", "running")  # a driver lives
LIVE: tuple[Word, ...] = ("queued", *PLAYED)  # what may become another state without anybody's doing


@dataclass(frozen=True)
class State:
    """What becomes of a study at this moment.

    queued: a job that will play it waits for its turn. starting: its driver lives, and no epoch of this sitting has
    arrived. running: epochs have arrived. no sign of life: its driver ended without a word, or does not get through to the
    store. stopped: somebody asked it to stop, or it ended early. failed: it cannot go on as it is, or it is over and lacks a
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

    def __str__(self) -> str:
        told = self.sentence if self.word in self.sentence else f"{self.word}: {self.sentence}"
        told = f"{told[:1].upper()}{told[1:]}"
        return f"{told}; to continue: {self.command}" if self.command else f"{told}."


@dataclass(frozen=True)
class Signs:
    """What a study's state follows from; times are in unix seconds by the clock of its driver.

    holder: who took its last lease, as the lease says. released: whether that one gave it back. over: whether every run is
    over and every exam taken. failure: why the study lacks a result, a clause. trained: whether an epoch has arrived since
    the lease was taken. last: when its driver last gave a sign of life, or its last result arrived. ended, reason: the last
    word of its log, and why. command: what goes on with it.
    """

    holder: Mapping[str, Any] | None = None
    released: bool = True
    over: bool = False
    failure: str = ""
    trained: bool = False
    last: float | None = None
    ended: str = ""
    reason: str = ""
    command: str | None = None

    @property
    def who(self) -> str:
        """The driver, in words."""
        holder = self.holder or {}
        return f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= holder.keys() else "its driver"

    @property
    def began(self) -> float | None:
        """When the last sitting began."""
        return (self.holder or {}).get("since")


def derived(
    signs: Signs, *, silent: float, there: bool | None, now: float | None = None, waiting: float | None = None
) -> State:
    """Returns the state that the signs tell.

    silent: seconds since the driver's last sign of life, by one clock. there: whether its process still holds the lease,
    None where this machine cannot know. waiting: since when a job that will play the study waits for its turn.
    """
    now = time.time() if now is None else now
    played = signs.holder is not None and not signs.released and there is not False
    if signs.over:
        return _over(signs)
    if played and silent <= TTL_SECONDS:
        return _living(signs, now)
    if waiting is not None:
        return State("queued", waiting, f"a job waits for its turn since {at(waiting, now)}")
    if signs.holder is not None and not signs.released:
        return _silent(signs, silent, there, now)
    return _ended(signs)


def silence(age: float, last: float | None, now: float | None = None) -> float:
    """Returns the seconds since a driver's last sign of life.

    age: of the file that it writes, by the clock of the file's place, which two machines share. last: when it wrote the
    file by its own clock, which counts where that was so long ago that the file can only be a copy.
    """
    own = 0.0 if last is None else (time.time() if now is None else now) - last
    return own if own > FORGOTTEN_SECONDS or not math.isfinite(age) else max(0.0, age)


def at(moment: float, now: float | None = None) -> str:
    """Formats a moment in local time: the time of day, with the date where it is not today."""
    there, here = time.localtime(moment), time.localtime(time.time() if now is None else now)
    return time.strftime("%H:%M" if there[:3] == here[:3] else "%Y-%m-%d %H:%M", there)


def _over(signs: Signs) -> State:
    if signs.failure:
        return State("failed", signs.last, signs.failure)
    return State("complete", signs.last, "every run is over")


def _living(signs: Signs, now: float) -> State:
    since = "" if signs.began is None else f" since {at(signs.began, now)}"
    if signs.trained:
        return State(
            "running", signs.began, f"{signs.who} has been playing it{since}" if since else f"{signs.who} plays it"
        )
    return State(
        "starting",
        signs.began,
        f"{signs.who} {'has been preparing' if since else 'prepares'} it{since}; no epoch has arrived since",
    )


def _silent(signs: Signs, silent: float, there: bool | None, now: float) -> State:
    since = signs.last if there is not None else _since(silent, signs.last, now)
    found = f"no sign of life from {signs.who}" + ("" if since is None else f" since {at(since, now)}")
    if there:
        found += "; the process is still there: end it before another one goes on"
    return State("no sign of life", since, found, signs.command)


def _since(silent: float, last: float | None, now: float) -> float | None:
    """Returns when a driver fell silent: by its own clock, which tells the same at every look, unless that one is wrong."""
    if not math.isfinite(silent):
        return last
    return last if last is not None and abs(now - silent - last) < CLOCKS_SECONDS else now - silent


def _ended(signs: Signs) -> State:
    if signs.ended == "failed":
        return State("failed", signs.last, signs.reason or "its driver failed", signs.command)
    if signs.ended == "interrupted":
        return State("stopped", signs.last, signs.reason, signs.command)
    return State("stopped", signs.last, "its driver ended before every run was over", signs.command)
