"""The service's sockets: slow clients, floods of headers, bodies, connections, TLS, proxies. Real sockets, real servers."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import s3_servers
import stores
from fastapi.testclient import TestClient

from hpo.service import connections, threads
from hpo.service.access import AccessError, AddressTaken, Tokens, UnsafeAddress
from hpo.service.access.addresses import listen
from hpo.service.access.bodies import FRAME_BYTES, TEXT_BYTES, Bodies
from hpo.service.connections import Limits
from hpo.service.context import Settings
from hpo.service.on_ray import Arguments
from hpo.service.on_ray import application as on_ray
from hpo.service.server import CertificateError, Listening, first_secret, serve, tls_context
from hpo.store import StoreError
from tests import serving
from tests.entrance import SECRET, app_of, ask, context, entry, log_in, raw, served

QUICK = {"header_seconds": 0.4, "idle_seconds": 0.3, "stuck_seconds": 0.5}
HEAD = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("service")
    (made / "results").mkdir()
    return made


@pytest.fixture(scope="module")
def port(folder):
    with served(context(folder, entry(folder), upload_bytes=2**20), Limits(**QUICK)) as number:
        yield number


# -- slow clients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        [],  # says nothing
        [b"G"],
        [HEAD],  # never ends its headers
        [b"GET / HTTP/1.1\r\n"] + [b"X-%d: y\r\n" % i for i in range(50)],  # a header every now and then
        [HEAD + b"\r\n", b"G"],  # one request, and a bit of the next
        [b"POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"]
        + [b"x"] * 50,  # refused: 401
    ],
)
def test_a_client_that_keeps_the_service_waiting_is_left(port, parts):
    told = raw(port, *parts, pause=0.05)  # returns once the other side has closed, before its own 10 s
    assert told.count(b"HTTP/1.1") <= 1


def test_slow_clients_keep_nobody_else_waiting(port):
    with ExitStack() as held:
        for _ in range(100):
            held.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(b"GET / HTTP/1.1\r\nX: ")
        assert ask(port, "/api/v1/health")[0] == 200


def test_an_idle_connection_is_closed_and_a_used_one_is_kept(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    with connection.sock as client:
        for _ in range(4):
            connection.request("GET", "/api/v1/health")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            time.sleep(0.15)  # in all longer than a request's headers may take
        assert connection.sock is client
        assert client.recv(1) == b""


def test_a_client_that_reads_nothing_is_left(port):
    request = f"GET /api/v1/ticking HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        page = (
            f"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode()
        )
        with pytest.raises(ConnectionError):  # noqa: PT012
            for _ in range(400):  # asks for much, and takes nothing of it
                client.sendall(page * 20)
                time.sleep(0.02)
    assert raw(port, request.replace(b"ticking", b"me").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


def test_a_slow_body_is_answered_with_408():
    """A minute's worth of a body is cut short: the guard alone, with a client's bytes as they would arrive."""
    sent = []

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    async def receive():
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x" * 50, "more_body": True}

    async def send(message):
        sent.append(message)

    guard = Bodies(app, upload_bytes=1000, seconds=0.3)
    asyncio.run(guard({"type": "http", "headers": []}, receive, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["detail"].startswith("a body must arrive with 2,000 bytes a second")


# -- floods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flood",
    [
        HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: y\r\n" % i for i in range(20_000)) + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,  # TLS to a port without
        b"\x00" * 100_000,
        HEAD + b"Host: evil\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"X: a\r\n b\x00\r\n\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
)
def test_floods_and_malformed_requests_are_refused_and_the_service_lives_on(port, flood):
    answer = raw(port, flood)
    assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")), answer[:200]
    assert b"Traceback" not in answer
    assert ask(port, "/api/v1/health")[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("size", "media", "status"),
    [
        (TEXT_BYTES, "text/plain", 200),
        (TEXT_BYTES + 1, "text/plain", 413),
        (TEXT_BYTES + 1, "application/json", 413),
        (2**20 + FRAME_BYTES, "multipart/form-data; boundary=x", 200),
        (2**20 + FRAME_BYTES + 1, "multipart/form-data; boundary=x", 413),
    ],
)
def test_a_body_has_its_limit_whether_it_says_its_size_or_not(port, size, media, status, chunked):
    body = iter([b"x" * (size // 2), b"x" * (size - size // 2)]) if chunked else b"x" * size
    try:
        answer = ask(port, "/api/v1/echo", "POST", token=SECRET, Content_Type=media, body=body)
    except ConnectionError:  # the service did not wait for the rest
        assert status == 413
        return
    assert answer[0] == status
    if status == 413:
        assert "at most" in json.loads(answer[2])["detail"]
    else:
        assert json.loads(answer[2])["bytes"] == size


def test_bodies_of_strangers_are_not_read(port):
    head = b"POST /api/v1/studies HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 900000000\r\n\r\n"
    assert raw(port, head).startswith(b"HTTP/1.1 401")


def test_connections_of_one_address_are_limited_and_given_back():
    limits = Limits(most=5, most_a_source=2, proxies=("10.9.9.9",))
    assert [limits.enter("10.0.0.1") for _ in range(3)] == [True, True, False]
    assert [limits.enter(source) for source in ("10.9.9.9", "10.9.9.9", "10.9.9.9", "10.0.0.2")] == [True] * 3 + [False]
    limits.leave("10.0.0.1")
    assert limits.enter("10.0.0.2")
    assert not limits.enter("127.0.0.1")


def test_one_connection_too_many_is_told_so(folder):
    with served(context(folder, entry(folder)), Limits(most=3)) as port, ExitStack() as held:
        for _ in range(3):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(HEAD + b"\r\n")
            client.recv(100)
        answer = raw(port, HEAD + b"\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 5" in head
        assert int(head.split(b"Content-Length: ")[1]) == len(body)
        held.close()
        deadline = time.monotonic() + 10
        while ask(port, "/api/v1/health")[0] != 200:
            assert time.monotonic() < deadline


# -- the end ----------------------------------------------------------------------------------------------------------


def test_who_waits_for_an_answer_when_the_service_ends_is_told_so(folder, monkeypatch):
    monkeypatch.setattr(connections, "END_SECONDS", 0.1)
    made, began = context(folder, entry(folder)), threading.Event()
    app = app_of(made)

    @app.get("/api/v1/waiting")
    async def waiting():
        began.set()
        await asyncio.sleep(60)

    with ThreadPoolExecutor(1) as asked:
        with serving.serving(made, app) as port:
            answer = asked.submit(ask, port, "/api/v1/waiting", token=SECRET)
            assert began.wait(20)
        status, headers, body = answer.result(20)
    assert (status, headers["retry-after"], "ends" in body) == (503, "5", True)


def test_a_process_ends_although_a_silent_cluster_or_store_was_asked():
    code = (
        "import threading; from hpo.service.threads import Unawaited; began = threading.Event(); "
        "asked = Unawaited(1, 'asked'); asked.submit(lambda: began.set() or threading.Event().wait()); began.wait()"
    )
    where = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=where, timeout=20, check=False).returncode == 0


# -- TLS, proxies -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate and a key, made on the spot."""
    made = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", made / "key.pem", "-out", made / "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made / "cert.pem", made / "key.pem"


