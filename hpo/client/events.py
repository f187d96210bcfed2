"""Server-sent events of the service: read line by line, and taken up again where a connection broke off."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from hpo.client.errors import ServiceAway, ServiceError
from hpo.client.transport import LONGEST_PAUSE, PASSING, PAUSE, Transport

_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Event:
    """An event: its name and its data. `beat`: nothing new, only a sign of life."""

    name: str
    data: Any = None
    id: str | None = None

    @property
    def beat(self) -> bool:
        """Whether it says only that the service lives."""
        return self.name == ""


BEAT = Event("")


def events(transport: Transport, path: str, patience: float) -> Iterator[Event]:
    """Yields the events of a stream for as long as the caller takes them, and a beat where nothing is new.

    A stream that breaks off is taken up after the last event that arrived. Raises ServiceAway where the service does not
    answer for `patience` seconds, and other ServiceErrors at once, such as for a token that was revoked.
    """
    last: str | None = None
    alive, pause = time.monotonic(), PAUSE
    trouble: ServiceError
    while True:
        try:
            resume = {} if last is None else {"Last-Event-ID": last}
            with transport.stream(path, {"Accept": "text/event-stream", **resume}) as answer:
                for event in parsed(lines(answer.iter_text())):
                    alive, pause = time.monotonic(), PAUSE
                    last = event.id if event.id is not None else last
                    yield event
        except httpx.TransportError as error:
            trouble = transport.trouble(error)
        except ServiceAway as error:
            if error.status not in PASSING:
                raise
            trouble = error
        else:  # the service ended the stream: it is about to be restarted
            trouble = ServiceAway(f"the service must answer, but {transport.url} ends every connection")
        if time.monotonic() - alive > patience:
            raise trouble
        yield BEAT
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def parsed(found: Iterable[str]) -> Iterator[Event]:
    """Yields the events that lines make, by the rules of HTML's EventSource; a comment is a beat."""
    name, data, identity = "message", list[str](), None
    for line in found:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(name, _value("\n".join(data)), identity)
            name, data = "message", []
        elif not field:
            yield BEAT
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            identity = value


def lines(pieces: Iterable[str]) -> Iterator[str]:
    r"""Yields whole lines: only \n, \r and both together end one, none of the other marks that Python takes for an end."""
    rest = ""
    for piece in pieces:
        rest += piece
        read = rest.removesuffix("\r")  # whose \n may come with the next piece
        *whole, last = _END.split(read)
        rest = last + rest[len(read) :]
        yield from whole


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
