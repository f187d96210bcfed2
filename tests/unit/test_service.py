"""The service over real HTTP: a uvicorn server in a thread, with a store written in the way of a driver."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from hpo.service.access import AddressTaken, UnsafeAddress, check, is_loopback, listen
from hpo.service.server import serve
from hpo.store import StoreError
from hpo.store.journal import Journal
from tests.serving import serving
from tests.synthetic_study import played, write_study

TOKEN = "a-token-of-some-length"


def get(port, path, **headers):
    """Returns the status, headers and body of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def store_uri(tmp_path_factory):
    uri = tmp_path_factory.mktemp("store") / "results"
    write_study(str(uri), played("whole", budget=48, seeds=(0, 1)))
    write_study(str(uri), played("under-way", budget=48, seeds=(0,)), charges=100)
    return uri


@pytest.fixture(scope="module")
def port(store_uri):
    with serving(store_uri, seconds=0.1) as number:
        yield number


def test_studies_are_listed(port):
    status, headers, body = get(port, "/api/studies")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert [entry["study"] for entry in json.loads(body)["studies"]] == ["under-way", "whole"]


def test_a_complete_study_matches_its_ledger(port):
    state = json.loads(get(port, "/api/studies/whole")[2])
    assert [run["run"] for run in state["runs"][:2]] == ["grid/0", "random/0"]
    for run in state["runs"]:
        assert run["status"] == "complete"
        assert run["charged_epochs"] == run["budget_epochs"] == 48
        assert run["anytime"][-1] == [48, run["best"]]
        values = [value for _, value in run["anytime"]]
        assert values == sorted(values)


def test_an_unfinished_study_shows_runs_that_have_not_begun(port):
    state = json.loads(get(port, "/api/studies/under-way")[2])
    assert sum(run["charged_epochs"] for run in state["runs"]) == 100
    assert [run["charged_epochs"] for run in state["runs"]] == [48, 48, 4, 0]
    assert state["runs"][3]["best"] is None


@pytest.mark.parametrize(
    ("age", "last", "shown"),
    [
        (0, "figures", {"slots": 4, "busy": 3, "starting": 1, "waiting": 0}),
        (3600, "figures", None),  # nothing was heard of its driver for an hour
        (0, "interrupted", None),
    ],
)
def test_slots_are_shown_as_the_driver_last_wrote_while_it_lives(port, store_uri, monkeypatch, age, last, shown):
    journal = Journal(store_uri / "under-way" / "driver.jsonl")
    now = time.time() - age
    monkeypatch.setattr("hpo.store.journal.time.time", lambda: now)
    journal.write("figures", slots=4, busy=3, starting=1, waiting=0)
    if last != "figures":
        journal.write(last)
    monkeypatch.undo()
    with (store_uri / "under-way" / "driver.jsonl").open("a") as stream:
        stream.write('{"event": "figures", "ti')  # the next line, half of it
    try:
        assert json.loads(get(port, "/api/studies/under-way")[2])["occupancy"] == shown
    finally:
        (store_uri / "under-way" / "driver.jsonl").unlink()
    assert json.loads(get(port, "/api/studies/under-way")[2])["occupancy"] is None


def test_runs_and_curves_are_those_of_the_store(port):
    rows = json.loads(get(port, "/api/studies/whole/runs")[2])
    assert len(rows["runs"]) == 8
    trial = rows["runs"][0]["incumbent_trial"]
    curves = json.loads(get(port, f"/api/studies/whole/curves?trial={trial}")[2])["curves"]
    assert list(curves) == [trial]
    assert curves[trial]["epoch"] == list(range(1, len(curves[trial]["epoch"]) + 1))
    assert max(curves[trial]["val_accuracy"]) == rows["runs"][0]["incumbent_value"]
    assert len(json.loads(get(port, "/api/studies/whole/curves?limit=3")[2])["curves"]) == 3
    assert get(port, "/api/studies/whole/curves?limit=many")[0] == 400


def test_the_comparison_equals_that_of_the_command_line(port, store_uri):
    from hpo import store
    from hpo.results.compare import compare

    served = json.loads(get(port, "/api/studies/whole/comparison")[2])
    assert served == json.loads(json.dumps(compare(store.read(str(store_uri), "whole")).to_json()))


def test_an_unknown_study_is_refused_in_one_sentence(port):
    status, _, body = get(port, "/api/studies/nowhere")
    assert status == 404
    assert "nowhere" in json.loads(body)["error"]
    assert get(port, "/api/studies/nowhere/events")[0] == 404
    status, headers, body = get(port, "/studies/nowhere")
    assert (status, headers["content-type"].split(";")[0]) == (404, "text/html")
    assert "Traceback" not in body


