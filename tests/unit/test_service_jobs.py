"""The service before a cluster: whose study an action is of, heads that are silent or start again, logs."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from job_list import JobList

from hpo.service.access import Access, Tokens
from hpo.service.context import Context, Settings
from hpo.service.readings import Readings
from hpo.service.submitting import logs as kept_logs
from hpo.service.submitting import queue
from hpo.service.submitting.drafts import Options, examine
from hpo.service.submitting.logs import Logs
from hpo.service.submitting.pending import Pending
from hpo.service.submitting.queue import Queue
from hpo.service.submitting.rules import Rules
from hpo.storage.place import place
from hpo.store import StudyWriter, layout
from hpo.store.state import Signs
from hpo.store.summary import Facts, to_bytes
from tests import serving
from tests.serving import API, asking

STUDY = """study: {name}
trainable: curves
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
budget: {{epochs: 12, max_epochs: 6}}
methods: [random]
"""


class Asked:
    """A service with a list of jobs, and callers with tokens of the role run."""

    def __init__(self, made: Context, client: TestClient, jobs: JobList) -> None:
        self.context, self.jobs, self._client = made, jobs, client
        assert made.access is not None
        assert made.access.tokens is not None
        self._tokens = {name: made.access.tokens.add(name, "run")[1] for name in ("anna", "bob")}

    def __call__(self, who: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        answer = self._client.request("POST" if body else "GET", API + path, json=body or None, headers=headers)
        return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("other")


@pytest.fixture(scope="module")
def service(other: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    tmp_path = tmp_path_factory.mktemp("service")
    (tmp_path / "store").mkdir()
    access = Access(Tokens(tmp_path / "tokens.json", seconds=0))
    made = serving.context(tmp_path / "store", tmp_path / "cache", access=access, stores=(str(other),))
    jobs = JobList()
    waiting = Queue(jobs, made.settings)
    readings = Readings(made.settings, seconds=0.05, jobs=Pending(waiting, made.settings.store))
    made = dataclasses.replace(made, queue=waiting, readings=readings)
    with pytest.MonkeyPatch.context() as patched, asking(made) as client:
        patched.setattr(queue, "SECONDS", 0.05)
        yield Asked(made, client, jobs)
        jobs.answers.set()


# -- whose study it is ------------------------------------------------------------------------------------------------


def test_a_suite_does_not_take_the_place_of_somebody_elses_study(service: Asked) -> None:
    status, first = service("anna", "/studies", text=STUDY.format(name="small"))
    assert status == 201, first
    service.jobs.end(first["job"])
    suite = STUDY.format(name="small") + "tasks: {a: {data: {seconds: 0.1}}, b: {data: {seconds: 0.2}}}\n"
    status, told = service("bob", "/studies", text=suite)
    assert (status, "belongs to anna" in told.get("detail", "")) == (403, True), told
    assert service("bob", "/studies", text=suite.replace("small", "mine"))[0] == 201


def test_a_study_of_another_store_is_its_owners_too(service: Asked, other: Path) -> None:
    text = STUDY.format(name="there") + f"store: {other}\n"
    plan = examine(text, None, Rules(str(other)), Options()).plans["there"]
    StudyWriter.open(
        str(other), study="there", definition=dict(plan["definition"]), digest=str(plan["digest"]), environment={},
        space_kinds=plan["kinds"],
    ).close(compact=False)  # fmt: skip
    place(str(other)).replace(layout.summary("there"), to_bytes(Facts(study="there", owner="anna"), Signs()))
    status, told = service("bob", "/studies", text=text)
    assert (status, "belongs to anna" in told.get("detail", "")) == (403, True), told
    assert service("anna", "/studies", text=text)[0] == 201


def test_a_study_that_goes_to_another_store_is_listed_as_its_job_is(service: Asked, other: Path) -> None:
    status, made = service("anna", "/studies", text=STUDY.format(name="away") + f"store: {other}\n")
    assert (status, service.context.queue is not None) == (201, True), made
    for ends, word in ((None, "running"), ("SUCCEEDED", "complete"), ("STOPPED", "stopped"), ("FAILED", "failed")):
        if ends:
            service.jobs.end(made["job"], ends)
        service.context.queue.look(anew=True)
        service.context.readings.forget("away")
        listed = next(one for one in service("bob", "/studies")[1]["studies"] if one["study"] == "away")
        page = service("bob", "/studies/away")[1]
        assert listed["state"] == page["state"]
        assert (page["state"]["word"], str(other) in page["state"]["sentence"]) == (word, True)
        assert (page["methods"], page["job"]["id"]) == (["random"], made["job"])
    assert service("anna", "/studies/away/plan")[0] == 200


# -- a head that is silent --------------------------------------------------------------------------------------------


def test_a_silent_head_holds_up_nothing_that_the_store_tells(service: Asked) -> None:
    assert service("anna", "/studies", text=STUDY.format(name="waits"))[0] == 201
    assert "waits" in {one["study"] for one in service("bob", "/studies")[1]["studies"]}
    service.jobs.answers.clear()
    threads = [threading.Thread(target=service, args=("bob", "/jobs")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        service.context.readings.forget("waits")
        assert "waits" in {one["study"] for one in service("bob", "/studies")[1]["studies"]}  # as it was told last
        assert service("bob", "/studies/waits/trials")[0] == 200
    assert service.jobs.gave_up == 0
    asked = service.jobs.asked
    service.jobs.answers.set()
    for thread in threads:
        thread.join(20)
    assert service.jobs.asked <= asked + 1  # those who waited were told what the one who asked was told


def test_a_look_that_began_before_a_change_does_not_count(tmp_path: Path) -> None:
    began, go = threading.Event(), threading.Event()

    class Slow(JobList):
        def jobs(self) -> list[Any]:
            found = super().jobs()
            if self.asked == 1:
                began.set()
                go.wait(20)
            return found

    looked = Queue(Slow(), Settings(str(tmp_path), tmp_path))
    first = threading.Thread(target=looked.look)
    first.start()
    assert began.wait(20)
    second = threading.Thread(target=looked.look, args=(True,))  # after a submission, for the next one's quota
    second.start()
    while looked._jobs._forgotten == float("-inf"):
        second.join(0.01)
    go.set()
    first.join(20)
    second.join(20)
    assert looked.cluster.asked == 2  # type: ignore[attr-defined]


# -- logs -------------------------------------------------------------------------------------------------------------


async def followed(logs: Logs, job: str) -> str:
    return "".join([piece.text async for piece in logs.follow(job, 0) if piece is not None])


def test_a_log_goes_on_after_the_head_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_logs, "AGAIN", 0.01)
    jobs = JobList()
    jobs.logged = [["one\n"], ["one\n", "two\n"], ["one\n", "two\nthree\n"]]
    assert asyncio.run(followed(Logs(jobs, tmp_path / "logs"), "a-1")) == "one\ntwo\nthree\n"


def test_logs_that_nobody_looks_at_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_logs, "LOGS", 2)
    more = threading.Event()

    class Running(JobList):
        def follow(self, job_id: str) -> Iterator[str]:
            yield f"{job_id}\n"
            more.wait(20)
            yield "more\n"

    async def play() -> None:
        logs = Logs(Running(), tmp_path / "logs")
        first = [await logs.piece(f"{number}-1", 0) for number in range(2)]
        assert [piece.text for piece in first] == ["0-1\n", "1-1\n"]
        looking = logs.follow("0-1", first[0].next)
        pending = asyncio.ensure_future(anext(looking))
        await asyncio.sleep(0)
        monkeypatch.setattr(kept_logs, "UNASKED", 0.0)
        assert [(await logs.piece(f"{number}-1", 0)).text for number in (2, 3)] == ["2-1\n", "3-1\n"]
        more.set()
        found = await asyncio.wait_for(pending, 20)  # who looks goes on, although the file is deleted
        assert found is not None
        assert found.text == "more\n"
        assert len(list((tmp_path / "logs").iterdir())) == 2

    asyncio.run(play())
