"""One writer a study, in every kind of store: leases, writers that died or fell silent, stores moved away or deleted."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import stores
from stores import cells, charge, epoch, key, open_writer

from hpo import store
from hpo.storage.place import place
from hpo.store import StoreError, delivery, layout, lease
from hpo.store.lease import Lease


@pytest.fixture(params=stores.PLACES)
def uri(request, tmp_path, monkeypatch):
    monkeypatch.setattr(delivery, "BATCH_SECONDS", 0.1)
    return stores.uri(request.param, tmp_path, monkeypatch)


def test_a_second_writer_is_refused_with_one_sentence_and_let_in_afterwards(uri):
    writer = open_writer(uri)
    with pytest.raises(
        StoreError, match=r"a study must have one writer, but s in .* process \d+ on .* since .*; stop it"
    ):
        open_writer(uri)
    open_writer(uri, study="other").close(compact=False)
    writer.close(compact=False)
    open_writer(uri).close(compact=False)


HOLDING = """
import sys
sys.path.insert(0, sys.argv[1])
from stores import open_writer
writer = open_writer(sys.argv[2])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("after", ["it died", "its parent noticed", "its number was given anew"])
def test_a_writer_that_died_on_this_machine_is_followed_at_once(tmp_path, after, caplog):
    uri, tests = str(tmp_path / "store"), Path(__file__).parents[1]
    command = [sys.executable, "-c", HOLDING, str(tests), uri]
    environment = {**os.environ, "PYTHONPATH": str(tests.parent)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=rf"is being written by process {holder.pid} on .* since"):
            open_writer(uri)
        holder.kill()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, but still in the table of processes
        if after != "it died":
            holder.wait()
        if after == "its number was given anew":
            name = layout.lease("s", 1)
            held = json.loads(place(uri).read(name))
            place(uri).replace(name, json.dumps({**held, "pid": os.getpid()}).encode())
        open_writer(uri).close(compact=False)
    assert "may be in use" not in caplog.text


def test_of_writers_that_come_at_once_one_wins(uri):
    where = place(uri)

    def try_it(_):
        try:
            return Lease.take(where, "s")
        except StoreError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(try_it, range(8)))
    refused = [text for text in found if isinstance(text, str)]
    assert len(refused) == 7
    assert all("a study must have one writer" in text for text in refused)


def elsewhere(uri, **changes):
    """A lease as a writer on another machine would have left it."""
    writer = open_writer(uri)
    name = layout.lease("s", 1)
    content = json.loads(place(uri).read(name))
    writer.close(compact=False)
    process = {"system": "another machine", "started": "1"}
    foreign = {**content, "host": "faraway", "process": process, "renewed": time.time() + 300, **changes}
    place(uri).replace(name, json.dumps(foreign).encode())
    return name, foreign


def test_a_writer_elsewhere_that_is_silent_loses_its_lease_whatever_the_clocks_say(uri, monkeypatch):
    monkeypatch.setattr(lease, "TTL_SECONDS", 0.6)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.2)
    elsewhere(uri)
    writer = open_writer(uri)
    assert place(uri).names("s/lease") == [layout.lease("s", 2)]
    writer.close(compact=False)


@contextlib.contextmanager
def renewing(uri, name, content):
    """The holder of a lease renews it as soon as somebody watches it; yields the moments at which it did."""

    class Watched(logging.Handler):
        def emit(self, record):
            seen.append(record.getMessage())
            place(uri).replace(name, json.dumps({**content, "renewed": 0}).encode())

    seen, handler = [], Watched()
    lease.log.addHandler(handler)
    try:
        yield seen
    finally:
        lease.log.removeHandler(handler)


# The last one seems an hour old, which may be the fault of the other machine's clock.
@pytest.mark.parametrize("age", [-300, 0, 3600 - 60])
def test_a_writer_elsewhere_that_renews_keeps_its_lease(uri, age, monkeypatch):
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.1)
    name, content = elsewhere(uri, renewed=time.time() - age)
    with renewing(uri, name, content) as seen, pytest.raises(StoreError, match=r"process .* on faraway since"):
        open_writer(uri)
    assert len(seen) == 1


def test_a_writer_elsewhere_that_was_last_seen_over_an_hour_ago_is_not_waited_for(uri):
    name, content = elsewhere(uri, renewed=time.time() - 3600 - 1)
    with renewing(uri, name, content) as seen:
        open_writer(uri).close(compact=False)
    assert seen == []


def test_a_writer_that_was_taken_over_writes_nothing_more(uri, monkeypatch):
    writer = open_writer(uri)
    epoch(writer, 1, 1)
    writer.flush()
    place(uri).create(layout.lease("s", 2), b"{}")
    writer._lease._renewed -= 2 * lease.RENEW_SECONDS  # as if that much time had passed
    with contextlib.suppress(StoreError):  # the first to notice is the delivery, or this call
        epoch(writer, 1, 2)
    with pytest.raises(StoreError, match="has taken over s in"):
        writer.flush()
    with pytest.raises(StoreError, match="has taken over s in"):
        epoch(writer, 1, 3)
    writer.close(compact=True)
    assert [e for _, e, _ in cells(store.read(uri))] == [1]


