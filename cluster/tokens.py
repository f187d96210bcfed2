"""The cluster's access token: found where Ray looks for it, created readable by its owner alone, never printed.

Without a token anyone who reaches a head's ports can run code there. Ray switches tokens on by itself in some cases
only; this project always sets RAY_AUTH_MODE.
"""

from __future__ import annotations

import argparse
import os
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.addresses import is_loopback
from cluster.errors import ClusterError

TOKEN, TOKEN_PATH, MODE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"
SHORTEST = 16


class TokenError(ClusterError):
    """A token that is missing, unreadable or unsafe."""


@dataclass(frozen=True)
class Token:
    """A secret and its source; prints only the source."""

    secret: str = field(repr=False)
    source: str

    def __str__(self) -> str:
        return f"the token from {self.source}"


def path(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the token file's path: RAY_AUTH_TOKEN_PATH, by default ~/.ray/auth_token."""
    named = environment.get(TOKEN_PATH)
    return Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"


def find(environment: Mapping[str, str] = os.environ) -> Token | None:
    """Returns the token in Ray's order: RAY_AUTH_TOKEN, then the file; None without either.

    Closes a file of ours to other users. Raises TokenError if the file is empty or unreadable.
    """
    found = _find(environment)
    if found is None and environment.get(TOKEN_PATH):
        raise TokenError(f"{TOKEN_PATH} must name a token file, but there is none at {path(environment)}")
    return found


def _find(environment: Mapping[str, str]) -> Token | None:
    if environment.get(TOKEN):
        return Token(environment[TOKEN].strip(), TOKEN)
    place = path(environment)
    try:
        secret = place.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"the token file {place} must be readable, but it is not: {error}") from None
    if not secret:
        raise TokenError(f"the token file {place} must hold a token, but it is empty; delete it to have one created")
    _close_to_others(place)
    return Token(secret, str(place))


def ensure(environment: Mapping[str, str] = os.environ) -> Token:
    """Returns the existing token, or creates one of 256 random bits in a file of mode 0600.

    Two simultaneous callers get the same token: the second finds the first one's file.
    """
    found = _find(environment)
    if found is not None:
        return found
    place = path(environment)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(beside, place)
    except FileExistsError:
        pass
    finally:
        beside.unlink(missing_ok=True)
    token = _find(environment)
    assert token is not None
    return token


def lend() -> Callable[[], None]:
    """Sets the token of a cluster that only this process and its children use, but whose ports others can reach.

    Takes the existing token, or puts a new one into RAY_AUTH_TOKEN. Does nothing if RAY_AUTH_MODE is disabled. Returns a
    function that restores the variables.
    """
    before = {name: os.environ.get(name) for name in (MODE, TOKEN)}
    if (before[MODE] or "").lower() != "disabled":
        if _find(os.environ) is None:
            os.environ[TOKEN] = secrets.token_hex(32)
        os.environ[MODE] = "token"
    _read_again()

    def end() -> None:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        _read_again()

    return end


def say_mode() -> str:
    """Sets RAY_AUTH_MODE for this process and returns it: as it is set, by default `token` if there is a token."""
    mode = os.environ.get(MODE, "").lower() or ("token" if find() else "disabled")
    os.environ[MODE] = mode
    _read_again()  # the variable may have been set since Ray read it
    return mode


def _read_again() -> None:
    """Makes Ray, if it is loaded, read mode and token again: it reads them only once."""
    if "ray" in sys.modules:
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()


def check_exposure(host: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raises TokenError if a dashboard at `host` would let others run code here without a token."""
    if is_loopback(host):
        return
    mode, token = environment.get(MODE, "").lower(), find(environment)
    if mode != "token" or token is None:
        got = f"{MODE} is {mode or 'not set'}" if mode != "token" else "there is no token"
        raise TokenError(
            f"a dashboard at {host} lets anyone who reaches it run code, so {MODE}=token and a token must be set, but "
            f"{got}; keep it on 127.0.0.1 behind an SSH tunnel, or run python -m cluster.tokens and set {MODE}=token"
        )
    if len(token.secret) < SHORTEST:
        raise TokenError(
            f"{token} must have at least {SHORTEST} characters for a dashboard at {host}, but it has {len(token.secret)}"
        )


def _close_to_others(place: Path) -> None:
    """Closes a token file of ours to others; a mounted secret of another user keeps its mode."""
    state = place.stat()
    if state.st_uid == os.getuid() and state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        try:
            place.chmod(0o600)
        except OSError as error:
            raise TokenError(
                f"the token file {place} must be closed to others (mode 0600), but chmod failed: {error}"
            ) from None


def main(arguments: list[str] | None = None) -> int:
    """Creates a token if there is none and prints its source. Refuses an unsafe --dashboard-host with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m cluster.tokens", description=main.__doc__)
    parser.add_argument("--dashboard-host", default="127.0.0.1", help="address that the dashboard will listen on")
    options = parser.parse_args(arguments)
    try:
        if os.environ.get(MODE, "").lower() != "disabled":
            print(ensure().source)
        check_exposure(options.dashboard_host)
    except TokenError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
