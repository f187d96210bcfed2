"""Who may use the service: sessions, the gate, cross-origin requests, roles, over real HTTP."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from fastapi.routing import iter_route_contexts

from hpo.service.access import Access, Names, Sessions, Tokens, bodies
from hpo.service.access.attempts import WINDOW_SECONDS, WRONG, Attempts
from hpo.service.access.sessions import OF_ONE
from hpo.service.access.streams import Streams
from hpo.service.routes.login import local_path
from tests.entrance import LARGE, SECRET, app_of, ask, context, entry, log_in, served

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("service")
    (made / "results").mkdir()
    return made


@pytest.fixture(scope="module")
def access(folder):
    return entry(folder, streams=Streams(0.1))


@pytest.fixture(scope="module")
def port(folder, access):
    with served(context(folder, access)) as number:
        yield number


@pytest.fixture(scope="module")
def secrets(access):
    """A secret of each role."""
    return {role: access.tokens.add(f"a-{role}", role)[1] for role in ("view", "run", "admin")}


# -- the gate ---------------------------------------------------------------------------------------------------------


def test_nothing_is_answered_without_a_token_but_the_way_in_and_the_probes(port):
    for path in ("/", "/studies/x", "/nowhere", "/compare"):
        status, headers, body = ask(port, path)
        assert (status, body) == (303, "")
        assert headers["location"].startswith("/login")
    for path in (
        "/api/v1/studies",
        "/api/v1/me",
        "/api/v1/tokens",
        "/api/v1/openapi.json",
        "/api/v1/nowhere",
        "/api/x",
    ):
        status, headers, body = ask(port, path)
        assert (status, headers["content-type"]) == (401, "application/problem+json")
        assert headers["www-authenticate"] == "Bearer"
        assert json.loads(body)["status"] == 401
    for path in ("/login", "/api/v1/health", "/api/v1/health/ready"):
        assert ask(port, path)[0] == 200
    assert ask(port, "/api/v1/studies", Accept="text/html")[0] == 303  # a reader who follows a link
    assert ask(port, "/api/v1/me", token="wrong")[0] == 401
    assert ask(port, "/api/v1/me", token=SECRET)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../api/v1/tokens",
        "/assets/..%2fapi/v1/tokens",
        "/assets/%2e%2e/%2e%2e/tokens.json",
        "//api/v1/tokens",
        "/login/../api/v1/tokens",
        "/api/v1/health/../tokens",
        "/login%2f..%2fapi%2fv1%2ftokens",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/%00",
        "/\\..\\tokens.json",
    ],
)
def test_no_path_leads_around_the_gate(port, path):
    status, _, body = ask(port, path)
    assert status in (303, 401, 404), path
    assert "digest" not in body
    assert "root:" not in body


def test_a_reader_comes_back_to_the_page_that_was_asked_for(port):
    assert (
        ask(port, "/studies/a%20b?x=1&y=%2F")[1]["location"] == "/login?next=%2Fstudies%2Fa%2520b%3Fx%3D1%26y%3D%252F"
    )
    status, headers, _ = ask(
        port,
        "/login",
        "POST",
        body=f"token={SECRET}&next=%2Fstudies%2Fa%2520b%3Fx%3D1",
        Sec_Fetch_Site="same-origin",
        **FORM,
    )
    assert (status, headers["location"]) == (303, "/studies/a%20b?x=1")


@pytest.mark.parametrize(
    "there",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "/\t/evil.example",
     "evil", "", "/login", "http:/evil", "/\n//evil", "///evil.example"],
)  # fmt: skip
def test_the_way_on_stays_here(there):
    assert local_path(there) == "/"


def test_the_link_of_the_start_logs_in_and_leaves_the_address(port):
    status, headers, _ = ask(port, f"/login?token={SECRET}&next=/compare")
    assert (status, headers["location"]) == (303, "/compare")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=lax" in headers["set-cookie"]
    assert "Secure" not in headers["set-cookie"]
    assert SECRET not in headers["set-cookie"]


def test_a_wrong_token_at_the_page_is_told_in_a_sentence(port):
    status, headers, body = ask(
        port, "/login", "POST", body="token=%3Cscript%3E&next=/", Sec_Fetch_Site="same-origin", **FORM
    )
    assert (status, headers["set-cookie"]) == (401, None)
    assert "this is no token of this service" in body
    assert "<script>" not in body.replace('<script type="module"', "")


@pytest.mark.parametrize("form", [b"token=\xff\xfe", b"&" * 50, b"token", b"", b"token=" + b"x" * 9000, b"a=1&" * 50])
def test_malformed_log_in_forms_are_refused(port, form):
    status, _, body = ask(port, "/login", "POST", body=form, Sec_Fetch_Site="same-origin", **FORM)
    assert status in (400, 401, 413)
    assert "Traceback" not in body
    assert ask(port, "/login", "POST", body=b"{}", Content_Type="application/json", Sec_Fetch_Site="none")[0] == 415


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_begins_and_ends_and_outlives_a_restart(tmp_path):
    (tmp_path / "results").mkdir()
    access = entry(tmp_path)
    _, secret = access.tokens.add("alice", "run")
    with served(context(tmp_path, access)) as port:
        cookie = log_in(port, secret).split("=", 1)[1]
        name = f"hpo_session_{port}"
        me = json.loads(ask(port, "/api/v1/me", Cookie=f"{name}={cookie}")[2])
        assert (me["name"], me["role"], me["can"], me["session"]) == ("alice", "run", ["view", "run"], True)
        assert cookie not in (tmp_path / "sessions.json").read_text()
        assert (tmp_path / "sessions.json").stat().st_mode & 0o777 == 0o600
    with served(context(tmp_path, entry(tmp_path))) as port:
        name = f"hpo_session_{port}"
        assert ask(port, "/api/v1/me", Cookie=f"{name}={cookie}")[0] == 200
        status, headers, _ = ask(port, "/logout", "POST", Cookie=f"{name}={cookie}", Origin=f"http://127.0.0.1:{port}")
        assert (status, headers["location"]) == (303, "/login")
        assert "Max-Age=0" in headers["set-cookie"]
        assert ask(port, "/api/v1/me", Cookie=f"{name}={cookie}")[0] == 401


def test_a_revoked_token_ends_its_sessions(port, access):
    _, secret = access.tokens.add("leaver", "admin")
    cookie = log_in(port, secret)
    assert ask(port, "/api/v1/me", Cookie=cookie)[0] == 200
    access.tokens.revoke("leaver")
    assert ask(port, "/api/v1/me", Cookie=cookie)[0] == 401
    access.tokens.add("leaver", "admin")  # another secret under the same name
    assert ask(port, "/api/v1/me", Cookie=cookie)[0] == 401


def test_a_session_expires(tmp_path):
    tokens = Tokens(tmp_path / "tokens.json", environment=SECRET)
    sessions = Sessions(tmp_path / "sessions.json", seconds=60, look=0)
    secret = sessions.begin(tokens.all()[0])
    assert sessions.find(secret) == tokens.all()[0].digest
    kept = json.loads((tmp_path / "sessions.json").read_text())
    kept = {key: entry | {"ends": entry["ends"] - 60} for key, entry in kept.items()}
    (tmp_path / "sessions.json").write_text(json.dumps(kept))  # a minute later
    assert sessions.find(secret) is None
    sessions.begin(tokens.all()[0])
    assert len(json.loads((tmp_path / "sessions.json").read_text())) == 1  # the old one is gone


def test_foreign_and_malformed_cookies_do_no_harm(port, secrets):
    cookie = log_in(port, secrets["view"])
    name = cookie.split("=")[0]
    for others in (
        'a="; b=c',
        "ключ=значение".encode().decode("latin-1"),
        "=;;; =x; novalue; sess[0]=1; __Host-x=2",
        f"{name}=another-service-below-another-path",
        "x=" + "y" * 8000,
        '{"json": 1}; @@=@',
    ):
        assert ask(port, "/api/v1/me", Cookie=f"{others}; {cookie}")[0] == 200, others
        assert ask(port, "/api/v1/me", Cookie=f"{cookie}; {others}")[0] == 200, others
        assert ask(port, "/api/v1/me", Cookie=others)[0] == 401
        assert ask(port, "/api/v1/me", Cookie=others, token=secrets["view"])[0] == 200
    assert ask(port, "/api/v1/me", Cookie=cookie, token="wrong")[0] == 401  # whoever shows a token is asked for it


def test_two_services_of_a_host_keep_their_sessions_apart(port, access, tmp_path):
    (tmp_path / "results").mkdir()
    other = entry(tmp_path)
    with served(context(tmp_path, other)) as second:
        one, two = log_in(port, SECRET), log_in(second, SECRET)
        both = f"{one}; {two}"  # as a browser sends them: cookies know no ports
        for number in (port, second):
            assert ask(number, "/api/v1/me", Cookie=both)[0] == 200
        ask(second, "/logout", "POST", Cookie=both, Origin=f"http://127.0.0.1:{second}")
        assert ask(port, "/api/v1/me", Cookie=both)[0] == 200
        assert ask(second, "/api/v1/me", Cookie=both)[0] == 401
        assert ask(second, "/api/v1/me", Cookie=one)[0] == 401


def test_a_disk_that_is_full_is_told_on_the_log_in_page(tmp_path, monkeypatch, capsys):
    (tmp_path / "results").mkdir()

    def full(*_):
        raise OSError(28, "No space left on device")

    with served(context(tmp_path, entry(tmp_path))) as port:
        monkeypatch.setattr("hpo.service.access.kept.write_private", full)
        origin = f"http://127.0.0.1:{port}"
        status, headers, body = ask(port, "/login", "POST", body=f"token={SECRET}", Origin=origin, **FORM)
    assert (status, headers["retry-after"], headers["set-cookie"]) == (503, "5", None)
    assert "Nobody can log in now" in body
    assert str(tmp_path) not in body
    assert "No space left" in capsys.readouterr().err


def test_one_token_cannot_end_the_sessions_of_others(tmp_path):
    tokens, sessions = Tokens(tmp_path / "tokens.json"), Sessions(tmp_path / "sessions.json", look=0)
    alice, bob = (tokens.add(name, "view")[0] for name in ("alice", "bob"))
    kept, first = sessions.begin(alice), sessions.begin(bob)
    many = [sessions.begin(bob) for _ in range(OF_ONE)]
    assert sessions.find(kept) == alice.digest
    assert [sessions.find(each) for each in (first, *many)] == [None, *[bob.digest] * OF_ONE]


# -- other origins, other names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),  # another port is another origin
        ({"Origin": "http://["}, 403),
        ({"Origin": "file://127.0.0.1:PORT"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://127.0.0.1:PORT"}, 201),
    ],
)
def test_a_session_changes_nothing_at_the_wish_of_another_origin(port, secrets, access, headers, status):
    cookie = log_in(port, secrets["admin"])
    sent = {key: value.replace("PORT", str(port)) for key, value in headers.items()}
    answer = ask(port, "/api/v1/tokens", "POST", body={"name": "by-csrf", "role": "admin"}, Cookie=cookie, **sent)
    assert answer[0] == status, answer[2]
    if status == 201:
        access.tokens.revoke("by-csrf")
    assert "by-csrf" not in {token.name for token in access.tokens.all()}


def test_a_bearer_may_come_from_anywhere(port, secrets, access):
    made = ask(
        port, "/api/v1/tokens", "POST", body={"name": "scripted"}, token=secrets["admin"], Origin="http://x.example"
    )
    assert made[0] == 201
    access.tokens.revoke("scripted")


def test_a_foreign_page_cannot_log_a_browser_in(port):
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        status, got, _ = ask(port, "/login", "POST", body=f"token={SECRET}", **FORM, **headers)
        assert (status, got["set-cookie"]) == (403, None)
        assert ask(port, "/logout", "POST", **headers)[0] == 403


def test_pages_at_another_port_of_a_public_name_are_foreign():
    names, host = Names(("hpo.example.org",), reachable=True), {"host": "10.0.0.1:8080"}  # as behind a proxy
    assert names.foreign(host | {"origin": "https://hpo.example.org"}) is False
    assert names.foreign({"host": "hpo.example.org:8080", "origin": "http://hpo.example.org:8080"}) is False
    for origin in ("http://hpo.example.org:8888", "https://hpo.example.org:x", "https://hpo.example.org.evil"):
        assert names.foreign(host | {"origin": origin}) is True, origin
        assert names.foreign(host | {"origin": origin, "sec-fetch-site": "same-site"}) is True, origin


def test_a_link_of_another_page_logs_nobody_in_unasked(port):
    path = f"/login?token={SECRET}%3C&next=/compare"
    status, headers, body = ask(port, path, Sec_Fetch_Site="cross-site")
    assert (status, headers["set-cookie"]) == (200, None)
    assert 'value="a-token-of-the-environment&lt;"' in body
    assert "Another page led here" in body
    status, headers, _ = ask(port, f"/login?token={SECRET}", Sec_Fetch_Site="none")  # typed in, or opened by a terminal
    assert (status, headers["set-cookie"] is not None) == (303, True)


@pytest.mark.parametrize(
    ("names", "admitted", "refused"),
    [
        (
            Names(),
            ["localhost:8080", "127.0.0.1", "[::1]:80", "LOCALHOST", "localhost.", "127.1.2.3:1"],
            [
                "evil.example",
                "evil.example:8080",
                "10.0.0.1",
                "",
                "localhost.evil.example",
                "localhost@evil",
                "a b",
                "[::1",
            ],
        ),
        (
            Names(("Hpo.Example.org",)),
            ["hpo.example.org:443", "localhost"],
            ["example.org", "evil.example", "10.0.0.1"],
        ),
        (Names(reachable=True), ["node7", "10.0.0.1:80", "hpo.svc.cluster.local"], ["", "a/b", "x y"]),
        (
            Names(("hpo.example.org",), reachable=True),
            ["hpo.example.org", "10.0.0.1", "[fe80::1]:80"],
            ["evil.example"],
        ),
    ],
)
def test_only_requests_to_a_name_of_the_service_are_admitted(names, admitted, refused):
    assert [host for host in admitted if not names.admit(host)] == []
    assert [host for host in refused if names.admit(host)] == []


def test_a_rebound_name_is_refused_before_anything_else(port, tmp_path):
    for path in ("/", "/login", "/api/v1/health", "/api/v1/me", "/assets/x/theme.css"):
        assert ask(port, path, Host=f"evil.example:{port}", token=SECRET)[0] == 421, path
    (tmp_path / "results").mkdir()
    with served(context(tmp_path, None)) as free:  # --no-token
        assert ask(free, "/api/v1/me", Host="evil.example")[0] == 421
        assert json.loads(ask(free, "/api/v1/me", Host=f"localhost:{free}")[2])["name"] == "anyone"
        assert ask(free, "/api/v1/echo", "POST", Origin="http://evil.example")[0] == 403
        assert ask(free, "/api/v1/echo", "POST", Sec_Fetch_Site="cross-site")[0] == 403
        assert ask(free, "/api/v1/echo", "POST")[0] == 200  # no browser sends a change without saying from where
        assert ask(free, "/login?next=/compare")[1]["location"] == "/compare"


# -- wrong tokens -----------------------------------------------------------------------------------------------------


def test_many_wrong_tokens_shut_their_source_out_and_one_again_and_again_does_not():
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    for _ in range(1000):
        attempts.note("10.0.0.1", "the same")
    assert attempts.wait("10.0.0.1") == 0
    for i in range(WRONG - 1):
        attempts.note("10.0.0.1", str(i))
    assert attempts.wait("10.0.0.1") == WINDOW_SECONDS
    assert attempts.wait("10.0.0.2") == 0
    now[0] = WINDOW_SECONDS
    assert attempts.wait("10.0.0.1") == 0


def test_an_ipv6_host_has_no_more_tries_than_its_network():
    attempts = Attempts()
    for i in range(WRONG):
        attempts.note(f"2001:db8::{i:x}", str(i))
        attempts.note(f"::{i:x}", str(i))
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("::1") > 0
    assert attempts.wait("2001:db8:1::1") == 0
    assert attempts.wait("not an address") == 0


def test_guessing_is_answered_with_429_and_sessions_go_on(tmp_path):
    (tmp_path / "results").mkdir()
    with served(context(tmp_path, entry(tmp_path))) as port:
        cookie = log_in(port, SECRET)
        answers = [ask(port, "/api/v1/me", token=f"guess-{i}")[0] for i in range(WRONG + 1)]
        assert answers == [401] * WRONG + [429]
        status, headers, _ = ask(port, "/api/v1/me", token=SECRET)  # else the right guess would be told from the others
        assert status == 429
        assert 0 < int(headers["retry-after"]) <= WINDOW_SECONDS + 1
        form = ask(port, "/login", "POST", body=f"token={SECRET}", Sec_Fetch_Site="same-origin", **FORM)
        assert (form[0], form[1]["set-cookie"]) == (429, None)
        assert ask(port, "/api/v1/me", Cookie=cookie)[0] == 200


# -- roles ------------------------------------------------------------------------------------------------------------

NEEDED = {  # what is not here: GET needs view, all else run
    ("GET", "/api/v1/tokens"): "admin",
    ("POST", "/api/v1/tokens"): "admin",
    ("DELETE", "/api/v1/tokens/{name}"): "admin",
    ("GET", "/api/v1/audit"): "admin",
    ("POST", "/api/v1/drafts/check"): "view",
}
OPEN = {"/login", "/logout", "/favicon.ico", "/assets/{version}/{name}", "/api/v1/health", "/api/v1/health/ready"}


def routes(app) -> list[tuple[str, str]]:
    """Every method and path of an app that a token is needed for."""
    found = [route for route in iter_route_contexts(app.routes) if route.path not in OPEN]
    return [(method, route.path) for route in found for method in sorted(route.methods - {"HEAD"})]


def test_every_route_refuses_the_roles_below_its_own(folder, access, port, secrets):
    known = routes(app_of(context(folder, access)))
    assert ("GET", "/api/v1/studies") in known
    assert ("POST", "/api/v1/tokens") in known
    wrong = []
    for method, template in known:
        path = template.replace("{", "a-").replace("}", "")
        assert ask(port, path, method)[0] in (303, 401, 403), (method, path)
        if "echo" in path or path.endswith(("/ticking", "/events", "/follow", "/schema")):
            continue  # routes of this test; streams; what takes a process seconds to begin, for whoever asks
        needed = NEEDED.get((method, template), "view" if method == "GET" else "run")
        for role, secret in secrets.items():
            status = ask(port, path, method, token=secret, body=None if method == "GET" else {})[0]
            below = ("view", "run", "admin").index(role) < ("view", "run", "admin").index(needed)
            if (status == 403) != below:
                wrong.append((method, template, role, status))
    assert wrong == []


NAMES = (
    "..", "%2e%2e", "..%2foutside", "%2e%2e%2foutside%2fstudy.json", ".audit", ".studies", "%00", "a%0ab",
    "%3Cscript%3Ealert(1)%3C%2Fscript%3E", "%D0%BA%D0%BB%D1%8E%D1%87", "%ff%fe", "a" * 300, "%F0%9F%92%A9", "CON", "a%5c..%5cb",
)  # fmt: skip


def test_no_name_in_a_path_leads_out_of_the_store_or_breaks_the_service(folder, access, port):
    (folder / "outside").mkdir(exist_ok=True)
    (folder / "outside" / "study.json").write_text('{"secret": "of-elsewhere"}')
    wrong = []
    for method, template in routes(app_of(context(folder, access))):
        if "{" not in template:
            continue
        for name in NAMES:
            path = re.sub(r"\{[^}]*\}", name, template)
            status, headers, body = ask(port, path, method, token=SECRET, body=None if method == "GET" else {})
            told = path.startswith("/api/") and not 400 <= status < 500
            scripted = "<script>alert" in body and "json" not in headers["content-type"]
            if status >= 500 or told or scripted or "of-elsewhere" in body or "Traceback" in body:
                wrong.append((method, path, status, body[:200]))
    assert wrong == []


def test_tokens_are_made_listed_and_revoked_by_admins(port, secrets):
    status, _, body = ask(port, "/api/v1/tokens", "POST", body={"name": "carol", "role": "run"}, token=secrets["admin"])
    made = json.loads(body)
    assert (status, made["name"], made["role"], made["revocable"]) == (201, "carol", "run", True)
    assert ask(port, "/api/v1/me", token=made["token"])[0] == 200
    assert ask(port, "/api/v1/tokens", "POST", body={"name": "carol"}, token=secrets["admin"])[0] == 409
    listed = json.loads(ask(port, "/api/v1/tokens", token=secrets["admin"])[2])["tokens"]
    assert listed[0] == {"name": "environment", "role": "admin", "created": None, "revocable": False}
    assert made["token"] not in json.dumps(listed)
    assert ask(port, "/api/v1/tokens/carol", "DELETE", token=secrets["admin"])[0] == 204
    assert ask(port, "/api/v1/me", token=made["token"])[0] == 401
    assert ask(port, "/api/v1/tokens/carol", "DELETE", token=secrets["admin"])[0] == 404
    assert ask(port, "/api/v1/tokens/environment", "DELETE", token=secrets["admin"])[0] == 409
    for body in (
        {"name": "../x"},
        {"name": "x", "role": "root"},
        {"name": ["x"]},
        {},
        {"name": "x", "more": 1},
        "{",
        b"\xff",
    ):
        assert ask(port, "/api/v1/tokens", "POST", body=body, token=secrets["admin"])[0] == 422, body


# -- streams ----------------------------------------------------------------------------------------------------------


@contextmanager
def open_stream(port: int, **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/api/v1/ticking", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline() == b": alive\n"
    try:
        yield answer
    finally:
        connection.close()
        answer.close()


@pytest.mark.parametrize("by", ["bearer", "session"])
def test_a_token_revoked_by_another_process_ends_its_open_streams_alone(port, access, secrets, by):
    _, secret = access.tokens.add("listener", "view")
    mine = {"Authorization": f"Bearer {secret}"} if by == "bearer" else {"Cookie": log_in(port, secret)}
    theirs = {"Authorization": f"Bearer {secrets['view']}"}
    with open_stream(port, **mine) as ended, open_stream(port, **theirs) as other:
        Tokens(access.tokens.path).revoke("listener")
        ended.read()  # to its end, well before the connection's 20 s
        assert other.readline()
        assert other.readline()


def test_logging_out_ends_the_streams_of_the_session(port, secrets):
    cookie = log_in(port, secrets["view"])
    with open_stream(port, Cookie=cookie) as stream:
        assert ask(port, "/logout", "POST", Cookie=cookie, Sec_Fetch_Site="same-origin")[0] == 303
        stream.read()


@pytest.mark.parametrize("path", ["large", "file"])
def test_a_download_breaks_off_when_its_token_is_revoked(port, access, path):
    _, secret = access.tokens.add("loader", "view")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Bearer {secret}"})
    with connection.getresponse() as answer:
        assert (answer.status, answer.length) == (200, LARGE)
        assert answer.read(1000) == bytes(1000)
        Tokens(access.tokens.path).revoke("loader")
        time.sleep(0.5)  # as a slow client does
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    connection.close()


def test_streams_end_when_the_service_does(tmp_path):
    (tmp_path / "results").mkdir()
    with ExitStack() as after:
        with served(context(tmp_path, entry(tmp_path))) as port:
            stream = after.enter_context(open_stream(port, Authorization=f"Bearer {SECRET}"))
        assert set(stream.read().splitlines()) <= {b"", b": alive"}  # it has an end: a broken connection raises


# -- headers ----------------------------------------------------------------------------------------------------------


def test_every_answer_tells_browsers_what_not_to_do_with_it(port):
    for path in ("/login", "/api/v1/me", "/", "/api/v1/nowhere"):
        for token in (None, SECRET):
            headers = ask(port, path, token=token)[1]
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"  # `no-referrer` would hide the origin of our own forms
            assert headers["server"] is None


def test_many_ask_at_once_with_a_token_that_was_just_made(port, access):
    stop, seen = threading.Event(), []

    def change() -> None:
        while not stop.is_set():
            access.tokens.add("passing", "view")
            access.tokens.revoke("passing")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda _: ask(port, "/api/v1/me", token=SECRET)[0], range(100)))
    finally:
        stop.set()
        thread.join()
    assert set(seen) == {200}


def test_access_without_tokens_lets_in_by_the_names_of_this_machine():
    admission = Access().admit({}, "127.0.0.1", 80)
    assert admission is not None
    assert (admission.caller.name, admission.caller.role, admission.stays()) == ("anyone", "admin", True)


# -- a store that is away ---------------------------------------------------------------------------------------------


def test_a_store_that_is_moved_away_is_away_and_not_empty(tmp_path):
    (tmp_path / "results").mkdir()
    access = entry(tmp_path)
    with served(context(tmp_path, access)) as port:
        assert ask(port, "/api/v1/health/ready")[0] == 200
        (tmp_path / "results").rename(tmp_path / "elsewhere")
        deadline = time.monotonic() + 10
        while (found := ask(port, "/api/v1/health/ready"))[0] == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (found[0], found[1]["retry-after"]) == (503, "5")
        for path in ("/api/v1/studies", "/api/v1/studies/digits", "/api/v1/studies/digits/events"):
            status, headers, body = ask(port, path, token=SECRET)
            assert (status, "is gone" in body, headers["retry-after"]) == (503, True, "5"), path
        log_in(port, SECRET)  # which the audit log would have written down
        assert not (tmp_path / "results").exists()
        assert ask(port, "/api/v1/tokens", "POST", body={"name": "x", "role": "view"}, token=SECRET)[0] == 503
        (tmp_path / "elsewhere").rename(tmp_path / "results")
        while ask(port, "/api/v1/health/ready")[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ask(port, "/api/v1/studies", token=SECRET)[0] == 200


# -- uploads ----------------------------------------------------------------------------------------------------------


def test_uploads_take_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(bodies, "UPLOADS", 1)
    monkeypatch.setattr(bodies, "TURN_SECONDS", 0.3)
    (tmp_path / "results").mkdir()
    form = {"Content_Type": "multipart/form-data; boundary=b"}

    def begun(port: int, *headers: str) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        lines = ["Host: localhost", "Content-Length: 99", "Content-Type: multipart/form-data; boundary=b", *headers]
        client.sendall("\r\n".join(["POST /api/v1/echo HTTP/1.1", *lines, "", "--b"]).encode())
        return client

    with served(context(tmp_path, entry(tmp_path))) as port:
        with begun(port), begun(port, f"Authorization: Bearer {SECRET}") as holds:  # who is nobody takes no place
            deadline, status = time.monotonic() + 20, 200
            while status == 200 and time.monotonic() < deadline:  # until the other one is being received
                status, headers, said = ask(port, "/api/v1/echo", "POST", body=b"--b--", token=SECRET, **form)
            assert (status, headers["retry-after"], "at a time" in said) == (503, "5", True)
            assert ask(port, "/api/v1/echo", "POST", body=b"--b--", token=SECRET)[0] == 200  # no upload
            holds.shutdown(socket.SHUT_RDWR)
        assert ask(port, "/api/v1/echo", "POST", body=b"--b--", token=SECRET, **form)[0] == 200


@pytest.mark.parametrize("size", [1_001, 3 * 2**20])
def test_an_upload_has_the_size_that_the_service_takes(tmp_path, size):
    (tmp_path / "results").mkdir()
    part = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    with served(context(tmp_path, entry(tmp_path), upload_bytes=1_000)) as port:
        for length, status, said in ((size, 413, "at most"), (1_000, 409, "--address")):  # no cluster to submit to
            files = part % (b"files", b'; filename="f.zip"\r\nContent-Type: application/zip', b"x" * length)
            body = part % (b"study", b"", b"study: x") + files + b"--b--\r\n"
            form = {"Content_Type": "multipart/form-data; boundary=b"}
            try:
                found = ask(port, "/api/v1/studies", "POST", body=body, token=SECRET, **form)
            except (BrokenPipeError, ConnectionResetError):  # refused by its length, before all of it was sent
                assert (length, status) == (3 * 2**20, 413)
                continue
            assert (found[0], said in found[2]) == (status, True), found[2]
    assert list((tmp_path / "cache").glob("submitting-*")) == []
