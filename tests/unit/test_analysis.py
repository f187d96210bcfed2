"""Analyses are made in processes of their own, once for each state of the studies, and kept on disk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.report.html import page
from hpo.report.record_section import command_of
from hpo.results.compare import compare, compare_many
from hpo.results.importance import importance_or_none
from hpo.service.analysis import Analysis
from hpo.service.analysis.shelf import Shelf
from hpo.service.context import Made, Making, Reading, Settings
from hpo.service.problems import Problem
from hpo.store import StudyData, read, schema
from hpo.store.state import State
from tests.synthetic_study import played, write_study

OVER = State("complete", None, "It is complete.")
RUNNING = State("running", None, "It runs.")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = str(tmp_path_factory.mktemp("store"))
    for name in ("one", "two"):
        write_study(uri, played(name, methods=("grid", "random"), budget=96, seeds=(0, 1)))
    return uri


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


Act = Callable[[Analysis], Coroutine[Any, Any, None]]


def reading(data: StudyData, version: str = "1", state: State = OVER) -> Reading:
    return Reading(data, state, None, version, contents=version)  # type: ignore[arg-type]  # makers need no summary


def running(store: str, cache: Path, act: Act, **options: Any) -> None:
    """Runs `act` with analyses whose processes end with it."""

    async def whole() -> None:
        async with Analysis(Settings(store, cache), nice=0, **options) as analysis:
            await act(analysis)

    asyncio.run(whole())


@pytest.fixture(scope="module")
def asking(store: str, cache: Path) -> Iterator[Callable[[Act], None]]:
    """Runs tests one after another with the same analyses, whose one process is warm after the first of them."""
    with asyncio.Runner() as runner:
        analysis = Analysis(Settings(store, cache), processes=1, nice=0)
        runner.run(analysis.__aenter__())
        yield lambda act: runner.run(act(analysis))
        runner.run(analysis.__aexit__(None, None, None))


def test_reports_that_are_asked_for_at_once_are_the_same_to_the_byte(store: str, tmp_path: Path) -> None:
    write_study(str(tmp_path / "few"), played("few", methods=("grid", "random"), budget=32, seeds=(0,)))
    data = read(str(tmp_path / "few"))
    found = replace(compare(data), states={data.name: OVER})
    alone = page(data, found, importance_or_none(data, seed=0), command=command_of(data, store))

    async def act(analysis: Analysis) -> None:
        asked = [analysis.wait("report", [reading(data, str(number))]) for number in range(8)]
        made = await asyncio.gather(*asked)
        assert len(analysis.pids) == 2
        assert {one.content for one in made} == {alone.encode()}
        assert len({one.etag for one in made}) == 8

    running(store, tmp_path, act, processes=2)


def test_everything_can_be_made(store: str, asking: Callable[[Act], None]) -> None:
    one, two = (reading(read(store, name)) for name in ("one", "two"))

    async def act(analysis: Analysis) -> None:
        found = json.loads((await analysis.wait("comparison", [one])).content or b"")
        assert found == replace(compare(one.data), states={"one": OVER}).to_json()
        assert found["verdict"]
        wider = json.loads(
            (await analysis.wait("comparison", [one], {"difference": "1 %", "workers": 2})).content or b""
        )
        assert wider["difference"] != found["difference"]
        both = json.loads((await analysis.wait("comparison", [one, two])).content or b"")
        assert both == replace(compare_many([one.data, two.data]), states={"one": OVER, "two": OVER}).to_json()
        shares = json.loads((await analysis.wait("importance", [one])).content or b"")["shares"]
        assert {share["name"] for share in shares} == set(one.data.definition["space"])
        for name in ("anytime", "curves", "parallel", "importance"):
            picture = await analysis.wait("figure", [one], {"name": name, "format": "svg"})
            assert picture.media == "image/svg+xml"
            assert b"<svg" in (picture.content or b"")
        picture = await analysis.wait("figure", [one], {"name": "curves", "format": "png", "method": "random"})
        assert (picture.content or b"").startswith(b"\x89PNG")
        assert b"\\begin{tab" in ((await analysis.wait("latex", [one])).content or b"")
        assert b"</html>" in ((await analysis.wait("report", [one, two])).content or b"")

    asking(act)


def test_what_was_made_survives_a_restart_and_serves_other_services(
    store: str, cache: Path, asking: Callable[[Act], None]
) -> None:
    one = reading(read(store, "one"))

    async def first(analysis: Analysis) -> None:
        await analysis.wait("comparison", [one])

    asking(first)

    async def second(analysis: Analysis) -> None:
        assert isinstance(await analysis.ask("comparison", [one]), Made)
        assert isinstance(await analysis.ask("comparison", [replace(one, contents="2")]), Making)
        assert isinstance(await analysis.ask("comparison", [replace(one, state=RUNNING)]), Making)
        await analysis.wait("comparison", [replace(one, contents="2")])

    async def other(analysis: Analysis) -> None:
        assert isinstance(await analysis.ask("comparison", [replace(one, contents="2")]), Made)

    running(store, cache, second, processes=1)
    asking(other)


def test_many_who_ask_have_one_made_and_listeners_learn_of_it(
    store: str, cache: Path, asking: Callable[[Act], None]
) -> None:
    one = reading(read(store, "one"), "many")

    async def act(analysis: Analysis) -> None:
        async with aclosing(analysis.news()) as news:
            first = asyncio.ensure_future(anext(news))
            await asyncio.sleep(0)
            asked = await asyncio.gather(*(analysis.ask("comparison", [one]) for _ in range(20)))
            assert len({(making.etag, making.since) for making in asked if isinstance(making, Making)}) == 1
            begun, done = await first, await anext(news)
            assert (begun.what, begun.studies, begun.etag, begun.done) == ("comparison", ("one",), asked[0].etag, False)
            assert (done.etag, done.done, done.sentence) == (asked[0].etag, True, None)
        made = await analysis.ask("comparison", [one])
        assert isinstance(made, Made)
        assert made.etag == asked[0].etag
        assert len(list((cache / "made").glob(f"{made.etag}*"))) == 1
        assert list((cache / "asked").iterdir()) == []

    asking(act)


def test_a_study_that_changes_faster_than_it_is_analysed_has_an_analysis_of_a_moment_ago(
    store: str, asking: Callable[[Act], None]
) -> None:
    data = read(store, "two")

    async def act(analysis: Analysis) -> None:
        first = await analysis.ask("comparison", [reading(data, "fast 1", RUNNING)])
        second = await analysis.ask("comparison", [reading(data, "fast 2", RUNNING)])
        assert isinstance(first, Making)
        assert second == first  # the one under way is awaited
        while isinstance(found := await analysis.ask("comparison", [reading(data, "fast 3", RUNNING)]), Making):
            await asyncio.sleep(0.02)
        assert found.etag == first.etag
        over = await analysis.ask("comparison", [reading(data, "fast 4")])
        assert over.etag != first.etag
        assert isinstance(over, Making)  # a study that is over has its own

    asking(act)


def test_a_sentence_says_why_there_is_none(store: str, asking: Callable[[Act], None]) -> None:
    data = read(store, "one")
    empty = replace(data, **{table: getattr(data, table).slice(0, 0) for table in schema.TABLES})

    async def act(analysis: Analysis) -> None:
        for what, studies, options, status, words in (
            ("importance", [reading(empty, "0")], {}, 409, "trials"),
            ("figure", [reading(empty, "0")], {"name": "anytime", "format": "svg"}, 409, "no charged epoch"),
            (
                "figure",
                [reading(data)],
                {"name": "curves", "format": "svg", "method": "../x"},
                409,
                "method must be one of",
            ),
            ("comparison", [reading(data)], {"difference": "much"}, 422, "much"),
        ):
            for _ in range(2):
                with pytest.raises(Problem, match=words) as caught:
                    await analysis.wait(what, studies, options)
                assert caught.value.status == status
            with pytest.raises(Problem, match=words):
                await analysis.ask(what, studies, options)

    asking(act)


def test_a_process_that_dies_is_replaced_and_who_asked_is_told(store: str, asking: Callable[[Act], None]) -> None:
    data = read(store, "one")

    async def act(analysis: Analysis) -> None:
        await analysis.wait("comparison", [reading(data, "dies")])
        (pid,) = analysis.pids
        os.kill(pid, signal.SIGSTOP)  # it takes no order
        making = asyncio.ensure_future(analysis.wait("report", [reading(data, "dies 2")]))
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            Problem, match=r"the report of one was not made: its process ended early \(SIGKILL\)"
        ) as caught:
            await making
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "30")
        await analysis.wait("comparison", [reading(data, "dies 3")])
        (other,) = analysis.pids
        assert other != pid
        os.kill(other, signal.SIGKILL)  # while it has nothing to do
        await asyncio.sleep(0.3)
        await analysis.wait("comparison", [reading(data, "dies 4")])

    asking(act)


def test_a_process_that_hangs_is_stopped(store: str, asking: Callable[[Act], None]) -> None:
    data = read(store, "one")

    async def act(analysis: Analysis) -> None:
        await analysis.wait("comparison", [reading(data, "hangs")])
        (pid,) = analysis.pids
        os.kill(pid, signal.SIGSTOP)
        (servant,) = analysis._pool._servants
        limit, servant._limit = servant._limit, 2.0
        with pytest.raises(Problem, match="took longer than 2 s and was stopped"):
            await analysis.wait("comparison", [reading(data, "hangs 2")])
        servant._limit = limit
        await analysis.wait("comparison", [reading(data, "hangs 3")])
        assert pid not in analysis.pids

    asking(act)


def test_the_processes_end_with_the_service_however_it_ends(store: str, tmp_path: Path) -> None:
    code = f"""
