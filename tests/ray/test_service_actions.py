"""Submitting through the service on a real head that asks for a token: what runs, waits, is refused, and outlives the service."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ray_head import Head
from ray_nodes import BIN
from ray_service import Service, study

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    started = Head()
    try:
        started.server()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def service(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(head, tmp_path_factory.mktemp("service"))
    try:
        yield started
    finally:
        started.child.close()


def form(text: str, archive: bytes, **fields: str) -> tuple[bytes, str]:
    """Returns the body of a form and its media type."""
    mark, parts = "part-of-a-form", []
    for name, value in {"study": text, **fields}.items():
        parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    parts.append(
        f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="f.zip"\r\n'
        "Content-Type: application/zip\r\n\r\n".encode()
        + archive
        + f"\r\n--{mark}--\r\n".encode()
    )
    return b"".join(parts), f"multipart/form-data; boundary={mark}"


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return content.getvalue()


@pytest.mark.timeout(420)
def test_studies_outlive_the_service_that_submitted_them(service: Service, head: Head) -> None:
    ask, server = service.ask, head.server()
    status, told = ask("POST", "/studies", body={"text": study("first").replace("random", "ranodm")})
    assert (status, told["problems"][0]["line"]) == (422, 8)
    assert "did you mean 'random'" in told["detail"]

    # One study plays, and one waits for the only place.
    status, first = ask("POST", "/studies", body={"text": study("first"), "workers": 1}, Idempotency_Key="k1")
    assert status == 201, (first, service.child.text[-3000:])
    assert (first["study"], first["owner"]) == ("first", "anna")
    service.until(lambda: service.charged("first") >= 1)
    table = zipped(recipes_csv="learning_rate\n0.001\n0.01\n0.1\n")
    listed = study("second", seconds=0, epochs=12).replace(
        "  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}", "  candidates: recipes.csv"
    )
    body, media = form(listed, table, retries="1")
    status, second = ask("POST", "/studies", body=body, Content_Type=media, Idempotency_Key="k2")
    assert (status, second["study"]) == (201, "second"), second
    assert service.word("second") == "queued"
    found = {one["study"]: one["state"]["word"] for one in ask("GET", "/studies", "vera")[1]["studies"]}
    assert found == {"first": "running", "second": "queued"}
    assert ask("GET", "/studies/second")[1]["methods"] == ["random"]

    # The service is killed and started again: nobody notices, and the same requests submit nothing.
    before = service.charged("first")
    service.kill()
    for path in (service.store / ".service" / "keys").iterdir():  # as if it had been killed before it kept its answers
        path.write_text(json.dumps({**json.loads(path.read_text()), "answer": None}))
    service.start()
    assert ask("POST", "/studies", body=body, Content_Type=media, Idempotency_Key="k2") == (201, second)
    assert ask("POST", "/studies", body={"text": study("first"), "workers": 1}, Idempotency_Key="k1") == (201, first)
    status, told = ask("POST", "/studies", body={"text": study("other")}, Idempotency_Key="k1")
    assert (status, "another" in told["detail"]) == (409, True)
    assert [job.id for job in server.jobs() if job.helper is None] == [second["job"], first["job"]]
    service.until(lambda: service.charged("first") > before)
    assert service.word("second") == "queued"
    status, told = ask("POST", "/studies", body={"text": study("first")})
    assert (status, "one job at a time" in told["detail"]) == (409, True)
    status, told = ask("POST", "/studies", body={"text": study("first", epochs=900)})
    assert (status, "budget" in told["detail"]) == (409, True), told

    # Its log is read in pieces, and followed.
    status, piece = ask("GET", f"/jobs/{first['job']}/log", "vera")
    assert status == 200
    assert piece["text"]
    assert not piece["ended"]
    status, rest = ask("GET", f"/jobs/{first['series']}/log?offset={piece['next']}", "vera")
    assert rest["next"] >= piece["next"]

    # Only its owner and admins stop it.
    for who, path, expected in (
        ("vera", "stop", 403),
        ("bob", "stop", 403),
        ("bob", "archive", 403),
        ("vera", "continue", 403),
    ):
        assert ask("POST", f"/studies/first/{path}", who)[0] == expected
    assert ask("POST", "/studies/none/stop")[0] == 404
    status, told = ask("POST", "/studies/first/archive")
    assert (status, "stop it first" in told["detail"]) == (409, True)
    status, stopped = ask("POST", "/studies/first/stop")
    assert (status, stopped["job"]) == (200, first["job"])
    service.until(lambda: service.word("first") == "stopped")
    charged = service.charged("first")

    # The one that waited has the place, and its files; the other goes on where it was, and waits.
    service.until(lambda: service.word("second") == "complete")
    status, told = ask("POST", "/studies/second/continue")
    assert (status, "complete" in told["detail"]) == (409, True)
    status, again = ask("POST", "/studies/first/continue", body={"retries": 1}, Idempotency_Key="k3")
    assert (status, again["job"] != first["job"]) == (200, True), again
    assert ask("POST", "/studies/first/continue", body={"retries": 1}, Idempotency_Key="k3")[1]["job"] == again["job"]
    service.until(lambda: service.charged("first") > charged)

    # A service that is told to end waits for no job, but asks each to stop that it was to stop.
    log = service.store / ".audit" / "log.jsonl"
    with ThreadPoolExecutor(1) as asked:
        stop = asked.submit(ask, "POST", "/studies/first/stop", "root")
        service.until(lambda: '"who": "root"' in log.read_text())
        service.end()
        assert stop.result()[0] in (200, 503)  # whether the job ended within the grace that answers have
    service.start()
    service.until(lambda: service.word("first") == "stopped")
    assert all(job.done for job in server.series(again["job"]))
    with urllib.request.urlopen(
        urllib.request.Request(
            f"http://127.0.0.1:{service.port}/api/v1/jobs/{first['job']}/log/follow",
            headers={"Authorization": f"Bearer {service.tokens['vera']}"},
        ),
        timeout=60,
    ) as stream:
        events = stream.read().decode()
    assert events.rstrip().endswith("event: end\ndata: {}")
    assert ask("POST", "/studies/second/archive")[1]["archived"] is True
    assert [one["study"] for one in ask("GET", "/studies")[1]["studies"]] == ["first"]
    assert ask("POST", "/studies/second/unarchive")[1]["archived"] is False
    noted = [(entry["who"], entry["what"], entry["study"]) for entry in ask("GET", "/audit", "root")[1]["entries"]]
    assert noted[-3:] == [("anna", "stop", "first"), ("anna", "submit", "second"), ("anna", "submit", "first")]


@pytest.mark.timeout(300)
def test_quotas_hold_for_requests_at_once_and_after_a_restart(head: Head, tmp_path: Path) -> None:
    service = Service(head, tmp_path, "--studies-at-a-time", 2, "--slots", 3, "--epochs-a-day", 1500)
    ask, server = service.ask, head.server()

    def jobs() -> list[str]:
        return sorted(str(job.study) for job in server.jobs() if job.helper is None and job.store == str(service.store))

    try:
        with ThreadPoolExecutor(6) as pool:
            texts = [study(f"race{i}", epochs=600) for i in range(6)]
            answers = list(pool.map(lambda text: ask("POST", "/studies", "bob", {"text": text, "workers": 1}), texts))
            assert sorted(status for status, _ in answers) == [201, 201, 429, 429, 429, 429], answers
            made = sorted(told["study"] for status, told in answers if status == 201)
            assert jobs() == made
            assert all("at most 2 studies" in told["detail"] for status, told in answers if status == 429)

            # One key at once makes one job; another owner has quotas of its own.
            same = [
                pool.submit(ask, "POST", "/studies", "anna", {"text": study("mine")}, Idempotency_Key="k")
                for _ in range(4)
            ]
            answers = [each.result() for each in same]
        assert {(status, told["job"]) for status, told in answers} == {(201, answers[0][1]["job"])}
        assert jobs() == sorted(["mine", *made])
        waiting = next(job for job in server.jobs() if job.study == "mine")
        assert "--workers 3" in waiting.entrypoint
        service.kill()
        service.start()
        status, told = ask("POST", "/studies", "bob", {"text": study("after")})
        assert (status, "bob has 2" in told["detail"]) == (429, True)
        status, told = ask("POST", "/studies", "anna", {"text": study("after", epochs=12)})
        assert (status, "3 slots" in told["detail"]) == (429, True), told

        # Who stops a study that waits has room again, up to the epochs of a day.
        assert ask("POST", "/studies/mine/stop", "anna")[0] == 200
        service.until(lambda: service.word("mine") == "stopped", 200)
        status, told = ask("POST", "/studies", "anna", {"text": study("large", epochs=1506)})
        assert (status, "1,500 epochs a day" in told["detail"]) == (429, True), told
        status, told = ask("POST", "/studies", "anna", {"text": study("small", epochs=12, seconds=0), "workers": 3})
        assert status == 201, told
        assert ask("POST", f"/studies/{made[0]}/stop", "anna")[0] == 403
        for name in made:
            assert ask("POST", f"/studies/{name}/stop", "root")[0] == 200
        entries = ask("GET", "/audit", "root")[1]["entries"]
        assert {"who": "root", "what": "stop"}.items() <= entries[0].items()
    finally:
        service.child.close()


@pytest.mark.timeout(120)
def test_what_is_sent_wrong_is_refused_in_a_sentence_and_leaves_nothing(service: Service, head: Head) -> None:
    ask, before = service.ask, len(head.server().jobs())
    text = study("wrong")
    slip, media = form(text, zipped(**{"../../evil_csv": "x"}))
    code, _ = form(text, zipped(sitecustomize_py="import os"))
    bomb, _ = form(text, zipped(a_csv="0" * 20_000_000))
    for body, headers, expected in (
        (b"{", {}, 422), (b"[" * 100_000, {}, 422), (b"study: x", {"Content_Type": "text/yaml"}, 415), (b"{}", {}, 422),
        ({"text": text, "study": {}}, {}, 422), ({"text": text, "retries": -1}, {}, 422), ({"text": text, "more": 1}, {}, 422),
        ({"text": "x" * 299_999}, {}, 413), ({"text": "\ud800"}, {}, 422), ({"study": {"study": "<b>\u2603"}}, {}, 422),
        ({"text": text, "queue": "fast"}, {}, 403), ({"text": f"{text}owner: bob\n"}, {}, 403),
        ({"text": text.replace("curves", "os:system")}, {}, 403), ({"text": text, "methods": "os:system"}, {}, 403),
        ({"text": f"{text}store: /etc\n"}, {}, 403), ({"text": text, "seeds": "a"}, {}, 422),
        (slip, {"Content_Type": media}, 422), (code, {"Content_Type": media}, 422), (bomb, {"Content_Type": media}, 422),
        (b"--x", {"Content_Type": "multipart/form-data; boundary=x"}, 422), (b"x", {"Content_Type": "multipart/form-data"}, 422),
        ({"text": text}, {"Idempotency_Key": "k" * 300}, 422),
    ):  # fmt: skip
        status, told = ask("POST", "/studies", body=body, **headers)
        assert (status, told.get("status"), bool(told.get("detail"))) == (expected, expected, True), (
            str(body)[:500],
            told,
        )
    for who in ("vera", None):
        assert ask("POST", "/studies", who, {"text": text})[0] in (401, 403)
    assert ask("POST", "/drafts/check", "vera", {"text": text})[1]["ok"] is True
    checked = ask("POST", "/drafts/check", "vera", {"text": text.replace("random", "ranodm")})[1]
    assert [(one["line"], one["column"]) for one in checked["problems"]] == [(8, 11)]
    assert ask("GET", "/jobs/none")[0] == ask("GET", "/jobs/..%2f..%2fetc/log")[0] == 404
    assert len(head.server().jobs()) == before
    assert not list((service.folder / "cache").glob("submitting-*"))


@pytest.mark.timeout(420)
def test_a_laptop_hands_a_study_over_watches_it_stops_it_and_goes_on(service: Service, tmp_path: Path) -> None:
    laptop = {name: value for name, value in os.environ.items() if not name.startswith(("HPO_", "RAY_", "XDG_"))}
    laptop |= {"HPO_SERVICE_TOKEN": service.tokens["anna"], "XDG_CONFIG_HOME": str(tmp_path), "NO_COLOR": "1"}
    url = f"http://127.0.0.1:{service.port}"

    def started(*words: object) -> subprocess.Popen[str]:
        command = [BIN / "python", "-m", "hpo.cli", "--service", url, *words]
        return subprocess.Popen(
            list(map(str, command)), env=laptop, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def hpo(*words: object) -> tuple[int, str, str]:
        process = started(*words)
        out, told = process.communicate(timeout=200)
        return process.returncode, out, told

    listed = study("short", seconds=0, epochs=12).replace(
        "  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}", "  candidates: recipes.csv"
    )
    (tmp_path / "short.yaml").write_text(listed)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "recipes.csv").write_text("learning_rate\n0.001\n0.01\n0.1\n")
    (tmp_path / "long.yaml").write_text(study("long"))
    code, out, told = hpo("run", "short.yaml", "--workers", 1, "--working-dir", "own", "--format", "json")
    assert code == 0, told
    assert json.loads(out)["runs"][0]["charged_epochs"] == 12
    assert f"submitted short: {url}/studies/short" in told
    assert "12 of 12 epochs charged" in told
    assert (tmp_path / "short.html").stat().st_size > 10_000

    (tmp_path / "wrong.yaml").write_text(study("wrong").replace("random", "ranodm"))
    code, out, told = hpo("run", "wrong.yaml")
    assert (code, out) == (2, "")
    assert told.startswith("hpo: wrong.yaml:8:11: ")

    # Ctrl-C ends the watch alone, and says how to stop the study and how to watch it again.
    watching = started("run", "long.yaml", "--workers", 1, "--plain")
    service.until(lambda: service.charged("long") >= 1)
    watching.send_signal(signal.SIGINT)
    told = watching.communicate(timeout=60)[1]
    assert watching.returncode == 130, told
    assert f"to stop it: `hpo --service {url} stop long`; to continue: hpo --service {url} watch long" in told
    assert service.word("long") == "running"

    watching = started("watch", "long", "--quiet")
    assert hpo("stop", "long")[:2] == (0, "long stops\n")
    told = watching.communicate(timeout=120)[1]
    assert watching.returncode == 130, told
    assert f"to continue: hpo --service {url} continue long" in told
    assert "epochs" in hpo("logs", "long", "--no-follow")[1]
    code, out, told = hpo("submit", "long.yaml", "--budget", 900)
    assert (code, out, "budget" in told) == (2, "", True)

    assert hpo("continue", "long")[:2] == (0, "long goes on\n")
    service.until(lambda: service.word("long") == "running")
    assert "long" in hpo("jobs")[1]
    assert hpo("stop", "long")[0] == 0
