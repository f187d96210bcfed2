"""The file of tokens: digests with roles, for its owner alone, shared by processes, outside of every store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.service.access import AccessError, Tokens
from hpo.service.access.tokens import default_path
from tests.entrance import ask, context, entry, served


def test_a_token_is_kept_as_a_digest_in_a_file_for_its_owner(tmp_path):
    tokens = Tokens(tmp_path / "deep" / "tokens.json")
    token, secret = tokens.add("alice", "run", store="results")
    text = tokens.path.read_text()
    assert secret not in text
    assert json.loads(text)["tokens"] == [
        {"name": "alice", "role": "run", "digest": token.digest, "created": token.created}
    ]
    assert tokens.path.stat().st_mode & 0o777 == 0o600
    assert tokens.path.parent.stat().st_mode & 0o777 == 0o700
    assert Tokens(tokens.path).find(secret) == token
    assert Tokens(tokens.path).find(secret + "x") is None
    tokens.revoke("alice")
    assert Tokens(tokens.path).find(secret) is None


@pytest.mark.parametrize(
    ("name", "role", "says"),
    [
        ("", "view", "letters"),
        ("a/b", "view", "letters"),
        ("x" * 65, "view", "64"),
        ("environment", "view", "choose another"),
        ("<b>", "view", "letters"),
        ("bob", "runn", "did you mean 'run'"),
    ],
)
def test_impossible_names_and_roles_are_refused(tmp_path, name, role, says):
    tokens = Tokens(tmp_path / "tokens.json")
    with pytest.raises(AccessError, match=says):
        tokens.add(name, role)
    assert not tokens.path.exists() or json.loads(tokens.path.read_text())["tokens"] == []


def test_a_name_is_taken_once_and_an_unknown_one_is_not_revoked(tmp_path):
    tokens = Tokens(tmp_path / "tokens.json")
    tokens.add("alice", "view")
    with pytest.raises(AccessError, match="'alice' is there already"):
        tokens.add("alice", "admin")
    with pytest.raises(AccessError, match="did you mean 'alice'"):
        tokens.revoke("alise")


def test_a_file_that_others_may_write_lets_nobody_in(tmp_path):
    path = tmp_path / "tokens.json"
    _, secret = Tokens(path).add("alice", "view")
    path.chmod(0o644)
    assert Tokens(path).find(secret)
    assert path.stat().st_mode & 0o777 == 0o600  # closed again
    path.chmod(0o620)
    with pytest.raises(AccessError, match="mode is 0620"):
        Tokens(path).find(secret)


@pytest.mark.parametrize(
    "content",
    [
        '{"tokens": [{"name": "al',
        "[]",
        '{"tokens": [{"name": "a", "role": "root", "digest": "%s", "created": 0}]}' % ("0" * 64),
        '{"tokens": [{"name": "a", "role": "view", "digest": "0", "created": 0}]}',
        '{"tokens": 3}',
        '{"tokens": [3]}',
        "\x00\xff",
        "[" * 100_000,
    ],
)
def test_a_half_written_or_foreign_file_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "tokens.json"
    path.write_text(content, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(AccessError, match=r"tokens\.json must hold"):
        Tokens(path).find("anything")
    with pytest.raises(AccessError):
        Tokens(path).add("alice", "view")


def test_two_processes_that_write_at_once_lose_no_token(tmp_path):
    path = tmp_path / "tokens.json"
    code = (
        "import sys; from pathlib import Path; from hpo.service.access.tokens import Tokens\n"
        "for i in range(8): Tokens(Path(sys.argv[1])).add(f'{sys.argv[2]}-{i}', 'view')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("a", "b")]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(len(Tokens(path).all()))  # never half of it
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(Tokens(path).all()) == 16
    assert seen


def test_the_default_file_lies_outside_of_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = default_path(str(tmp_path / "results"))
    assert path.is_relative_to(tmp_path / "config" / "hpo-arena" / "service")
    assert path == default_path(str(tmp_path / "other" / ".." / "results"))
    assert path != default_path("s3://bucket/results")


def test_an_unreadable_file_of_tokens_shuts_the_service_with_503(tmp_path):
    (tmp_path / "results").mkdir()
    access = entry(tmp_path)
    with served(context(tmp_path, access)) as port:
        _, secret = access.tokens.add("alice", "view")
        assert ask(port, "/api/v1/me", token=secret)[0] == 200
        access.tokens.path.write_text('{"tokens": [')
        status, headers, body = ask(port, "/api/v1/me", token=secret)
        assert (status, headers["retry-after"]) == (503, "5")
        assert "must hold JSON" in json.loads(body)["detail"]
        assert ask(port, "/api/v1/health")[0] == 200


def test_files_of_tokens_are_never_those_of_a_store(tmp_path):
    """Whoever may read or write results must not let themselves in."""
    path = Path(default_path(str(tmp_path)))
    assert not path.is_relative_to(tmp_path)
    assert os.path.expanduser("~") in str(path) or os.environ.get("XDG_CONFIG_HOME", "\0") in str(path)
