"""How the client speaks HTTP: patience, redirects, problems, streams that break off, certificates; against real servers."""

from __future__ import annotations

import subprocess
import tracemalloc

import pytest

import hpo
from hpo.client import NotAllowed, NotFound, NotSignedIn, NotTrusted, Refused, ServiceAway, ServiceError, tokens
from hpo.client.events import events, lines, parsed
from hpo.client.files import download
from hpo.client.transport import service_address
from tests.protocol_app import LARGE, Protocol, listening

SECRET = "a-token-of-some-length"


@pytest.fixture(scope="module")
def running():
    service = Protocol()
    with listening(service.app) as port:
        yield service, port


@pytest.fixture
def service(running, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("HPO_SERVICE", "HPO_SERVICE_TOKEN", "HPO_SERVICE_CA"):
        monkeypatch.delenv(name, raising=False)
    found, _ = running
    found.asked.clear()
    found.headers.clear()
    found.events.clear()
    return found


@pytest.fixture
def client(service, running):
    with hpo.connect(f"http://127.0.0.1:{running[1]}", token=SECRET, patience=5) as found:
        yield found


def test_a_request_is_repeated_while_the_store_is_away(client, service):
    assert client.transport.json("GET", "/flaky") == {"ok": True}
    assert service.asked["/api/v1/flaky"] == 3


def test_a_store_that_stays_away_is_told_by_the_services_own_sentence(client):
    client.transport.patience = 0.5
    with pytest.raises(ServiceAway, match="the store must answer, but it is away") as caught:
        client.transport.get("/away")
    assert caught.value.status == 503
    assert caught.value.exit_code == 2


def test_what_is_being_made_is_waited_for(client, service):
    assert client.transport.json("GET", "/making") == {"ok": True}
    assert service.asked["/api/v1/making"] == 3


def test_a_download_is_never_in_memory_as_a_whole_and_begins_again_where_it_broke_off(client, service, tmp_path):
    to = tmp_path / "new" / "digits.tar.gz"
    tracemalloc.start()
    try:
        client.study("digits").bundle(to)
        assert tracemalloc.get_traced_memory()[1] < LARGE
    finally:
        tracemalloc.stop()
    assert (to.stat().st_size, set(to.read_bytes())) == (LARGE, {3})
    assert [path.name for path in to.parent.iterdir()] == [to.name]


def test_a_download_that_cannot_be_had_leaves_nothing(client, tmp_path):
    with pytest.raises(NotFound):
        download(client.transport, "/404", tmp_path / "report.html")
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="must be a file that can be written"):
        client.study("digits").bundle(tmp_path / "file" / "digits.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotSignedIn),
        (403, NotAllowed),
        (404, NotFound),
        (409, Refused),
        (422, Refused),
        (429, Refused),
        (500, ServiceError),
    ],
)
def test_a_problem_is_an_error_with_its_sentence(client, service, status, kind):
    with pytest.raises(kind, match=f"^this must hold, but got {status}") as caught:
        client.transport.get(f"/{status}")
    assert isinstance(caught.value, hpo.HpoError)
    assert caught.value.status == status
    assert caught.value.more["problems"] == [{"line": 3, "column": 1, "message": "m"}]
    assert service.asked[f"/api/v1/{status}"] == 1


def test_the_page_of_a_proxy_is_no_answer_and_its_bad_gateway_passes(client, service):
    with pytest.raises(
        NotFound, match=r"must be the address of `hpo serve`, but it answered 404: <h1>a proxy's page</h1>"
    ):
        client.transport.get("/page")
    assert service.asked["/api/v1/page"] == 2
    with pytest.raises(ServiceError, match="must be the address of `hpo serve`, but /text is text/plain"):
        client.transport.json("GET", "/text")


def test_a_redirect_to_another_host_is_refused_and_never_sees_the_token(client, service):
    other = Protocol()
    with listening(other.app) as port:
        service.elsewhere = f"http://127.0.0.1:{port}"
        for method in ("GET", "POST"):
            with pytest.raises(
                ServiceError, match=rf"redirects to http://127.0.0.1:{port}/api/v1/token, where no token is sent"
            ):
                client.transport.json(method, "/foreign")
    assert not other.asked


def test_a_redirect_of_the_service_itself_is_followed_with_the_token_but_not_for_ever(client, service):
    assert client.transport.json("GET", "/own") == {"ok": True}
    assert service.headers["/api/v1/flaky"][-1]["authorization"] == f"Bearer {SECRET}"
    with pytest.raises(ServiceError, match="redirects more than 5 times"):
        client.transport.get("/loop")


def test_a_submission_that_is_repeated_keeps_its_key(client, service):
    assert client.submit("digits", priority=2).name == "digits"
    first, second = service.headers["/api/v1/studies"]
    assert first["idempotency-key"] == second["idempotency-key"]
    assert len(first["idempotency-key"]) == 32
    client.submit("digits")
    assert service.headers["/api/v1/studies"][-1]["idempotency-key"] != first["idempotency-key"]
    client.submit("digits", key="mine")
    assert service.headers["/api/v1/studies"][-1]["idempotency-key"] == "mine"


def test_a_service_that_never_answered_is_not_waited_for():
    with listening(Protocol().app) as port:
        pass
    with pytest.raises(
        ServiceAway, match=rf"http://127.0.0.1:{port}/ does not: .*refused; is `hpo serve` running there"
    ):
        hpo.connect(f"http://127.0.0.1:{port}", patience=60).me()