import asyncio
from hpo.service.analysis import Analysis
from hpo.service.context import Settings
async def main():
    async with Analysis(Settings({store!r}, {str(tmp_path)!r}), processes=1, nice=0) as analysis:
        while not analysis.pids:
            await asyncio.sleep(0.05)
        print(analysis.pids[0], flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""

    async def act() -> None:
        service = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        assert service.stdout is not None
        pid = int(await service.stdout.readline())
        service.kill()
        await service.wait()
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(act(), 60))


def test_the_cache_stays_within_its_size(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 2500)
    for number in range(4):
        path = shelf.path(f"e{number}", ".html")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (1000.0 + number, 1000.0 + number))
    half = shelf.path(".e9", ".html")
    half.write_bytes(b"left by a service that was killed")
    os.utime(half, (1000.0, 1000.0))
    assert shelf.find("e0", ".html") is not None  # just asked for: it stays
    shelf.tidy()
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["e0.html", "e3.html"]
    assert shelf.find("e1", ".html") is None


def test_a_cache_that_cannot_be_written_is_told(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def act(analysis: Analysis) -> None:
        with pytest.raises(Problem, match="the service's cache folder must be writable") as caught:
            await analysis.wait("comparison", [reading(read(store, "one"))])
        assert caught.value.status == 503

    running(store, tmp_path / "file", act, processes=1)


def test_only_this_user_reads_the_cache(tmp_path: Path) -> None:
    Shelf(tmp_path, 1).prepare()
    modes = {folder.name: folder.stat().st_mode & 0o777 for folder in tmp_path.iterdir()}
    assert modes == {"made": 0o700, "asked": 0o700}


def test_studies_that_wait_for_a_process_take_no_room_on_disk(store: str, tmp_path: Path) -> None:
    one = reading(read(store, "one"))

    async def act(analysis: Analysis) -> None:
        asked = [analysis.ask("comparison", [one], {"target": number / 20}) for number in range(20)]
        assert all(isinstance(found, Making) for found in await asyncio.gather(*asked))
        held = list[int]()
        while not held or held[-1] < 2:
            await asyncio.sleep(0.02)
            held.append(len(list((tmp_path / "asked").iterdir())))
        await asyncio.sleep(0.2)
        assert len(list((tmp_path / "asked").iterdir())) <= 2

    running(store, tmp_path, act, processes=1)


def test_a_bug_in_handing_over_is_told_and_not_made_for_ever(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = reading(read(store, "one"))

    def broken(*_: Any) -> None:
        raise KeyError("a bug")

    async def act(analysis: Analysis) -> None:
        for ask in (analysis.wait, analysis.ask):
            with pytest.raises(Problem, match="must be made, but failed") as told:
                await ask("comparison", [one])
            assert told.value.status == 500

    monkeypatch.setattr("hpo.service.analysis.handing.write", broken)
    running(store, tmp_path, act, processes=1)
