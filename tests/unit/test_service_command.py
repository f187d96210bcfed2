"""`hpo serve` and `hpo token` as a user runs them: processes of their own, real signals, real files."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpo.cli.app import main
from hpo.cli.serve import _checked_root
from hpo.errors import HpoError
from hpo.service.access.tokens import default_path
from tests.entrance import ask


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's folders, and a store."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HPO_SERVE_TOKEN", raising=False)
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def hpo_serve(*options: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Runs `hpo serve` and yields the process, its port, and what it said until it named the port and what follows."""
    command = [sys.executable, "-m", "hpo.cli", "serve", "results", "--port", "0", *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        port = re.search(r":(\d+)\S* \(Ctrl-C", said)
        assert port is not None, said + process.stderr.read()
        if "--no-token" in options or not default_path("results").with_name("first-token").exists():
            yield process, int(port[1]), said
        else:
            yield process, int(port[1]), said + process.stderr.readline()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def hpo(capsys, *arguments: str) -> tuple[int, str, str]:
    """Runs a command in this process, and returns its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def waited(port: int, path: str, **more: str) -> int:
    deadline = time.monotonic() + 20
    while True:
        try:
            return ask(port, path, **more)[0]
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise


def test_a_service_makes_its_first_token_and_keeps_sessions_over_a_restart(home, capsys):
    with hpo_serve() as (process, port, said):
        link = re.search(rf"log in: http://127\.0\.0\.1:{port}(/login\?token=(\S+))", said)
        assert link is not None, said
        status, headers, _ = ask(port, link[1])
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"].split(";")[0]
        assert ask(port, "/api/v1/me", Cookie=cookie)[0] == 200
        assert ask(port, "/api/v1/me", token=link[2])[0] == 200

        code, out, err = hpo(capsys, "token", "add", "bob", "--role", "run")  # the only store with tokens
        assert (code, len(out.split())) == (0, 1)
        assert "bob may run" in err
        deadline = time.monotonic() + 10
        while ask(port, "/api/v1/me", token=out.strip())[0] != 200:
            assert time.monotonic() < deadline  # a running service takes it
        names = [line.split("\t")[:2] for line in hpo(capsys, "token", "list", "--store", "results")[1].splitlines()]
        assert ["bob", "run"] in names
        assert len(names) == 2

        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/api/v1/events", headers={"Cookie": cookie})
        stream = connection.getresponse()
        assert stream.status == 200
        process.send_signal(signal.SIGTERM)
        stream.read()  # its end
        connection.close()
        assert process.wait(20) == -signal.SIGTERM

    with hpo_serve() as (process, again, said):
        assert link[2] in said  # the same link
        renamed = cookie.replace(str(port), str(again))
        assert ask(again, "/api/v1/me", Cookie=renamed)[0] == 200
        assert hpo(capsys, "token", "revoke", "bob", "--store", "results")[0] == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_without_a_token_this_machine_alone_is_answered(home):
    with hpo_serve("--no-token", "--root-path", "/hpo/") as (_, port, said):
        assert f"http://127.0.0.1:{port}/hpo " in said
        assert json.loads(ask(port, "/hpo/api/v1/me")[2])["name"] == "anyone"
        assert ask(port, "/api/v1/me", Host="evil.example")[0] == 421
    assert not default_path("results").exists()


def test_a_service_that_cannot_start_says_why_in_a_sentence_and_leaves_nothing(home, capsys):
    for options, says in (
        (["results", "--host", "0.0.0.0"], "there must be a token, but there is none"),
        (["results", "--tls-cert", "none.pem"], "--tls-cert must be a file that can be read"),
        (["results", "--root-path", "hpo"], "--root-path must be a path such as /hpo"),
        (["results", "--address", "nowhere"], "http://HOST:8265"),
        (["s3://"], "name the bucket"),
    ):
        code, out, err = hpo(capsys, "serve", *options, "--port", "0")
        assert (code, out) == (2, ""), options
        assert says in err, err
        assert "Traceback" not in err
    assert not (home / "cache").exists()


def test_commands_on_tokens_need_to_know_which_service_is_meant(home, capsys):
    assert "--store must name the store that is served" in hpo(capsys, "token", "add", "alice")[2]
    assert hpo(capsys, "token", "add", "alice", "--store", "results", "--role", "admin")[0] == 0
    assert hpo(capsys, "token", "add", "alice", "--store", "s3://bucket/results")[0] == 0
    code, _, err = hpo(capsys, "token", "list")
    assert code == 2
    assert str(home / "results") in err
    assert "s3://bucket/results" in err
    file = home / "elsewhere.json"
    code, secret, _ = hpo(capsys, "token", "add", "carol", "--tokens", str(file))
    assert code == 0
    assert secret.strip() not in file.read_text()
    assert "carol\tview" in hpo(capsys, "token", "list", "--tokens", str(file))[1]
    assert "did you mean 'carol'" in hpo(capsys, "token", "revoke", "carl", "--tokens", str(file))[2]
    assert hpo(capsys, "token", "add", "carol", "--role", "root", "--tokens", str(file))[0] == 2


@pytest.mark.parametrize(
    "path", ["hpo", "//evil.example", "/a?b", "/a b", '/"><script>', "/a/../b", "/\N{SNOWMAN}", "/%2e"]
)
def test_impossible_root_paths_are_refused(path):
    with pytest.raises(HpoError, match="--root-path must be a path such as /hpo"):
        _checked_root(path)


def test_root_paths_lose_their_last_slash():
    assert [_checked_root(path) for path in ("", "/", "/hpo", "/a/b-c_d/")] == ["", "", "/hpo", "/a/b-c_d"]


def test_a_store_that_is_not_there_yet_is_served_and_told(home):
    (home / "results").rmdir()
    with hpo_serve("--no-token") as (process, port, _):
        assert process.stderr is not None
        assert "every user of this machine" in process.stderr.readline()
        assert process.stderr.readline().startswith("note: there is no results yet")
        assert ask(port, "/api/v1/studies")[0] == 200
