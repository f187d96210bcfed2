"""The API over real stores: every route on a complete, an unfinished and a failed study, as programs use it."""

from __future__ import annotations

import http.client
import io
import json
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from hpo import store
from hpo.files import unpack
from hpo.results.compare import compare
from hpo.service import documented
from hpo.service.access import Access, Sessions, Tokens
from hpo.service.models import analyses, curves, ledger, record, studies, study, trials
from hpo.storage.local import LocalPlace
from hpo.store import notes, schema
from tests.serving import API, asking, context, serving
from tests.synthetic_study import played, write_study

RECORDED = Path(__file__).parents[1] / "recorded_stores"
SECRET = "a-token-of-some-length"


def unpacked(name: str, folder: Path) -> None:
    """Puts the study of a recorded store into a folder."""
    with tarfile.open(RECORDED / f"{name}.tar.gz") as archive:
        unpack(archive, folder / name)
    (found,) = (folder / name).rglob("study.json")
    (found.parent).rename(folder / "results" / name)
    head = json.loads((folder / "results" / name / "study.json").read_text())
    head["study"]["study"] = name
    (folder / "results" / name / "study.json").write_text(json.dumps(head))


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study of an earlier version, one whose driver was killed, a complete one, and one under way."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "results").mkdir()
    for name in ("complete", "interrupted"):
        unpacked(name, folder)
    write_study(str(folder / "results"), played("whole", budget=48, seeds=(0, 1)))
    write_study(str(folder / "results"), played("under-way", budget=48, seeds=(0,)), charges=100)
    return folder / "results"


