"""The service's readings of real stores: shared, incremental, within a limit of memory, and away when the store is."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import faulty
from s3_servers import S3Server

from hpo.files import unpack
from hpo.service.context import STANDING, Reading, Settings
from hpo.service.problems import Problem
from hpo.service.readings import Readings
from hpo.service.readings.study import NoJobs
from hpo.storage.local import LocalPlace
from hpo.storage.place import place
from hpo.store import StoreError, Unreachable, layout, listing, notes, read, schema
from tests import stores
from tests.stores import charge, epoch, open_writer
from tests.synthetic_study import played, write_study

RECORDED = Path(__file__).parents[1] / "recorded_stores"


def running(uri: str, act: Callable[[Readings], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with Readings(Settings(uri, Path()), **{"seconds": 0.02, **options}) as readings:
            await act(readings)

    asyncio.run(whole())


@pytest.mark.parametrize("name", ["complete", "interrupted"])
def test_a_store_of_an_earlier_version_is_read_as_the_command_line_does(name: str, tmp_path: Path) -> None:
    with tarfile.open(RECORDED / f"{name}.tar.gz") as archive:
        unpack(archive, tmp_path)
    uri = str(tmp_path / "store")

    async def act(readings: Readings) -> None:
        (summary,) = await readings.summaries()
        reading = await readings.reading(summary.study)
        whole = read(uri)
        for table in schema.TABLES:
            assert getattr(reading.data, table).equals(getattr(whole, table)), table
        assert reading.state.word == summary.state.word == listing.one(uri, summary.study).state.word
        assert reading.summary.charged == summary.charged == whole.charges.num_rows
        assert (await readings.reading(summary.study)) is reading

    running(uri, act)


def test_a_bundle_is_served_too() -> None:
    async def act(readings: Readings) -> None:
        (summary,) = await readings.summaries()
        reading = await readings.reading(summary.study)
        assert reading.state.word == "complete"
        assert reading.data.charges.num_rows == reading.summary.charged

    running(str(RECORDED / "digits.tar.gz"), act)


@pytest.mark.parametrize("kind", stores.PLACES)
def test_listeners_see_a_study_grow_stop_and_end(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = stores.uri(kind, tmp_path, monkeypatch)
    methods = [{"label": "random", "name": "random", "options": {}}]
    plan: dict[str, Any] = {"methods": methods, "seeds": [0], "budget": {"epochs": 4}}

    async def act(readings: Readings) -> None:
        writer = await asyncio.to_thread(open_writer, uri, **plan)
        seen = []

        async def listen() -> None:
            async with aclosing(readings.changes("s")) as changes:
                async for reading in changes:
                    seen.append((reading.data.epochs.num_rows, reading.state.word, reading.version))
                    if reading.state.word in ("complete", "stopped"):
                        return

        listeners = [asyncio.create_task(listen()) for _ in range(5)]
        for number in range(3):
            epoch(writer, number, 1)
            charge(writer, number, number, 1)
            await asyncio.to_thread(writer.flush)
            while not seen or seen[-1][0] < number + 1:
                await asyncio.sleep(0.01)
        assert seen[-1][1] == "running"
        await asyncio.to_thread(writer.close, compact=False)
        await asyncio.gather(*listeners)
        assert seen[-1][:2] == (3, "stopped")
        assert len({version for _, _, version in seen}) * 5 <= len(seen) + 15  # every listener saw them
        reading = await readings.reading("s")
        assert reading.summary.updated is not None

    running(uri, act)


def test_a_finished_study_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(tmp_path)
    write_study(uri, played("one", methods=("random",), budget=32, seeds=(0,)))
    names: list[str] = []
    original = LocalPlace.read

    def noted(self: LocalPlace, name: str) -> bytes | None:
        names.append(name)
        return original(self, name)

    monkeypatch.setattr(LocalPlace, "read", noted)

    async def act(readings: Readings) -> None:
        first = await readings.reading("one")
        assert any(name.endswith(".parquet") for name in names)
        names.clear()
        async with aclosing(readings.changes("one")) as changes:
            assert await anext(changes) is first
            await asyncio.sleep(0.3)
        assert not any(name.endswith((".parquet", "study.json")) for name in names)

    running(uri, act)


def test_the_version_changes_with_anything_of_the_study(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    epoch(writer, 0, 1)
    writer.flush()

    async def act(readings: Readings) -> None:
        async def version() -> tuple[str, str]:
            readings.forget("s")
            reading = await readings.reading("s")
            return reading.version, reading.contents

        versions = [await version()]
        assert await version() == versions[0]

        async def changed(contents: bool) -> None:
            versions.append(await version())
            assert versions[-1][0] not in [before for before, _ in versions[:-1]]
            assert (versions[-1][1] != versions[-2][1]) == contents

        epoch(writer, 0, 2)
        writer.flush()
        await changed(contents=True)
        writer.snapshot([], [])
        writer.flush()
        await changed(contents=True)
        writer.close(compact=True)
        await changed(contents=True)
        notes.archive(uri, "s", by="somebody")
        await changed(contents=False)
        assert (await readings.reading("s")).summary.archived
        notes.note_verdict(uri, "s", "undecided", charged=0)
        await changed(contents=False)
        notes.unarchive(uri, "s")
        await changed(contents=False)

    running(uri, act)


def test_a_new_reading_has_derived_what_the_last_one_was_asked_for(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri, budget={"epochs": 4})

    async def act(readings: Readings) -> None:
        async def charged(number: int) -> Reading:
            epoch(writer, number, 1)
            charge(writer, number, number, 1)
            writer.flush()
            readings.forget("s")
            return await readings.reading("s")

        first = await charged(0)
        assert first.made.found(STANDING) is None  # nobody asked
        assert first.standing.trials.num_rows == 1
        second = await charged(1)
        known = second.made.found(STANDING)
        assert known is not None
        assert known.trials.num_rows == 2
        notes.archive(uri, "s", by="somebody")
        readings.forget("s")
        third = await readings.reading("s")
        assert third is not second
        assert third.standing is known  # its rows are the same

    running(uri, act)
    writer.close(compact=False)


def test_a_study_that_is_deleted_is_gone_and_another_of_its_name_is_another(tmp_path: Path) -> None:
    uri = str(tmp_path)
    for number in (1, 2):
        writer = open_writer(uri, study="s", digest=f"d{number}")
        epoch(writer, number, 1)
        writer.close(compact=True)
        if number == 1:
            shutil.move(tmp_path / "s", tmp_path.parent / "first")
    shutil.move(tmp_path / "s", tmp_path.parent / "second")
    shutil.copytree(tmp_path.parent / "first", tmp_path / "s")

    async def act(readings: Readings) -> None:
        first = await readings.reading("s")
        async with aclosing(readings.changes("s")) as changes:
            assert await anext(changes) is first
            shutil.rmtree(tmp_path / "s")
            with pytest.raises(Problem, match="has no 's'") as caught:
                await anext(changes)
            assert caught.value.status == 404
        with pytest.raises(Problem):
            await readings.reading("s")
        assert readings.kept == {}
        shutil.copytree(tmp_path.parent / "second", tmp_path / "s")
        second = await readings.reading("s")
        assert (first.data.digest, second.data.digest) == ("d1", "d2")
        assert second.version != first.version

    running(uri, act)
    shutil.rmtree(tmp_path.parent / "first")
    shutil.rmtree(tmp_path.parent / "second")


@pytest.mark.parametrize(
    "name",
    [
        "none",
        "../s",
        "s/../s",
        ".studies",
        "<b>s</b>",
        "studie\u0301",
        pytest.param("a\0b", id="zero"),
        "",
        pytest.param("x" * 5000, id="long"),
    ],
)
def test_a_name_of_no_study_is_a_404_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    write_study(str(tmp_path / "in"), played("s", methods=("random",), budget=16, seeds=(0,)))

    async def act(readings: Readings) -> None:
        with pytest.raises(Problem) as caught:
            await readings.reading(name)
        assert caught.value.status == 404
        with pytest.raises(Problem):
            await anext(readings.changes(name))
        assert readings.kept == {}

    running(str(tmp_path / "in"), act)


def test_readings_stay_within_the_memory(tmp_path: Path) -> None:
    uri = str(tmp_path)
    for number in range(4):
        write_study(uri, played(f"s{number}", methods=("random",), budget=32, seeds=(0,)))

    async def act(readings: Readings) -> None:
        async with aclosing(readings.changes("s0")) as changes:
            await anext(changes)
            for number in (1, 2, 3):
                reading = await readings.reading(f"s{number}")
                await reading.later("large", lambda: bytes(2**20))
                readings._fitted = 0.0
            readings._fitted = 0.0
            await readings.reading("s3")
            assert set(readings.kept) == {"s0", "s3"}  # one that is listened to, and the newest

    running(uri, act, memory=3 * 2**19)


def test_summaries_change_with_their_studies(tmp_path: Path) -> None:
    uri = str(tmp_path)
    for number in range(3):
        write_study(uri, played(f"s{number}", methods=("random",), budget=16, seeds=(0,)))

    async def act(readings: Readings) -> None:
        assert [summary.study for summary in await readings.summaries()] == ["s0", "s1", "s2"]
        async with aclosing(readings.summary_changes()) as changes:
            change = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.1)
            notes.archive(uri, "s1")
            found = await change
            assert (found.study, found.archived) == ("s1", True)

    running(uri, act)


def test_a_list_and_a_page_tell_the_same_end(tmp_path: Path) -> None:
    uri = str(tmp_path)
    write_study(uri, played("over", methods=("random",), budget=8, seeds=(0,)))
    writer = open_writer(uri)
    epoch(writer, 0, 1)
    writer.close(compact=False)

    async def act(readings: Readings) -> None:
        for listed in await readings.summaries():
            assert (await readings.reading(listed.study)).state == listed.state
            assert listed.state.since is not None

    running(uri, act)


class Queued(NoJobs):
    """A cluster on which a job for the study waits."""

    def waiting(self) -> Mapping[str, float]:
        return {"s": 1.7e9}


def test_a_queued_study_waits(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    epoch(writer, 0, 1)
    writer.close(compact=False)

    async def act(readings: Readings) -> None:
        assert (await readings.reading("s")).state.word == "queued"
        assert (await readings.summaries())[0].state.word == "queued"

    running(uri, act, jobs=Queued())


def test_a_store_that_is_away_says_so_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(stores.server("moto")) as proxy:
        away = S3Server("proxy", proxy.url, strict=False)
        uri = stores.bucket(away, tmp_path, monkeypatch)
        writer = open_writer(uri)
        epoch(writer, 0, 1)
        writer.close(compact=True)

        async def act(readings: Readings) -> None:
            first = await readings.reading("s")
            async with aclosing(readings.changes("s")) as changes:
                await anext(changes)
                proxy.add("refused", times=None)
                with pytest.raises(Unreachable):
                    await anext(changes)
            with pytest.raises(StoreError):
                await readings.summaries()
            proxy.clear()
            while True:
                with suppress(Unreachable):
                    assert (await readings.reading("s")).contents == first.contents
                    break
                readings.forget("s")
                await asyncio.sleep(0.05)

        running(uri, act)


def test_a_reading_is_whole_while_its_files_are_merged(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    for number in range(20):
        epoch(writer, number, 1)
        charge(writer, number, number, 1)
        writer.flush()
    where = place(uri)

    async def act(readings: Readings) -> None:
        rows = []

        async def look() -> None:
            while True:
                readings.forget("s")
                data = (await readings.reading("s")).data
                rows.append((data.epochs.num_rows, data.charges.num_rows))
                assert set(data.charges["trial"].to_pylist()) <= set(data.epochs["trial"].to_pylist())

        looking = asyncio.create_task(look())
        await asyncio.to_thread(writer.close, compact=True)
        await asyncio.sleep(0.1)
        looking.cancel()
        assert set(rows) == {(20, 20)}
        assert [layout.is_whole(name) for name in where.names("s/epochs")] == [True]

    running(uri, act)