def test_tls_with_a_secure_cookie_and_no_time_for_slow_handshakes(folder, certificate):
    cert, key = certificate
    trusting = ssl.create_default_context(cafile=str(cert))
    tls = tls_context(Listening(certificate=cert, key=key))
    with served(context(folder, entry(folder)), Limits(**QUICK), tls) as port:
        form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": f"https://localhost:{port}"}
        status, headers, _ = ask(port, "/login", "POST", body=f"token={SECRET}", host="localhost", tls=trusting, **form)
        assert status == 303
        assert "; Secure" in headers["set-cookie"]
        cookie = headers["set-cookie"].split(";")[0]
        assert ask(port, "/api/v1/me", host="localhost", tls=trusting, Cookie=cookie)[0] == 200
        assert raw(port) == b""  # says nothing, and is left after the time for headers
        assert b"HTTP" not in raw(port, HEAD + b"\r\n")  # plain HTTP
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(cert)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            ask(port, "/api/v1/health", host="localhost", tls=old)


def test_impossible_certificates_are_refused_in_a_sentence(tmp_path, certificate):
    cert, key = certificate
    (tmp_path / "no.pem").write_text("no certificate")
    for listening, says in (
        (Listening(certificate=tmp_path / "none.pem"), "--tls-cert must be a file that can be read"),
        (Listening(certificate=cert, key=tmp_path / "none.pem"), "--tls-key must be a file that can be read"),
        (Listening(certificate=tmp_path / "no.pem"), "must be a certificate and its key in PEM"),
        (Listening(certificate=cert), "and the same file are not"),
        (Listening(certificate=cert, key=tmp_path / "no.pem"), "in PEM"),
    ):
        with pytest.raises(CertificateError, match=says):
            tls_context(listening)
    locked = tmp_path / "locked.pem"
    subprocess.run(["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", key, "-out", locked], check=True,
                   capture_output=True)  # fmt: skip
    with pytest.raises(CertificateError, match="the key is encrypted"):
        tls_context(Listening(certificate=cert, key=locked))
    with pytest.raises(CertificateError, match="--tls-key needs --tls-cert"):
        serve(Settings(str(tmp_path), tmp_path / "cache"), Listening(key=key))


