"""Where a user's tokens of services lie: a file that only they can read, one line a service. Reads and writes that file."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import httpx

from hpo.client.errors import ServiceError
from hpo.files import expanded, write_private

VARIABLE = "HPO_SERVICE_TOKEN"
FILE = "hpo-arena/service-tokens"  # below XDG_CONFIG_HOME


def path(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the file of tokens: below XDG_CONFIG_HOME, by default ~/.config."""
    return expanded(environment.get("XDG_CONFIG_HOME") or "~/.config") / FILE


def find(url: httpx.URL, environment: Mapping[str, str] = os.environ) -> str | None:
    """Returns the token for a service: that of the environment, else the file's for this address; None without either.

    Raises ServiceError for a file that others can read.
    """
    if secret := environment.get(VARIABLE, "").strip():
        return secret
    return _kept(path(environment)).get(address(url))


def keep(url: httpx.URL, secret: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Writes a service's token into the file, in place of an older one, and returns the file's path."""
    place = path(environment)
    kept = {**_kept(place), address(url): secret}
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(place, "".join(f"{where} {token}\n" for where, token in kept.items()))
    except OSError as error:
        raise ServiceError(f"the file of tokens {place} must be one that can be written, but: {error}") from None
    return place


def address(url: httpx.URL) -> str:
    """Returns the address by which the file knows a service: scheme, host, port and root path."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.path.rstrip('/')}"


def _kept(place: Path) -> dict[str, str]:
    try:
        state = place.stat()
        if stat.S_IMODE(state.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ServiceError(
                f"the file of tokens {place} must be closed to others (mode 0600), but its mode is "
                f"{stat.S_IMODE(state.st_mode):04o}; run chmod 600 {place}"
            )
        lines = place.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"the file of tokens {place} must be readable, but it is not: {error}") from None
    parts = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {words[0]: words[1] for words in parts if len(words) == 2}
