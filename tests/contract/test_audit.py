"""What the audit log of every store must do, be it a folder, moto's S3 or a real S3 server."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import stores

from hpo.service.access import StoreAudit
from hpo.service.access.audit import BLOCK
from hpo.service.context import Caller
from hpo.service.problems import Problem
from hpo.storage.errors import StorageError, Unreachable
from hpo.storage.place import place
from hpo.store import studies

ALICE = Caller("alice", "run", "10.0.0.1")


@pytest.fixture(params=stores.PLACES)
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    made = stores.uri(request.param, tmp_path, monkeypatch)
    place(made).create("a-file", b"")  # a store that is there
    return made


def numbers(log: StoreAudit, limit: int) -> list[list[int]]:
    """The entries' numbers, page by page."""
    pages, cursor = [], None
    while True:
        entries, cursor = log.entries(limit, cursor)
        pages.append([entry["detail"]["n"] for entry in entries])
        if cursor is None:
            return pages


def test_entries_say_who_did_what_when_and_from_where(uri: str) -> None:
    log = StoreAudit(uri)
    assert log.entries() == ([], None)
    before = time.time()
    log.write(ALICE, "submit", study="digits", job="raysubmit_1", share=float("nan"), file="<b>\u2028\n" + "x" * 5000)
    ((entry,), cursor) = log.entries()
    assert cursor is None
    assert before - 0.01 <= entry.pop("time") <= time.time()
    detail = entry.pop("detail")
    assert entry == {"who": "alice", "role": "run", "from": "10.0.0.1", "what": "submit", "study": "digits"}
    assert (detail["job"], detail["share"]) == ("raysubmit_1", None)
    assert len(detail["file"]) <= 500


def test_pages_go_from_the_newest_to_the_oldest_and_none_is_lost_or_told_twice(uri: str) -> None:
    log = StoreAudit(uri)
    for n in range(7):
        log.write(ALICE, "log in", n=n)
        time.sleep(0.002)  # S3's names count milliseconds
    assert numbers(log, 3) == [[6, 5, 4], [3, 2, 1], [0]]
    assert numbers(log, 7) == [[6, 5, 4, 3, 2, 1, 0]]
    _, cursor = log.entries(3)
    log.write(ALICE, "log in", n=7)  # meanwhile
    assert [entry["detail"]["n"] for entry in log.entries(3, cursor)[0]] == [3, 2, 1]


def test_services_that_write_at_once_keep_every_entry(uri: str) -> None:
    logs = [StoreAudit(uri), StoreAudit(uri)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: logs[n % 2].write(ALICE, "log in", n=n), range(24)))
    assert sorted(n for page in numbers(logs[0], 9) for n in page) == list(range(24))
    assert studies(uri) == []  # the log is none


def test_a_cursor_of_no_page_is_refused(uri: str) -> None:
    log = StoreAudit(uri)
    log.write(ALICE, "log in")
    for cursor in ("-1", "../x", "1e9", "9" * 30, "\x00", "\N{ARABIC-INDIC DIGIT ONE}", ""):
        with pytest.raises(Problem, match="cursor must be the `next` of an answer") as refused:
            log.entries(10, cursor)
        assert refused.value.status == 422  # as of the list of studies


def test_an_entry_that_a_crash_cut_off_harms_no_other(tmp_path: Path) -> None:
    log, path = StoreAudit(str(tmp_path)), tmp_path / ".audit" / "log.jsonl"
    log.write(ALICE, "log in", n=0)
    with path.open("ab") as stream:
        stream.write(b'{"time": 17')
    log.write(ALICE, "log in", n=1)
    assert numbers(log, 10) == [[1, 0]]
    assert path.read_bytes().count(b"\n") == 3


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    log, path = StoreAudit(str(tmp_path)), tmp_path / ".audit" / "log.jsonl"
    path.parent.mkdir()
    lines = [json.dumps({"detail": {"n": n, "text": "x" * (n % 700)}}) for n in range(1000)]
    path.write_text("\n".join(lines) + "\n")
    assert path.stat().st_size > 3 * BLOCK
    assert [n for page in numbers(log, 77) for n in page] == list(range(999, -1, -1))


def test_what_cannot_be_recorded_is_told(tmp_path: Path) -> None:
    log = StoreAudit(str(tmp_path / "store"))
    (tmp_path / "store").write_text("")
    with pytest.raises(Unreachable, match="must be writable, but it is not"):
        log.write(ALICE, "log in")
    with pytest.raises(StorageError):
        StoreAudit(str(tmp_path / "store" / "below"))
