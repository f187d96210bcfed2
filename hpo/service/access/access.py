"""Who a request comes from: its bearer token, or the session of its cookie; everybody, where no token is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hpo.service.access.addresses import Names
from hpo.service.access.attempts import Attempts
from hpo.service.access.sessions import Sessions
from hpo.service.access.streams import Streams
from hpo.service.access.tokens import ANYONE, Token, Tokens, digest_of
from hpo.service.context import Caller
from hpo.service.problems import Problem

CANDIDATES = 8  # most cookies of our name that are looked at: services below one another share a browser's cookies


@dataclass(frozen=True)
class Admission:
    """A caller who was let in. `stays` tells, cheaply, whether the caller still would be."""

    caller: Caller
    stays: Callable[[], bool]


@dataclass(frozen=True)
class Access:
    """The tokens and sessions of a service, the names by which it may be called, and its open streams.

    tokens: None lets everybody in who calls the service by one of its names, as an admin. sessions: None gives out none.
    """

    tokens: Tokens | None = None
    sessions: Sessions | None = None
    names: Names = field(default_factory=Names)
    attempts: Attempts = field(default_factory=Attempts)
    streams: Streams = field(default_factory=Streams)

    def admit(self, headers: Mapping[str, str], source: str, port: int) -> Admission | None:
        """Returns who makes a request; None for somebody unknown. Raises Problem 429 after too many wrong tokens."""
        if self.tokens is None:
            return Admission(Caller(ANYONE, "admin", source), lambda: True)
        if (secret := bearer(headers)) is not None:
            token = self.present(secret, source)
            return None if token is None else self._admission(token, source, lambda: True)
        for secret in cookies(headers, cookie_name(port)):
            if token := self._of_session(secret):
                return self._admission(token, source, lambda secret=secret: self._of_session(secret) is not None)  # type: ignore[misc]
        return None

    def present(self, secret: str, source: str) -> Token | None:
        """Returns the token with this secret. Raises Problem 429 for a source that showed too many wrong ones."""
        assert self.tokens is not None
        if (seconds := self.attempts.wait(source)) > 0:
            raise Problem(
                429,
                f"too many wrong tokens came from {source}; wait {seconds:.0f} s",
                wait=seconds,
            )
        token = self.tokens.find(secret)
        if token is None:
            self.attempts.note(source, digest_of(secret))
        return token

    def _admission(self, token: Token, source: str, stays: Callable[[], bool]) -> Admission:
        tokens = self.tokens
        assert tokens is not None
        return Admission(
            Caller(token.name, token.role, source), lambda: tokens.by_digest(token.digest) is not None and stays()
        )

    def _of_session(self, secret: str) -> Token | None:
        digest = self.sessions.find(secret) if self.sessions else None
        return self.tokens.by_digest(digest) if self.tokens and digest else None


def bearer(headers: Mapping[str, str]) -> str | None:
    """Returns the token that a request carries as a bearer; None where it carries none."""
    scheme, _, secret = headers.get("authorization", "").strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def cookie_name(port: int) -> str:
    """Returns the name of the cookie: browsers send those of a host to all of its ports."""
    return f"hpo_session_{port}"


def cookies(headers: Mapping[str, str], name: str) -> list[str]:
    """Returns the values of all cookies of a name; cookies of others may be as malformed as they like."""
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    found = [value.strip().strip('"') for key, _, value in pairs if key.strip() == name]
    return found[:CANDIDATES]
