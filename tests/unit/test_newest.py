"""One look for all who ask, none while nobody does; and what is made once and asked for by many."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress

import numpy as np
import pytest

from hpo.service.once import Once
from hpo.service.readings.newest import REST, Newest
from hpo.service.threads import made as made_in_a_thread
from hpo.store import Unreachable


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Clock:
    """Something that changes: each look returns the value that was set last, and waits where it is told to."""

    def __init__(self) -> None:
        self.looks, self.value, self.error = 0, ["first"], None
        self.seconds = 0.0

    def __call__(self) -> list[str]:
        self.looks += 1
        found = self.value
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return found


def test_many_who_ask_at_once_share_a_look_and_those_who_ask_soon_after_its_value(threads: ThreadPoolExecutor) -> None:
    clock = Clock()
    clock.seconds = 0.05

    async def act() -> None:
        newest = Newest(clock, threads, 60.0)
        found = await asyncio.gather(*(newest.now() for _ in range(100)))
        assert all(one is clock.value for one in found)
        await newest.now()
        assert clock.looks == 1
        clock.value = ["second"]
        newest.forget()
        assert await newest.now() == ["second"]
        assert clock.looks == 2

    asyncio.run(act())


def test_who_asks_after_a_change_does_not_get_a_look_that_began_before_it(threads: ThreadPoolExecutor) -> None:
    clock = Clock()
    clock.seconds = 0.1

    async def act() -> None:
        newest = Newest(clock, threads, 60.0)
        early = asyncio.ensure_future(newest.now())
        while not clock.looks:
            await asyncio.sleep(0.01)
        clock.value = ["second"]
        newest.forget()
        assert await newest.now() == ["second"]
        await early

    asyncio.run(act())


def test_a_slow_look_is_followed_by_a_long_rest(threads: ThreadPoolExecutor) -> None:
    clock = Clock()
    clock.seconds = 0.2

    async def act() -> None:
        newest = Newest(clock, threads, 0.0)
        await newest.now()
        until = time.monotonic() + (REST - 1) * clock.seconds
        while time.monotonic() < until:
            await newest.now()
            await asyncio.sleep(0.02)
        assert clock.looks == 1

    asyncio.run(act())


def test_listeners_share_the_looks_and_nothing_is_read_once_they_have_gone(threads: ThreadPoolExecutor) -> None:
    clock = Clock()

    async def act() -> None:
        newest = Newest(clock, threads, 0.02)
        seen: list[list[str]] = [[] for _ in range(50)]

        async def listen(mine: list[str]) -> None:
            async with aclosing(newest.changes()) as changes:
                async for (value,) in changes:
                    mine.append(value)
                    if value == "last":
                        return

        listeners = [asyncio.create_task(listen(mine)) for mine in seen]
        for value in ("second", "third", "last"):
            while not all(mine and mine[-1] == clock.value[0] for mine in seen):
                await asyncio.sleep(0.01)
            before, clock.value = clock.looks, [value]
        await asyncio.gather(*listeners)
        assert seen == [["first", "second", "third", "last"]] * 50
        assert clock.looks - before < 20  # not one for each listener
        assert not newest.watched
        await asyncio.sleep(0.1)
        ended = clock.looks
        await asyncio.sleep(0.3)
        assert clock.looks == ended

    asyncio.run(act())


async def listened(newest: Newest[list[str]], after_first: Callable[[], None] = lambda: None) -> list[str]:
    """Returns the second value that a listener gets; between the two, `after_first` is called."""
    async with aclosing(newest.changes()) as changes:
        await anext(changes)
        after_first()
        return await anext(changes)


def test_an_error_is_told_to_all_and_passes(threads: ThreadPoolExecutor) -> None:
    clock = Clock()

    def away() -> None:
        clock.error = Unreachable("the store must answer, but it does not")

    async def act() -> None:
        newest = Newest(clock, threads, 0.02)
        for _ in range(2):
            with pytest.raises(Unreachable):
                await listened(newest, away)
        before = clock.looks
        answers = await asyncio.gather(*(newest.now() for _ in range(100)), return_exceptions=True)
        assert all(isinstance(answer, Unreachable) for answer in answers)
        assert clock.looks <= before + 1  # a store that is away is not asked by everybody
        clock.error = None
        while True:
            with suppress(Unreachable):
                assert await newest.now() == ["first"]
                break
            await asyncio.sleep(0.02)

    asyncio.run(act())


def test_who_hangs_up_does_not_end_the_look_for_others(threads: ThreadPoolExecutor) -> None:
    clock = Clock()
    clock.seconds = 0.1

    async def act() -> None:
        newest = Newest(clock, threads, 60.0)
        first, second = asyncio.ensure_future(newest.now()), asyncio.ensure_future(newest.now())
        await asyncio.sleep(0.02)
        first.cancel()
        assert await second == ["first"]
        assert clock.looks == 1

    asyncio.run(act())


# -- once ---------------------------------------------------------------------------------------------------------


def test_a_value_is_made_once_for_threads_and_for_the_loop() -> None:
    made: list[int] = []

    def make() -> str:
        made.append(threading.get_ident())
        time.sleep(0.05)
        return "value"

    async def act() -> None:
        once = Once()
        blocking = [asyncio.to_thread(once.once, "key", make) for _ in range(3)]
        found = await asyncio.gather(*blocking, *(once.later("key", make) for _ in range(200)))
        assert set(found) == {"value"}
        assert len(made) == 1
        assert await once.later("other", make) == "value"
        assert len(made) == 2
        assert threading.get_ident() not in made

    asyncio.run(act())


def test_an_error_is_raised_to_all_who_wait_and_the_next_tries_again() -> None:
    tries: list[int] = []

    def make() -> int:
        tries.append(1)
        time.sleep(0.05)
        if len(tries) == 1:
            raise ValueError("once")
        return 7

    async def act() -> None:
        once = Once()
        answers = await asyncio.gather(*(once.later("key", make) for _ in range(5)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError] * 5
        assert await once.later("key", make) == 7

    asyncio.run(act())


def test_who_hangs_up_does_not_take_the_value_from_others() -> None:
    async def act() -> None:
        once = Once()
        first = asyncio.ensure_future(once.later("key", lambda: time.sleep(0.1) or 7))
        await asyncio.sleep(0.02)
        second = asyncio.ensure_future(once.later("key", lambda: 8))
        await asyncio.sleep(0.02)
        first.cancel()
        assert await second == 7

    asyncio.run(act())


def test_what_takes_long_does_not_hold_up_what_many_ask_for() -> None:
    async def act() -> None:
        over = threading.Event()
        long = [asyncio.ensure_future(made_in_a_thread(over.wait)) for _ in range(20)]
        waits = [asyncio.ensure_future(asyncio.to_thread(over.wait)) for _ in range(50)]  # as of a store that is silent
        try:
            assert await asyncio.wait_for(Once().later("key", lambda: 7), 20) == 7
        finally:
            over.set()
        assert all(await asyncio.gather(*long, *waits))

    asyncio.run(act())


def test_values_count_by_their_bytes() -> None:
    once = Once()
    once.once("text", lambda: b"x" * 1000)
    once.once("array", lambda: {"a": np.zeros(1000), "rows": [np.zeros(10)] * 5})
    assert 1000 + 8000 + 400 <= once.nbytes < 10_000


def test_values_are_kept_within_the_memory_and_the_oldest_go_first() -> None:
    once, made = Once(memory=2500), list[int]()

    def make(number: int) -> bytes:
        made.append(number)
        return bytes(700)

    for number in (0, 1, 0, 2, 0, 3):
        assert len(once.once(number, lambda number=number: make(number))) == 700
    assert made == [0, 1, 2, 3]
    assert once.nbytes <= 2500
    once.once(0, lambda: make(0))
    once.once(1, lambda: make(1))
    assert made == [0, 1, 2, 3, 1]
