"""Readers of a service, in a process of their own: some ask for a study, some listen to it, and reports are asked for.

    python tests/bench/service_readers.py URL STUDY --readers 100 --listeners 100 --seconds 600 --reports A,B --after 60

Prints what they met as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from dataclasses import asdict, dataclass, field

import aiohttp

API = "/api/v1"
LONGEST = 60.0  # seconds that a reader waits for an answer; then it counts as one that failed
STAYS = (20.0, 60.0)  # seconds for which a listener stays, until it comes again
EVENT = re.compile(rb"id: (\d+)[^\n]*\nevent: study\n")


@dataclass
class Met:
    """What the readers met: seconds of each answer, how old events were, and by how much this process was late itself."""

    waits: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    reports: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Readers:
    """Readers of one study, until a time of the monotonic clock."""

    def __init__(self, session: aiohttp.ClientSession, study: str, until: float) -> None:
        self._session, self._study, self._until = session, study, until
        self.met = Met()

    async def ask(self, number: int, pause: tuple[float, float]) -> None:
        """Asks for the study again and again."""
        rng = random.Random(number)
        await asyncio.sleep(rng.uniform(0.0, pause[1]))
        while time.monotonic() < self._until:
            began = time.monotonic()
            try:
                async with self._session.get(f"{API}/studies/{self._study}") as answer:
                    body = await answer.read()
                    if answer.status != 200:
                        self.met.failures.append(f"{answer.status}: {body[:200]!r}")
            except (TimeoutError, aiohttp.ClientError) as error:
                self.met.failures.append(f"a reader got {type(error).__name__} {error}")
            self.met.waits.append(time.monotonic() - began)
            await asyncio.sleep(rng.uniform(*pause))

    async def listen(self, number: int) -> None:
        """Listens to the study; now and then hangs up and comes again, as a page that is opened anew."""
        rng = random.Random(-1 - number)
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        while time.monotonic() < self._until:
            stays = min(rng.uniform(*STAYS), self._until - time.monotonic())
            try:
                async with asyncio.timeout(stays):
                    await self._hear()
                self.met.failures.append("a stream ended")
            except TimeoutError:
                continue
            except aiohttp.ClientError as error:
                self.met.failures.append(f"a listener got {type(error).__name__} {error}")
                await asyncio.sleep(1.0)

    async def _hear(self) -> None:
        rest, first = b"", True
        async with self._session.get(
            f"{API}/studies/{self._study}/events", timeout=aiohttp.ClientTimeout(None)
        ) as answer:
            async for part in answer.content.iter_any():
                text, seen = rest + part, 0
                for event in EVENT.finditer(text):
                    if not first:  # the first one tells how the study is, which may be so for long
                        self.met.ages.append(time.time() - int(event[1]) / 1000)
                    first, seen = False, event.end()
                rest = text[max(seen, len(text) - 200) :]

    async def report(self, study: str) -> None:
        """Asks for a study's report until it is there; notes how long that took."""
        began = time.monotonic()
        while time.monotonic() < self._until:
            try:
                async with self._session.get(f"{API}/studies/{study}/report") as answer:
                    body = await answer.read()
                if answer.status == 200:
                    self.met.reports[study] = time.monotonic() - began
                    return
                if answer.status != 202:
                    self.met.failures.append(f"{answer.status}: {body[:200]!r}")
                    return
            except (TimeoutError, aiohttp.ClientError) as error:
                self.met.failures.append(f"a report got {type(error).__name__} {error}")
            await asyncio.sleep(1.0)

    async def watch(self) -> None:
        """Notes by how much this process itself is late: so much of a wait may be its own."""
        while time.monotonic() < self._until:
            began = time.monotonic()
            await asyncio.sleep(0.1)
            self.met.late.append(time.monotonic() - began - 0.1)


async def read(given: argparse.Namespace) -> Met:
    """Has the readers read."""
    connections, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(LONGEST)
    async with aiohttp.ClientSession(given.url, connector=connections, timeout=timeout) as session:
        readers = Readers(session, given.study, time.monotonic() + given.seconds)
        pause = (0.5, 1.5) if given.readers > 1 else (0.05, 0.15)
        tasks = [
            asyncio.create_task(readers.watch()),
            *(asyncio.create_task(readers.ask(number, pause)) for number in range(given.readers)),
            *(asyncio.create_task(readers.listen(number)) for number in range(given.listeners)),
        ]
        await asyncio.sleep(given.after)
        names = given.reports.split(",") if given.reports else []
        tasks += [asyncio.create_task(readers.report(name)) for name in names]
        await asyncio.gather(*tasks)
    return readers.met


def main() -> None:
    """Prints what the readers met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("study")
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--listeners", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--reports", default="", help="names of studies, with commas between")
    parser.add_argument("--after", type=float, default=0.0, help="seconds after which the reports are asked for")
    print(json.dumps(asdict(asyncio.run(read(parser.parse_args())))))


if __name__ == "__main__":
    main()