def charged(state):
    return sum(run["charged_epochs"] for run in state["runs"])


def events(port, path, last):
    """Returns the states of a stream up to the first for which `last` holds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer, found = connection.getresponse(), []
    try:
        assert answer.headers["content-type"].startswith("text/event-stream")
        while not found or not last(found[-1]):
            line = answer.readline().decode()
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
    finally:
        connection.close()
    return found


def test_events_follow_the_store_as_it_grows(tmp_path):
    tables = played("growing", budget=48, seeds=(0,))
    write_study(str(tmp_path), tables, charges=60)
    with serving(tmp_path, seconds=0.1) as port, ThreadPoolExecutor() as pool:
        stream = pool.submit(events, port, "/api/studies/growing/events", lambda state: charged(state) == 192)
        first = events(port, "/api/studies/growing/events", lambda state: True)
        write_study(str(tmp_path), tables)
        found = stream.result(30)
    assert [charged(state) for state in first] == [60]
    assert charged(found[0]) == 60
    assert all(before != after for before, after in pairwise(found))


def test_pages_have_a_content_policy_and_no_foreign_address(port):
    for path in ("/", "/studies/whole", "/studies/whole/report", "/pages/live.js", "/pages/service.css"):
        status, headers, body = get(port, path)
        assert status == 200, path
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "https://" not in body
        assert "http://" not in body.replace("http://www.w3.org/2000/svg", "")
    assert get(port, "/pages/../server.py")[0] == 404


def test_another_name_for_this_machine_is_refused(port):
    assert get(port, "/api/studies", Host="evil.example:80")[0] == 421
    assert get(port, "/api/studies", Host=f"localhost:{port}")[0] == 200
    assert get(port, "/api/studies", Host=f"[::1]:{port}")[0] == 200


def test_a_service_with_a_token_answers_nothing_without_it(store_uri):
    with serving(store_uri, token=TOKEN) as port:
        for path in ("/", "/api/studies", "/api/studies/whole/events", "/pages/live.js", "/nowhere"):
            assert get(port, path)[0] == 401, path
        assert get(port, "/api/studies", Authorization="Bearer wrong")[0] == 401
        assert get(port, "/api/studies", Authorization=f"Bearer {TOKEN}", Host="node7:80")[0] == 200
        assert get(port, "/api/studies", Cookie="hpo_serve_token=wrong")[0] == 401
        status, headers, _ = get(port, f"/studies/whole?token={TOKEN}&a=b")
        assert (status, headers["location"]) == (303, "/studies/whole?a=b")
        assert "HttpOnly" in headers["set-cookie"]
        assert get(port, "/studies/whole", Cookie=headers["set-cookie"].split(";")[0])[0] == 200
        status, headers, _ = get(port, f"//evil.example/?token={TOKEN}")
        assert headers["location"] == "/evil.example/"


HOSTS = {
    "127.0.0.1": True,
    "127.8.8.8": True,
    "::1": True,
    "localhost": True,
    "0.0.0.0": False,
    "::": False,
    "node7": False,
}


@pytest.mark.parametrize(("host", "local"), HOSTS.items())
def test_loopback_addresses_are_those_that_only_this_machine_can_reach(host, local):
    assert is_loopback(host) is local


def test_a_reachable_address_needs_a_token():
    with pytest.raises(UnsafeAddress, match=r"--host 0\.0\.0\.0, so HPO_SERVE_TOKEN must hold a token"):
        check("0.0.0.0", None)
    with pytest.raises(UnsafeAddress, match="at least 16 characters, but got 5"):
        check("0.0.0.0", "short")
    check("0.0.0.0", TOKEN)
    check("127.0.0.1", None)


def test_serving_refuses_before_it_binds(tmp_path, monkeypatch):
    monkeypatch.delenv("HPO_SERVE_TOKEN", raising=False)
    with pytest.raises(UnsafeAddress):
        serve(str(tmp_path), host="0.0.0.0")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        serve(str(tmp_path / "file"))


def test_a_taken_port_is_refused_in_one_sentence():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(AddressTaken, match=f"listen at 127.0.0.1 port {port}, but got: .*; choose another --port"):
            listen("127.0.0.1", port)
    with pytest.raises(AddressTaken, match="0 <= port <= 65535 must hold, but got 70000"):
        listen("127.0.0.1", 70000)