@pytest.fixture(scope="module")
def client(uri: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with asking(context(uri, tmp_path_factory.mktemp("cache"))) as found:
        yield found


def answer(client: TestClient, path: str, **query: Any) -> Any:
    found = client.get(f"{API}{path}", params=query)
    assert found.status_code == 200, found.text
    return found.json()


def finished(client: TestClient, path: str) -> Any:
    """Returns an answer that is made in the background."""
    deadline = time.monotonic() + 60
    while (found := client.get(f"{API}{path}")).status_code == 202 and time.monotonic() < deadline:
        assert int(found.headers["retry-after"]) > 0
        time.sleep(0.05)
    assert found.status_code == 200, found.text
    return found


STUDIES = ("complete", "interrupted", "whole", "under-way")
ANSWERS = {
    "": study.StudyAnswer,
    "/plan": record.PlanAnswer,
    "/definition": record.DefinitionAnswer,
    "/runs": study.RunsAnswer,
    "/trials": trials.TrialsAnswer,
    "/parallel": curves.ParallelAnswer,
    "/curves": curves.CurvesAnswer,
    "/anytime": curves.AnytimeAnswer,
    "/anytime?over=seconds": curves.AnytimeAnswer,
    "/ledger": ledger.LedgerAnswer,
    "/failures": ledger.FailuresAnswer,
}


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_is_as_documented(client: TestClient, study: str, path: str) -> None:
    found = client.get(f"{API}/studies/{study}{path}")
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "application/json"
    TypeAdapter(ANSWERS[path]).validate_json(found.content, strict=True)
    assert "study" in found.json()


@pytest.mark.parametrize("study", STUDIES)
def test_a_version_is_answered_once(client: TestClient, study: str) -> None:
    for path in (*ANSWERS, "/trials?format=csv", "/tables/charges?format=arrow"):
        first = client.get(f"{API}/studies/{study}{path}")
        again = client.get(f"{API}/studies/{study}{path}", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == first.headers["etag"]
        assert "no-cache" in first.headers["cache-control"]


def test_the_list_filters_sorts_and_pages(client: TestClient) -> None:
    found = answer(client, "/studies", sort="name")
    studies.StudiesAnswer.model_validate(found)
    assert [one["study"] for one in found["studies"]] == sorted(STUDIES)
    words = {one["study"]: one["state"]["word"] for one in found["studies"]}
    assert (words["whole"], words["complete"]) == ("complete", "complete")
    assert words["interrupted"] in ("no sign of life", "stopped")
    seen, cursor = [], None
    while True:
        page = answer(client, "/studies", sort="-name", limit=1, **({"cursor": cursor} if cursor else {}))
        seen += [one["study"] for one in page["studies"]]
        assert page["total"] == len(STUDIES)
        if (cursor := page["next"]) is None:
            break
    assert seen == sorted(STUDIES, reverse=True)
    assert [s["study"] for s in answer(client, "/studies", search="UNDER")["studies"]] == ["under-way"]
    assert answer(client, "/studies", state=["queued", "starting"])["studies"] == []
    assert answer(client, "/studies", archived=True)["studies"] == []


def test_a_study_matches_its_ledger(client: TestClient) -> None:
    found = answer(client, "/studies/whole")
    assert found["state"]["word"] == "complete"
    assert [run["run"] for run in found["run_list"][:2]] == ["grid/0", "random/0"]
    for run in found["run_list"]:
        assert (run["status"], run["charged_epochs"], run["budget_epochs"]) == ("complete", 48, 48)
    assert found["physical"]["wasted_epochs"] == 2
    assert set(found["looks"]) == set(found["methods"])
    ledger = answer(client, "/studies/whole/ledger")
    assert {row["run"]: row["wasted_epochs"] for row in ledger["runs"]}["random/0"] == 2
    assert ledger["trained_epochs"] == found["physical"]["trained_epochs"]


def test_an_unfinished_study_counts_by_its_charges(client: TestClient, uri: Path) -> None:
    found = answer(client, "/studies/under-way")
    assert [run["charged_epochs"] for run in found["run_list"]] == [48, 48, 4, 0]
    assert [run["status"] for run in found["run_list"]][2:] == ["partial", "waiting"]
    assert found["state"]["word"] in ("stopped", "no sign of life")
    curves = answer(client, "/studies/under-way/anytime")
    assert [run["steps"][-1] for run in curves["runs"]] == [
        [run["charged_epochs"], run["best"]] for run in found["run_list"][:3]
    ]


def test_trials_are_filtered_sorted_and_paged_in_each_format(client: TestClient) -> None:
    query = {"where": ["method:in:asha,random", "epochs:ge:2"], "sort": "-best_value,number", "limit": 5}
    page = answer(client, "/studies/whole/trials", **query)
    assert page["matched"] < page["total"]
    names = [column["name"] for column in page["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in page["rows"]]
    assert [r["best_value"] for r in rows] == sorted((r["best_value"] for r in rows), reverse=True)
    assert all(r["method"] in ("asha", "random") and r["epochs"] >= 2 for r in rows)
    second = answer(client, "/studies/whole/trials", **query | {"offset": 3, "limit": 2})
    assert second["rows"] == page["rows"][3:5]
    arrow = client.get(f"{API}/studies/whole/trials", params=query | {"format": "arrow"})
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == rows
    csv = client.get(f"{API}/studies/whole/trials", params={"format": "csv"})
    assert pa_csv.read_csv(io.BytesIO(csv.content)).num_rows == page["total"]
    assert csv.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("name", schema.TABLES)
def test_a_table_is_downloaded_as_the_store_has_it(client: TestClient, uri: Path, name: str) -> None:
    stored: pa.Table = getattr(store.read(str(uri), "whole"), name)
    arrow = client.get(f"{API}/studies/whole/tables/{name}?format=arrow")
    assert pa.ipc.open_stream(arrow.content).read_all().equals(stored, check_metadata=True)
    parquet = client.get(f"{API}/studies/whole/tables/{name}")
    assert pq.read_table(io.BytesIO(parquet.content)).equals(stored)
    assert client.get(f"{API}/studies/whole/tables/{name}?format=csv").status_code == 200


def test_a_trial_knows_its_curve_and_who_asked_for_it(client: TestClient, uri: Path) -> None:
    run = answer(client, "/studies/complete/runs")["runs"][0]
    found = answer(client, f"/studies/complete/trials/{run['incumbent']}")
    trials.TrialAnswer.model_validate(found)
    assert [r["run"] for r in found["runs"] if r["incumbent"]].count(run["run"]) == 1
    assert max(found["curve"]["val_accuracy"]) >= run["best"]
    held: dict[str, Any] = {}
    exec(found["command"], {}, held)
    assert held["config"] == found["config"]
    (uri / "whole" / "checkpoints").mkdir(exist_ok=True)
    trial = answer(client, "/studies/whole/trials", limit=1)["rows"][0][4]
    (uri / "whole" / "checkpoints" / f"{trial}-000001.tar").touch()
    assert answer(client, f"/studies/whole/trials/{trial}")["checkpoint"] == f"whole/checkpoints/{trial}-000001.tar"


def test_analyses_are_made_in_the_background_and_equal_the_command_lines(client: TestClient, uri: Path) -> None:
    served = finished(client, "/studies/whole/comparison").json()
    analyses.ComparisonAnswer.model_validate(served)
    expected = json.loads(json.dumps(compare(store.read(str(uri), "whole")).to_json()))
    assert served == expected
    assert answer(client, "/studies/whole")["verdict_sentence"] == served["verdict"]
    importance = finished(client, "/studies/whole/importance").json()
    analyses.ImportanceAnswer.model_validate(importance)
    both = finished(client, "/comparison?study=whole&study=complete").json()
    assert both["tasks"] == ["whole", "complete"]
    refused = client.get(f"{API}/studies/whole/comparison?difference=much")
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")


def test_downloads_are_what_they_say(client: TestClient) -> None:
    report = finished(client, "/studies/complete/report")
    assert report.text.startswith("<!doctype html>") or report.text.lower().startswith("<!doctype html>")
    assert "script-src" not in report.headers["content-security-policy"]
    assert "default-src 'none'" in report.headers["content-security-policy"]
    svg = finished(client, "/studies/complete/figures/anytime.svg")
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert b"<svg" in svg.content
    assert finished(client, "/studies/complete/figures/anytime.png").content.startswith(b"\x89PNG")
    assert "tabular" in finished(client, "/studies/complete/latex").text
    again = client.get(f"{API}/studies/complete/report", headers={"If-None-Match": report.headers["etag"]})
    assert again.status_code == 304
    bundle = client.get(f"{API}/studies/under-way/bundle")
    assert bundle.status_code in (202, 409)


def test_all_routes_share_what_was_read_once_and_pages_read_the_head_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(str(tmp_path / "results"), played("s", budget=48, seeds=(0, 1)))
    seen: Counter[str] = Counter()
    read = LocalPlace.read

    def counted(self: LocalPlace, name: str) -> bytes | None:
        if self.root.is_relative_to(tmp_path):  # another test's thread may hold a lease elsewhere
            seen[name] += 1
        return read(self, name)

    monkeypatch.setattr(LocalPlace, "read", counted)
    with asking(context(tmp_path / "results", tmp_path / "cache")) as client:
        for page in ("/", "/compare?study=s", "/submit", "/studies/s", "/studies/s/trials/any"):
            assert client.get(page).status_code == 200
        assert set(seen) == {"s/study.json"}
        seen.clear()
        trial = answer(client, "/studies/s/runs")["runs"][0]["incumbent"]
        names = {"study": "s", "trial": trial, "table": "epochs", "figure": "anytime", "format": "svg"}
        paths = [
            path.removeprefix(API).format(**names)
            for path, taken in documented.document(cast(FastAPI, client.app))["paths"].items()
            if "{study}" in path and "get" in taken and "202" not in taken["get"]["responses"]
        ]
        paths.remove("/studies/s/events")
        assert len(paths) > 10
        for path in [*paths, *paths, "/studies"]:  # analyses are given a reading
            assert client.get(f"{API}{path}").status_code == 200, path
        tables = {name: times for name, times in seen.items() if name.endswith(".parquet")}
        assert tables
        assert set(tables.values()) == {1}


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "nowhere",
        "%2e%2e",
        "whole%2f..%2fwhole",
        ".studies",
        "%00",
        "<script>alert(1)</script>",
        "Grüße",
        "a" * 300,
    ],
)
def test_no_other_name_leads_to_a_study(client: TestClient, name: str) -> None:
    for path in ("", "/trials", "/report", "/events", "/tables/epochs", "/trials/x"):
        found = client.get(f"{API}/studies/{name}{path}")
        assert found.status_code in (404, 422), (name, path, found.status_code)
        assert found.headers["content-type"] == "application/problem+json"
        assert found.json()["detail"]
        assert "Traceback" not in found.text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/studies?limit=0", 422, "limit must be greater than or equal to 1, but got '0'"),
        ("/studies?sort=size", 422, "sort must be 'name'"),
        ("/studies?state=asleep", 422, "but got 'asleep'"),
        ("/studies?cursor=x", 422, "cursor must be the `next` of an answer"),
        ("/studies/whole/trials?where=a:b", 422, "where must begin with a column"),
        ("/studies/whole/trials?offset=-1", 422, "offset must be greater than or equal to 0"),
        ("/studies/whole/trials/nothing", 404, "has no 'nothing'"),
        ("/studies/whole/tables/secrets", 404, ""),
        ("/studies/whole/anytime?over=miles", 422, "over must be"),
        ("/studies/whole/anytime?over=cost", 409, "declares what epochs cost"),
        ("/studies/whole/figures/anytime.gif", 422, "format must be"),
        ("/comparison", 422, "study"),
        ("/comparison?study=whole&study=nowhere", 404, "nowhere"),
        ("/nowhere", 404, "must be one of the service's"),
    ],
)
def test_a_wrong_question_is_answered_in_one_sentence(client: TestClient, path: str, status: int, said: str) -> None:
    found = client.get(f"{API}{path}")
    assert found.status_code in (status, 422)
    assert found.headers["content-type"] == "application/problem+json"
    problem = found.json()
    assert problem["status"] == found.status_code
    assert said in problem["detail"]
    assert "\n" not in problem["detail"]