# -- streams --------------------------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_off_is_taken_up_after_its_last_event(client, service):
    service.events += ["id: 7\ndata: 1\n\n", None, ": alive\n\n", 'id: 8\ndata: {"x": "é\u2028"}\n\n', None]
    found = []
    for event in events(client.transport, "/events", patience=30):
        if not event.beat:
            found.append(event.data)
        if len(found) == 2:
            break
    assert found == [1, {"x": "é\u2028"}]
    assert [headers.get("last-event-id") for headers in service.headers["/api/v1/events"]] == [None, "7"]


def test_a_stream_ends_with_a_sentence_where_the_service_stays_away(client, service):
    with pytest.raises(ServiceAway, match="ends every connection"):
        for _ in events(client.transport, "/events", patience=0.7):
            pass
    assert service.asked["/api/v1/events"] >= 2


def test_a_stream_that_the_token_may_not_see_is_not_asked_for_again(client, service):
    with pytest.raises(NotSignedIn):
        next(events(client.transport, "/401", patience=30))
    assert service.asked["/api/v1/401"] == 1


@pytest.mark.parametrize("cut", range(1, 40))
def test_events_are_read_however_the_network_cuts_them(cut):
    text = "event: study\r\nid: 1\r\ndata: {\rdata: }\n\n: beat\ndata\n\n\u2028data: no\n\n"
    pieces = [text[i : i + cut] for i in range(0, len(text), cut)]
    found = [(event.name, event.data, event.id) for event in parsed(lines(pieces))]
    assert found == [("study", {}, "1"), ("", None, None), ("message", "", "1")]


def asked(url, **options):
    with hpo.connect(url, token=SECRET, **options) as client:
        return client.transport.json("GET", "/token")


# -- addresses, tokens, certificates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "host:8080",
        "ftp://host",
        "https://",
        "https://me:secret@host",
        "http://h/?token=secret",
        "http://[::1",
        "",
        "http://h:x",
    ],
)
def test_an_address_that_no_service_has_is_refused_and_its_password_not_repeated(url, monkeypatch):
    monkeypatch.delenv("HPO_SERVICE", raising=False)
    with pytest.raises(ServiceError, match="a service's address must be") as caught:
        hpo.connect(url)
    assert "me:secret" not in str(caught.value)


def test_the_root_path_of_a_proxy_is_a_part_of_the_address():
    client = hpo.connect("https://host/hpo/", token=SECRET)
    assert client.transport.address("/me") == "https://host/hpo/api/v1/me"


def test_the_token_comes_from_the_environment_or_from_the_file_of_its_service_alone(
    service, running, monkeypatch, tmp_path
):
    url = f"http://127.0.0.1:{running[1]}"

    def sent() -> str | None:
        hpo.connect(url).transport.get("/token")
        return service.headers["/api/v1/token"][-1].get("authorization")

    assert sent() is None
    tokens.keep(service_address("https://other.example"), "others")
    assert sent() is None
    place = tokens.keep(service_address(url), "first")
    assert tokens.keep(service_address(url + "/"), "mine") == place
    assert place == tmp_path / "hpo-arena/service-tokens"
    assert place.stat().st_mode & 0o777 == 0o600
    assert sent() == "Bearer mine"
    monkeypatch.setenv("HPO_SERVICE_TOKEN", "env\n")
    assert sent() == "Bearer env"
    monkeypatch.delenv("HPO_SERVICE_TOKEN")
    place.chmod(0o640)
    with pytest.raises(
        ServiceError, match=r"must be closed to others \(mode 0600\), but its mode is 0640; run chmod 600"
    ):
        hpo.connect(url)


@pytest.mark.parametrize("token", ["two words", "new\nline", "émile", ""])
def test_a_token_that_no_header_can_hold_is_refused_before_it_is_sent(token, service, running):
    url = f"http://127.0.0.1:{running[1]}"
    if token:
        with pytest.raises(ServiceError, match="a token must be one word of ASCII characters") as caught:
            hpo.connect(url, token=token)
        assert token not in str(caught.value)
    else:
        hpo.connect(url, token=token).transport.get("/token")
        assert "authorization" not in service.headers["/api/v1/token"][-1]


@pytest.mark.parametrize(
    ("url", "unsafe"),
    [
        ("http://10.0.0.1:8080", True), ("http://head:8080", True), ("https://head", False), ("http://localhost:1", False),
        ("http://[::1]:1", False), ("http://127.1.2.3", False),
    ],
)  # fmt: skip
def test_a_token_in_the_clear_is_told(url, unsafe):
    assert bool(hpo.connect(url, token=SECRET).warnings) == unsafe


def test_a_certificate_must_be_trusted_and_the_users_own_authority_can_be(tmp_path, monkeypatch, running):
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    command = [
        *(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ),
        *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=t", "-addext", "subjectAltName=IP:127.0.0.1"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    service = Protocol()
    with listening(service.app, ssl_keyfile=str(key), ssl_certfile=str(certificate)) as port:
        url = f"https://127.0.0.1:{port}"
        with pytest.raises(
            NotTrusted, match="must be one that this machine trusts, but: self-signed certificate; give the"
        ):
            asked(url)
        with pytest.raises(ServiceAway, match="does not"):  # the port speaks TLS
            asked(url.replace("https", "http"))
        assert not service.asked
        assert asked(url, ca=certificate) == {"ok": True}
        monkeypatch.setenv("HPO_SERVICE_CA", str(certificate))
        assert asked(url) == {"ok": True}
        with pytest.raises(NotTrusted, match=r"Hostname mismatch|not valid for"):
            asked(f"https://localhost:{port}")
    monkeypatch.setenv("HPO_SERVICE_CA", str(key))
    with pytest.raises(ServiceError, match=r"HPO_SERVICE_CA must be a file of certificates \(PEM\)"):
        hpo.connect(url)
