"""The tokens of a service: names with a role, kept as digests in a file; the one in HPO_SERVE_TOKEN is never kept."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from hpo.files import expanded
from hpo.service.access.kept import AccessError, Kept
from hpo.service.context import Role
from hpo.storage.place import absolute
from hpo.text import nearest, shown

VARIABLE = "HPO_SERVE_TOKEN"
ENVIRONMENT, ANYONE = "environment", "anyone"
SHORTEST = 16
MOST = 1000
LOOK_SECONDS = 1.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Token:
    """Whom a secret stands for. `digest`: of the secret, by SHA-256; `created`: in seconds since 1970, 0 if not known."""

    name: str
    role: Role
    digest: str = field(repr=False)
    created: float = 0.0


def digest_of(secret: str) -> str:
    """Returns what is kept of a secret. The secrets of ours have 256 random bits, so that no salt is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def checked_role(role: str) -> Role:
    """Returns the role. Raises AccessError for a word that is none."""
    for known in get_args(Role):
        if role == known:
            return known  # type: ignore[no-any-return]
    raise AccessError(f"a role must be view, run or admin, but got {shown(role)}; {nearest(role, get_args(Role))}")


class Tokens:
    """The tokens in the file at `path`, and the one that the environment holds.

    A change of the file by another process is seen within `seconds`. Raises AccessError where the file cannot be used, or
    where the environment's token is short enough to be guessed.
    """

    def __init__(self, path: Path, *, environment: str | None = None, seconds: float = LOOK_SECONDS) -> None:
        if environment and len(environment) < SHORTEST:
            raise AccessError(
                f"the token in {VARIABLE} must have at least {SHORTEST} characters, but got {len(environment)}"
            )
        self.path = path
        self._kept = Kept(path, seconds=seconds)
        self._of: tuple[dict[str, Any], dict[str, Token]] = ({}, {})
        self._fixed = Token(ENVIRONMENT, "admin", digest_of(environment)) if environment else None

    def all(self) -> list[Token]:
        """Returns every token, that of the environment first, then by name."""
        found = sorted(self._known().values(), key=lambda token: token.name)
        return [self._fixed, *found] if self._fixed else found

    def find(self, secret: str) -> Token | None:
        """Returns the token with this secret."""
        return self.by_digest(digest_of(secret))

    def by_digest(self, digest: str) -> Token | None:
        """Returns the token whose secret has this digest; None for one that is not, or no longer, there."""
        if self._fixed is not None and secrets.compare_digest(digest, self._fixed.digest):
            return self._fixed
        return self._known().get(digest)

    def add(self, name: str, role: str, *, store: str = "") -> tuple[Token, str]:
        """Makes a token, and returns it with its secret, which is not kept. `store`: what the file says it is for."""
        if not _NAME.fullmatch(name) or name in (ENVIRONMENT, ANYONE):
            raise AccessError(
                f"a token's name must be 1 to 64 letters, digits, '.', '_', '-' or '@', and neither {ENVIRONMENT!r} nor "
                f"{ANYONE!r}, but got {shown(name)}; choose another name"
            )
        secret = "hpo_" + secrets.token_urlsafe(32)
        token = Token(name, checked_role(role), digest_of(secret), round(time.time(), 3))
        with self._kept.changing() as value:
            entries = value.setdefault("tokens", [])
            if any(each.name == name for each in _tokens(value, self.path).values()):
                raise AccessError(f"a token's name must be new, but {name!r} is there already; revoke it first")
            if len(entries) >= MOST:
                raise AccessError(f"at most {MOST} tokens may be kept, but there are {len(entries)}; revoke some")
            value.update({"version": 1} | ({"store": store} if store else {}))
            entries.append({"name": name, "role": token.role, "digest": token.digest, "created": token.created})
        return token, secret

    def revoke(self, name: str) -> Token:
        """Deletes a token and returns it. Raises AccessError if there is none of that name."""
        with self._kept.changing() as value:
            known = {token.name: token for token in _tokens(value, self.path).values()}
            if name not in known:
                hint = f"unset {VARIABLE}" if name == ENVIRONMENT else nearest(name, known)
                raise AccessError(f"a token to revoke must be in {self.path}, but {shown(name)} is not; {hint}")
            value["tokens"] = [entry for entry in value["tokens"] if entry["name"] != name]
        return known[name]

    @property
    def store(self) -> str:
        """Returns the store that the file says it is for, or nothing."""
        return str(self._kept.read().get("store", ""))

    def _known(self) -> dict[str, Token]:
        value = self._kept.read()
        if value is not self._of[0]:
            self._of = (value, _tokens(value, self.path))
        return self._of[1]


def _tokens(value: Mapping[str, Any], path: Path) -> dict[str, Token]:
    """Returns the tokens of a file by digest. Raises AccessError for entries of another form."""
    found: dict[str, Token] = {}
    try:
        for entry in value.get("tokens", []):
            token = Token(str(entry["name"]), checked_role(entry["role"]), entry["digest"], float(entry["created"]))
            if not _NAME.fullmatch(token.name) or not _DIGEST.fullmatch(token.digest):
                raise ValueError(token.name)
            found[token.digest] = token
    except (TypeError, ValueError, KeyError, AttributeError, AccessError):
        raise AccessError(
            f"{path} must hold name, role, digest and created of each token, but an entry is otherwise; "
            "mend it, or delete it and add the tokens again"
        ) from None
    return found


def folder(store: str) -> Path:
    """Returns the folder of what a user keeps for the service of a store: outside of it, for its readers may be many."""
    root = expanded(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "hpo-arena" / "service"
    return root / hashlib.sha256(absolute(store).encode()).hexdigest()[:16]


def default_path(store: str) -> Path:
    """Returns the default path of the tokens of a store's service."""
    return folder(store) / "tokens.json"


def known_paths() -> list[Path]:
    """Returns the paths of all files of tokens that lie at their default places."""
    return sorted(folder("").parent.glob("*/tokens.json"))