@pytest.mark.parametrize("kept", [True, False])
def test_behind_a_proxy_at_a_path(folder, kept):
    """A proxy may leave the path on its requests or take it off; it says over which scheme and from where they came."""
    from hpo.service.access import Names

    access = entry(folder, names=Names(("hpo.example.org",)))
    made = context(folder, access, root_path="/team/hpo")
    below = "/team/hpo" if kept else ""
    forwarded = {"Host": "hpo.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    with served(made, Limits(proxies=("127.0.0.1",))) as port:
        assert ask(port, f"{below}/studies/x", **forwarded)[1]["location"] == "/team/hpo/login?next=%2Fstudies%2Fx"
        page = ask(port, f"{below}/login", **forwarded)
        assert page[0] == 200
        assert 'action="/team/hpo/login"' in page[2]
        status, headers, _ = ask(
            port, f"{below}/login", "POST", body=f"token={SECRET}&next=/compare", Origin="https://hpo.example.org",
            Content_Type="application/x-www-form-urlencoded", **forwarded,
        )  # fmt: skip
        assert (status, headers["location"]) == (303, "/team/hpo/compare")
        assert "; Path=/team/hpo" in headers["set-cookie"]
        assert "; Secure" in headers["set-cookie"]
        cookie = headers["set-cookie"].split(";")[0]
        assert ask(port, f"{below}/api/v1/me", Cookie=cookie, **forwarded)[0] == 200
        assert json.loads(ask(port, f"{below}/api/v1/echo", token=SECRET, **forwarded)[2])["client"] == "203.0.113.7"
        assert ask(port, f"{below}/", Cookie=cookie, **forwarded)[0] == 200
        assert ask(port, f"{below}/api/v1/me", **forwarded)[0] == 401
        assert ask(port, "/team/hpoapi/v1/me", **forwarded)[0] in (303, 401)
    with served(
        context(folder, access, root_path="/team/hpo")
    ) as port:  # nobody is believed whom the service was not told of
        answer = ask(
            port, f"{below}/login", "POST", body=f"token={SECRET}", Origin="https://hpo.example.org",
            Content_Type="application/x-www-form-urlencoded", **forwarded,
        )  # fmt: skip
        assert "Secure" not in answer[1]["set-cookie"]
        assert json.loads(ask(port, f"{below}/api/v1/echo", token=SECRET, **forwarded)[2])["client"] == "127.0.0.1"
        assert log_in(port, SECRET)


# -- a store that is away ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_who_finds_the_store_away_can_log_in_and_is_told(tmp_path, monkeypatch):
    with ExitStack() as running:
        with s3_servers.moto(tmp_path) as s3:
            uri = stores.bucket(s3, tmp_path, monkeypatch)
            made = serving.context(uri, tmp_path / "cache", access=entry(tmp_path))
            port = running.enter_context(served(made))
            assert ask(port, "/api/v1/health/ready")[0] == 200
            assert ask(port, "/api/v1/tokens", "POST", body={"name": "alice"}, token=SECRET)[0] == 201
        deadline = time.monotonic() + 20
        while (answer := ask(port, "/api/v1/health/ready"))[0] == 200:  # what was listed a moment ago still holds
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (answer[0], answer[1]["retry-after"]) == (503, "5")
        assert uri not in answer[2]  # probes ask without a token
        assert ask(port, "/api/v1/health")[0] == 200
        cookie = log_in(port, SECRET)
        status, headers, body = ask(port, "/api/v1/tokens", "POST", body={"name": "bob"}, token=SECRET)
        assert (status, headers["retry-after"]) == (503, "5")  # what cannot be recorded is not done
        assert "must answer" in json.loads(body)["detail"]
        names = [token["name"] for token in json.loads(ask(port, "/api/v1/tokens", Cookie=cookie)[2])["tokens"]]
        assert names == ["environment", "alice"]


# -- under Ray Serve --------------------------------------------------------------------------------------------------


def test_a_replica_is_prepared_for_many_readers_as_a_server_is(tmp_path):
    (tmp_path / "results").mkdir()
    words = {
        "store": str(tmp_path / "results"),
        "tokens": str(tmp_path / "tokens.json"),
        "cache": str(tmp_path / "cache"),
    }
    with pytest.raises(UnsafeAddress, match="there must be a token"):
        on_ray(Arguments(**words))
    _, secret = Tokens(tmp_path / "tokens.json").add("anna", "view")
    before = sys.getswitchinterval()
    try:
        with TestClient(on_ray(Arguments(**words, public_name="lab")), base_url="http://lab") as client:
            assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).json()["name"] == "anna"
        assert sys.getswitchinterval() == pytest.approx(threads.SWITCH_SECONDS)
    finally:
        sys.setswitchinterval(before)
        deadline = time.monotonic() + 20
        while not gc.get_freeze_count() and time.monotonic() < deadline:
            time.sleep(0.01)
        gc.unfreeze()