@pytest.mark.parametrize("uri", ["local"], indirect=True)
def test_a_writer_that_wakes_up_after_it_was_taken_over_accepts_no_result(uri, monkeypatch):
    monkeypatch.setattr(delivery, "BATCH_SECONDS", 3600.0)
    monkeypatch.setattr(delivery, "RENEW_SECONDS", 3600.0)  # the thread sleeps: the caller comes first
    asleep = open_writer(uri)
    mine = json.loads(place(uri).read(layout.lease("s", 1)))
    place(uri).replace(layout.lease("s", 1), json.dumps({**mine, "released": True}).encode())  # as good as silence
    awake = open_writer(uri)
    epoch(awake, 1, 1, 0.7)
    asleep._lease._renewed -= lease.TTL_SECONDS + 1  # as if that much time had passed
    with pytest.raises(StoreError, match="has taken over s in"):
        epoch(asleep, 1, 2)
    asleep.close(compact=False)
    awake.close(compact=False)
    assert [e for _, e, _ in cells(store.read(uri))] == [1]
    open_writer(uri).close(compact=False)
    assert [e for _, e, _ in cells(store.read(uri))] == [1]


# -- a store that is moved or deleted while it is written --------------------------------------------------------------


def move(old, new):
    """Moves a whole store, as `mv` or `aws s3 mv --recursive` would."""
    if not old.startswith("s3://"):
        Path(old).rename(new)
        return
    for entry in place(old).files():
        place(new).replace(entry.name, place(old).read(entry.name))
    place(old).delete_all()


def until_gone(writer, first):
    """Hands epochs over until the writer refuses; returns those that it took and its sentence."""
    taken = []
    for number in range(first, first + 200):
        try:
            epoch(writer, 1, number)
        except StoreError as error:
            return taken, str(error)
        taken.append(number)
        time.sleep(0.05)
    raise AssertionError("the writer went on")


@pytest.mark.parametrize("renewal", [False, True])
def test_a_store_that_is_moved_away_stops_its_writer_and_is_not_made_anew(uri, renewal, monkeypatch, tmp_path):
    monkeypatch.setenv("HPO_SPOOL", str(tmp_path / "state"))
    writer = open_writer(uri)
    with writer.journal() as log:
        for number in (1, 2):
            epoch(writer, 1, number)
            charge(writer, number - 1, 1, number)
        writer.flush()
        move(uri, f"{uri}-moved")
        if renewal:  # the lease is due before anything is delivered
            writer._lease._renewed -= 2 * lease.RENEW_SECONDS
        taken, said = until_gone(writer, 3)
        assert "a study must stay where it is while it is written, but s is gone from" in said
        assert "move it back, and the same command goes on" in said
        log.write("failed")
        writer.note({"device": ["cpu"]})
        with pytest.raises(StoreError, match="is gone from"):
            writer.flush()
        writer.close(compact=True)
    assert place(uri).files() == []
    assert not Path(uri).exists()
    assert cells(store.read(f"{uri}-moved")) == [(key(1).id, 1, 0), (key(1).id, 2, 0)]
    move(f"{uri}-moved", uri)
    again = open_writer(uri)
    assert [e for _, e, _ in cells(again.stored)] == [1, 2, *taken]  # nothing that was taken is lost
    for number in range(1, 9):  # as a driver that trains some of them again
        epoch(again, 1, number, 0.9)
        charge(again, number - 1, 1, number)
    again.close(compact=True)
    data = store.read(uri)
    assert [e for _, e, _ in cells(data)] == list(range(1, max(8, taken[-1] if taken else 0) + 1))
    assert data.charges.num_rows == 8
    assert list((tmp_path / "state").rglob("*.jsonl")) == []


def test_results_for_a_store_that_was_deleted_do_not_come_up_in_a_new_one(uri, monkeypatch, tmp_path):
    monkeypatch.setenv("HPO_SPOOL", str(tmp_path / "state"))
    writer = open_writer(uri)
    epoch(writer, 1, 1)
    writer.flush()
    place(uri).delete_all()
    until_gone(writer, 2)
    writer.close(compact=False)
    assert place(uri).files() == []
    new = open_writer(uri)
    assert new.stored.epochs.num_rows == 0
    new.close(compact=False)


def test_a_store_that_was_replaced_by_another_one_is_not_written_by_the_old_ones_writer(uri, monkeypatch, tmp_path):
    monkeypatch.setenv("HPO_SPOOL", str(tmp_path / "state"))
    writer = open_writer(uri)
    move(uri, f"{uri}-moved")
    with contextlib.suppress(StoreError):  # the delivery may notice first
        other = Lease.take(place(uri), "s")  # of the same number as the old one
    _, said = until_gone(writer, 1)
    assert "has taken over s in" in said or "is gone from" in said
    writer.close(compact=False)
    assert place(uri).names("s/lease") == [layout.lease("s", 1)]
    assert json.loads(place(uri).read(layout.lease("s", 1)))["token"] == other.token
    assert place(uri).names("s/epochs") == []
