"""Tokens: closed to others, the same for all callers, never printed; dashboards that need one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster import tokens
from cluster.tokens import MODE, TOKEN, TOKEN_PATH, Token, TokenError, check_exposure, ensure, find


def at(path: Path, **more: str) -> dict[str, str]:
    return {TOKEN_PATH: str(path), **more}


def test_created_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        token = ensure(at(tmp_path / "deep" / "token"))
    finally:
        os.umask(before)
    place = tmp_path / "deep" / "token"
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert len(token.secret) == 64
    assert ensure(at(place)).secret == token.secret
    assert [p.name for p in place.parent.iterdir()] == ["token"]


def test_simultaneous_callers_get_the_same_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: ensure(at(tmp_path / "token")).secret, range(16)))
    assert len(secrets) == 1


def test_the_variable_wins_and_an_open_file_is_closed(tmp_path: Path) -> None:
    place = tmp_path / "token"
    place.write_text("from-the-file\n")
    place.chmod(0o644)
    found = find(at(place))
    assert found == Token("from-the-file", str(place))
    assert place.stat().st_mode & 0o777 == 0o600
    assert find(at(place, **{TOKEN: "said"})) == Token("said", TOKEN)


def test_missing_empty_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find({}) is None
    with pytest.raises(TokenError, match="must name a token file, but there is none"):
        find(at(tmp_path / "none"))
    (tmp_path / "empty").write_text(" \n")
    for act in (find, ensure):
        with pytest.raises(TokenError, match="must hold a token, but it is empty"):
            act(at(tmp_path / "empty"))
    with pytest.raises(TokenError, match="must be readable"):
        find(at(tmp_path))


def test_a_secret_is_never_printed() -> None:
    token = Token("very-secret", "somewhere")
    assert "very-secret" not in f"{token} {token!r}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_token(host: str) -> None:
    check_exposure(host, {MODE: "disabled"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.3", "head.example.org"])
def test_beyond_loopback_needs_one(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(TokenError, match=f"a dashboard at .* {MODE} is disabled"):
        check_exposure(host, {MODE: "disabled", TOKEN: "x" * 64})
    with pytest.raises(TokenError, match=f"{MODE} is not set"):
        check_exposure(host, {TOKEN: "x" * 64})
    with pytest.raises(TokenError, match="there is no token"):
        check_exposure(host, {MODE: "token"})
    with pytest.raises(TokenError, match="at least 16 characters"):
        check_exposure(host, {MODE: "token", TOKEN: "x" * 15})
    check_exposure(host, {MODE: "token", TOKEN: "x" * 16})


def test_the_mode_is_always_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(MODE, "unset below")
    for name in (TOKEN, TOKEN_PATH):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(MODE)
    assert tokens.say_mode() == os.environ[MODE] == "disabled"
    monkeypatch.delenv(MODE)
    ensure()
    assert tokens.say_mode() == os.environ[MODE] == "token"
    monkeypatch.setenv(MODE, "disabled")
    assert tokens.say_mode() == "disabled"


def test_ray_reads_the_mode_as_it_is_when_a_connection_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray reads the variable once; a process that had a cluster with a token may join one without."""
    import ray  # noqa: F401
    from ray._raylet import AuthenticationMode, get_authentication_mode  # type: ignore[attr-defined]

    monkeypatch.delenv(MODE, raising=False)
    monkeypatch.setenv(TOKEN, "f" * 64)
    for mode, read in (("token", AuthenticationMode.TOKEN), ("disabled", AuthenticationMode.DISABLED)):
        monkeypatch.setenv(MODE, mode)
        assert tokens.say_mode() == mode
        assert get_authentication_mode() == read


def test_a_lent_token_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (MODE, TOKEN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(TOKEN_PATH, str(tmp_path / "token"))
    end = tokens.lend()
    assert (os.environ[MODE], len(os.environ[TOKEN])) == ("token", 64)
    end()
    assert not {MODE, TOKEN} & set(os.environ)
    ensure()
    end = tokens.lend()
    assert (os.environ[MODE], TOKEN in os.environ) == ("token", False)
    end()
    monkeypatch.setenv(MODE, "disabled")
    tokens.lend()
    assert (os.environ[MODE], TOKEN in os.environ) == ("disabled", False)


def test_the_command_prints_the_source_not_the_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cluster.tokens", "--dashboard-host", "0.0.0.0"]
    variables = {**os.environ, TOKEN_PATH: str(tmp_path / "t"), MODE: "token"}
    good = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout) == (0, f"{tmp_path / 't'}\n")
    assert (tmp_path / "t").read_text() not in good.stdout + good.stderr
    bad = subprocess.run(command, env=variables | {MODE: "disabled"}, capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stderr.startswith("cluster: a dashboard at 0.0.0.0 lets anyone who reaches it run code")