# -- what is refused before anything is served ------------------------------------------------------------------------


def test_a_reachable_address_needs_a_token(tmp_path, monkeypatch):
    monkeypatch.delenv("HPO_SERVE_TOKEN", raising=False)
    settings, tokens = Settings(str(tmp_path), tmp_path / "cache"), tmp_path / "tokens.json"
    with pytest.raises(
        UnsafeAddress, match=r"--host 0\.0\.0\.0, so there must be a token, but there is none; `hpo token"
    ):
        serve(settings, Listening("0.0.0.0", tokens=tokens))
    with pytest.raises(UnsafeAddress, match="--no-token asks for none"):
        serve(settings, Listening("0.0.0.0", open=True))
    monkeypatch.setenv("HPO_SERVE_TOKEN", "short")
    with pytest.raises(AccessError, match="at least 16 characters, but got 5"):
        serve(settings, Listening(tokens=tokens))


def test_a_store_that_can_never_be_read_and_a_taken_port_are_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("HPO_SERVE_TOKEN", raising=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        serve(Settings(str(tmp_path / "file"), tmp_path / "cache"), Listening(tokens=tmp_path / "tokens.json"))
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(AddressTaken, match=f"listen at 127.0.0.1 port {port}, but got: .*; choose another --port"):
            listen("127.0.0.1", port)
    with pytest.raises(AddressTaken, match="0 <= port <= 65535 must hold, but got 70000"):
        listen("127.0.0.1", 70000)


def test_the_first_token_is_made_once_and_left_to_the_user(tmp_path):
    tokens = Tokens(tmp_path / "tokens.json", seconds=0)
    secret, path = first_secret(tokens, "results")
    assert path.stat().st_mode & 0o777 == 0o600
    assert tokens.find(secret).role == "admin"
    assert first_secret(tokens, "results") == (secret, path)  # the next start prints the same link
    tokens.add("alice", "view")
    assert first_secret(tokens, "results") == (secret, path)
    tokens.revoke(tokens.find(secret).name)
    assert first_secret(tokens, "results") is None  # the user's own tokens are enough
    tokens.revoke("alice")
    assert first_secret(tokens, "results")[0] != secret
