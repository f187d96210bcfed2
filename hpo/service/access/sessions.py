"""The sessions of browsers: a random name in a cookie, its digest in a file, so that a restart logs nobody out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.service.access.kept import Kept
from hpo.service.access.tokens import LOOK_SECONDS, Token, digest_of

SESSION_SECONDS = 7 * 86400.0
MOST, OF_ONE = 2000, 50  # sessions at a time, and those of one token; a new one ends the oldest


class Sessions:
    """The sessions in the file at `path`. A session is as good as the token that it began with."""

    def __init__(self, path: Path, *, seconds: float = SESSION_SECONDS, look: float = LOOK_SECONDS) -> None:
        self.seconds = seconds
        self._kept = Kept(path, seconds=look)

    def begin(self, token: Token) -> str:
        """Begins a session of a token, and returns its secret."""
        secret, now = secrets.token_urlsafe(32), time.time()
        with self._kept.changing() as value:
            live = sorted((item for item in value.items() if _is_live(item[1], now)), key=lambda item: item[1]["ends"])
            mine = [key for key, entry in live if entry.get("token") == token.digest]
            others = [(key, entry) for key, entry in live if key not in mine[: -(OF_ONE - 1)]]
            value.clear()
            value.update(others[-(MOST - 1) :])
            value[digest_of(secret)] = {"token": token.digest, "ends": now + self.seconds}
        return secret

    def find(self, secret: str) -> str | None:
        """Returns the digest of the token with which the session began; None where it has ended."""
        entry = self._kept.read().get(digest_of(secret))
        return str(entry["token"]) if isinstance(entry, Mapping) and _is_live(entry, time.time()) else None

    def end(self, secret: str) -> None:
        """Ends a session, if it is one."""
        if digest_of(secret) in self._kept.read():
            with self._kept.changing() as value:
                value.pop(digest_of(secret), None)


def _is_live(entry: Any, now: float) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("ends"), int | float) and entry["ends"] > now