def test_a_bug_is_answered_in_one_sentence_and_logged(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret of the code")

    monkeypatch.setattr("hpo.service.routes.tables.one_trial", broken)
    found = client.get(f"{API}/studies/interrupted/trials/any")
    assert (found.status_code, found.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in found.text
    assert "Content-Security-Policy" in found.headers
    assert "ZeroDivisionError: a secret of the code" in caplog.text


def test_a_store_that_is_away_is_503_and_says_when_to_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with asking(context("s3://arena/results", tmp_path)) as client:
        for path in ("/studies", "/studies/x", "/studies/x/trials"):
            found = client.get(f"{API}{path}")
            assert (found.status_code, int(found.headers["retry-after"]) > 0) == (503, True), path
            assert found.headers["content-type"] == "application/problem+json"


# -- events -------------------------------------------------------------------------------------------------------


def events(port: int, path: str, last: Any, token: str | None = None, **headers: str) -> list[dict[str, Any]]:
    """Returns the events of a stream up to the first for which `last` holds, or to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=sent | ({"Authorization": f"Bearer {token}"} if token else {}))
    response, found, current = connection.getresponse(), [], {}
    try:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers.get("content-encoding") is None
        while line := response.readline().decode():
            name, colon, value = line.rstrip("\n").partition(": ")
            if colon and name:
                current[name] = value
            elif current.get("event"):
                found.append(current | {"data": json.loads(current["data"])})
                current = {}
                if last(found[-1]):
                    break
    finally:
        connection.close()
    return found


def charged(event: dict[str, Any]) -> int:
    return sum(run["charged_epochs"] for run in event["data"]["run_list"]) if event["event"] == "study" else 0


def settled(event: dict[str, Any]) -> bool:
    return event["event"] == "summary" and event["data"]["budget"]["charged"] == 192


def test_events_follow_a_study_as_it_grows_and_go_on_after_a_break(tmp_path: Path) -> None:
    whole = played("growing", budget=48, seeds=(0,))
    write_study(str(tmp_path / "results"), whole, charges=60)
    path = f"{API}/studies/growing/events"
    with serving(context(tmp_path / "results", tmp_path / "cache")) as port, ThreadPoolExecutor() as pool:
        stream = pool.submit(events, port, path, lambda event: charged(event) == 192)
        others = pool.submit(events, port, f"{API}/events", settled)
        first = events(port, path, charged)[-1]
        assert charged(first) == 60
        study.StudyAnswer.model_validate(first["data"])
        write_study(str(tmp_path / "results"), whole)
        found = [event for event in stream.result(30) if event["event"] == "study"]
        assert charged(found[0]) == 60
        assert all(before["data"] != after["data"] for before, after in pairwise(found))
        numbers = [int(event["id"].partition(".")[0]) for event in found]
        assert numbers == sorted(set(numbers))
        assert others.result(30)[-1]["data"]["study"] == "growing"
        assert charged(events(port, path, charged, Last_Event_ID=first["id"])[-1]) == 192
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        client.request("GET", f"{API}/studies/growing/comparison")
        client.close()
        made = events(
            port, path, lambda e: e["event"] == "made" and e["data"]["what"] == "comparison", Last_Event_ID="1.x"
        )
        assert made[-1]["data"]["etag"]


def test_who_comes_back_is_told_what_changed_while_nobody_listened(tmp_path: Path) -> None:
    uri = str(tmp_path / "results")
    for name in ("before", "meanwhile"):
        write_study(uri, played(name, budget=16, seeds=(0,)))
    with serving(context(uri, tmp_path / "cache")) as port, ThreadPoolExecutor() as pool:
        stream = pool.submit(events, port, f"{API}/events", lambda event: event["data"]["study"] == "before")
        while not stream.done():  # from when on it listens, nobody knows
            notes.archive(uri, "before")
            time.sleep(0.2)
            notes.unarchive(uri, "before")
            time.sleep(0.2)
        time.sleep(1)  # so that the service, too, knows that nobody listens any more
        notes.archive(uri, "meanwhile")
        back = {"Last_Event_ID": stream.result()[-1]["id"]}
        told = events(port, f"{API}/events", lambda event: event["data"]["study"] == "meanwhile", **back)
        assert told[-1]["data"]["archived"] is True


def test_a_stream_ends_when_its_token_is_revoked(tmp_path: Path) -> None:
    write_study(str(tmp_path / "results"), played("s", budget=16, seeds=(0,)), charges=10)
    tokens = Tokens(tmp_path / "tokens.json", environment=SECRET, seconds=0.0)
    _, secret = tokens.add("ada", "view")
    access = Access(tokens, Sessions(tmp_path / "sessions.json", look=0.0))
    with (
        serving(context(tmp_path / "results", tmp_path / "cache", access=access)) as port,
        ThreadPoolExecutor() as pool,
    ):
        stream = pool.submit(events, port, f"{API}/studies/s/events", lambda event: False, secret)
        events(port, f"{API}/studies/s/events", charged, SECRET)
        tokens.revoke("ada")
        assert "study" in [event["event"] for event in stream.result(15)]
