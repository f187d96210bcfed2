"""Events for many listeners: written once, resumed by their ids, and a slow listener keeps nobody waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.service import streams
from hpo.service.routes import events
from hpo.service.streams import HEARTBEAT, KEPT, Stream
from hpo.store.errors import Unreachable
from hpo.store.state import State
from hpo.store.summary import Facts, Summary


def parsed(block: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in block.decode().strip().splitlines())


async def take(events: AsyncIterator[bytes], count: int) -> list[dict[str, str]]:
    """Returns the next events, without heartbeats and the advice when to connect again."""
    found: list[dict[str, str]] = []
    while len(found) < count:
        block = await asyncio.wait_for(anext(events), 10)
        if block.startswith(b"id:"):
            found.append(parsed(block))
    return found


async def forever(stream: Stream) -> None:
    await asyncio.sleep(3600)


def played(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_listener_is_told_the_newest_state_and_what_follows() -> None:
    async def scenario() -> None:
        stream = Stream(forever)
        first = stream.listen()
        stream.state("study", b"1", "a")
        stream.state("study", b"2", "b")
        assert [e["data"] for e in await take(first, 1)] == ["2"]
        stream.state("study", b"2", "b")  # nothing new
        stream.news("made", b"{}")
        stream.state("study", b"3", "c")
        found = await take(first, 2)
        assert [(e["event"], e["data"]) for e in found] == [("made", "{}"), ("study", "3")]
        numbers = [int(e["id"].partition(".")[0]) for e in found]
        assert numbers == sorted(set(numbers))
        await first.aclose()

    played(scenario)


def test_a_stream_goes_on_after_the_event_that_a_listener_had_last() -> None:
    async def scenario() -> None:
        stream = Stream(forever)
        keep = stream.listen()
        await anext(keep)  # somebody listens all the time
        stream.state("study", b"1", "a")
        stream.news("made", b"one")
        (state, made) = await take(stream.listen("0.x"), 2)
        stream.news("made", b"two")
        again = await take(stream.listen(made["id"]), 2)
        assert [e["data"] for e in again] == ["1", "two"]  # its id names no state: the state is told again
        stream.news("made", b"three")
        later = await take(stream.listen(state["id"]), 3)
        assert [e["data"] for e in later] == ["one", "two", "three"]
        fresh = stream.listen()
        assert [e["event"] for e in await take(fresh, 1)] == ["study"]  # a new listener hears no old news
        await keep.aclose()

    played(scenario)


@pytest.mark.parametrize("last", ["x", "-1", "1e9", "9" * 50, "١٢.a", "1.2.3"])
def test_an_id_that_is_none_starts_anew(last: str) -> None:
    async def scenario() -> None:
        stream = Stream(forever)
        stream.state("study", b"1", "a")
        assert [e["data"] for e in await take(stream.listen(last), 1)] == ["1"]

    played(scenario)


def test_a_slow_listener_keeps_nobody_waiting_and_misses_no_news_that_is_kept() -> None:
    async def scenario() -> None:
        stream = Stream(forever)
        slow, quick = stream.listen(), stream.listen()
        await anext(slow)
        await anext(quick)
        for number in range(KEPT + 50):
            stream.news("made", b"%d" % number)
            stream.state("study", b"state", str(number))
        assert len([e for e in await take(quick, KEPT + 1) if e["event"] == "made"]) == KEPT
        found = await take(slow, KEPT + 1)
        assert [e["data"] for e in found if e["event"] == "made"] == [str(n) for n in range(50, KEPT + 50)]
        assert sum(e["event"] == "study" for e in found) == 1

    played(scenario)


def test_a_quiet_stream_shows_that_it_lives() -> None:
    async def scenario() -> None:
        stream = Stream(forever)
        events = stream.listen(quiet=0.01)
        assert (await anext(events)).startswith(b"retry:")
        assert await anext(events) == HEARTBEAT

    played(scenario)


def test_the_source_runs_while_somebody_listens_and_ends_the_stream() -> None:
    async def scenario() -> None:
        runs = []

        async def pump(stream: Stream) -> None:
            runs.append("begun")
            try:
                stream.state("study", b"1", "a")
                await asyncio.sleep(3600)
            finally:
                runs.append("ended")

        stream = Stream(pump)
        assert stream.idle
        one, two = stream.listen(), stream.listen()
        await take(one, 1)
        await take(two, 1)
        await one.aclose()
        assert runs == ["begun"]
        await two.aclose()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert runs == ["begun", "ended"]
        await take(stream.listen(), 1)
        assert runs == ["begun", "ended", "begun"]

    played(scenario)


def test_a_source_that_ends_ends_the_stream_after_its_last_word() -> None:
    async def scenario() -> None:
        async def pump(stream: Stream) -> None:
            stream.news("gone", b"bye")

        stream = Stream(pump)
        found = [block async for block in stream.listen()]
        assert [parsed(b)["data"] for b in found if b.startswith(b"id:")] == ["bye"]

    played(scenario)


def test_a_source_that_breaks_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "AGAIN_SECONDS", 0.01)

    async def scenario() -> None:
        tries = []

        async def pump(stream: Stream) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise KeyError("a bug")
            stream.state("study", b"1", "a")
            await asyncio.sleep(3600)

        assert [e["data"] for e in await take(Stream(pump).listen(), 1)] == ["1"]

    played(scenario)


def test_what_changed_while_the_store_was_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "AGAIN_SECONDS", 0.01)

    def summary(study: str, runs: int) -> Summary:
        return Summary.of(Facts(study=study, runs=runs), State("complete", None, ""), archived=False, verdict=None)

    class Readings:
        looks = 0

        async def summaries(self) -> list[Summary]:
            return [summary("same", 1), summary("grew", 1 + self.looks)]

        async def summary_changes(self) -> AsyncIterator[Summary]:
            self.looks += 1
            if self.looks == 1:
                raise Unreachable("the store is away")
            await asyncio.sleep(3600)
            yield summary("never", 0)

    async def scenario() -> None:
        context: Any = SimpleNamespace(readings=Readings())
        stream = Stream(lambda stream: events._follow_all(context, stream, {}))
        found = await take(stream.listen(), 2)
        assert [e["event"] for e in found] == ["trouble", "summary"]
        told = json.loads(found[1]["data"])
        assert (told["study"], told["runs"]) == ("grew", 2)

    played(scenario)
