"""Lays a moment out on lines that fit: nothing is cut within a word, and no number at all. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.text import Text

from hpo.live.display.moment import Moment
from hpo.live.display.table import bar_of, table
from hpo.live.display.words import amount, clipped, flowed, measured, paced, printable, wrapped
from hpo.live.incidents import Incident
from hpo.text import clock

STYLES = {
    "promoted": "cyan",
    "again": "yellow",
    "memory": "yellow",
    "lost": "yellow",
    "start": "yellow",
    "failed": "red",
}
EVENTS = 4
LEAST_BAR = 10


def screen(moment: Moment, width: int, height: int, ascii_only: bool = False) -> list[Text]:
    """Returns at most `height` lines of at most `width` cells."""
    head = [*_head(moment, width, ascii_only), *(Text(line, "yellow") for line in _trouble(moment, width))]
    room = height - len(head)
    rows = table(moment, width, ascii_only)
    blank = [Text()] if room > len(rows) + 1 else []
    if len(rows) + len(blank) > room:
        hidden = len(rows) - max(0, room - 1)
        rows = [*rows[: max(0, room - 1)], Text(f"and {hidden} more methods", "dim")]
    found = [*head, *blank, *rows]
    events = _events(moment.events[-EVENTS:], width, height - len(found) - 1)
    return [*found, Text(), *events][:height] if events else found[:height]


def sentence(moment: Moment) -> str:
    """Returns a moment in one line, for logs."""
    told = [_charged(moment), *_trained(moment, moment.rate), *_slots(moment), *_failed(moment)]
    best = ", ".join(f"{tally.method} {measured(tally.best)}" for tally in moment.tallies if tally.best is not None)
    told.append(f"time left {_left(moment)}")
    return f"{moment.study}: {', '.join(told)}" + (f"; best {moment.metric}: {best}" if best else "")


def summary(moment: Moment) -> str:
    """Returns what stays when the display has gone: what this sitting did."""
    rate = moment.trained / moment.elapsed if moment.trained and moment.elapsed else None
    told = [_charged(moment), *_trained(moment, rate), *_failed(moment)]
    return f"{moment.study}: {', '.join(told)}"


def at(seconds: float, form: str = "%H:%M:%S") -> str:
    """Formats unix seconds in local time."""
    return time.strftime(form, time.localtime(seconds))


def _head(moment: Moment, width: int, ascii_only: bool) -> Iterable[Text]:
    share = f"{int(100 * moment.share)}%"
    ends = [share, f"time left {_left(moment)}"]
    beside = width - cell_len(moment.study) - sum(2 + len(part) for part in ends) - 2
    if beside >= LEAST_BAR:
        bar = bar_of(moment.share, min(beside, 60), ascii_only)
        yield Text.assemble((moment.study, "bold"), "  ", bar, *(f"  {part}" for part in ends))
    else:
        yield Text(clipped(moment.study, width), "bold")
        yield Text("  ".join(ends))
    told = [_charged(moment), *_trained(moment, moment.rate), *_slots(moment), *_failed(moment)]
    yield from map(Text, flowed(told, width))


def _left(moment: Moment) -> str:
    return "-" if moment.left is None else clock(moment.left)


def _charged(moment: Moment) -> str:
    return f"{amount(moment.charged)} of {amount(moment.budget)} {moment.unit} charged"


def _trained(moment: Moment, rate: float | None) -> list[str]:
    stored = f" besides {moment.stored:,} from the store" if moment.stored else ""
    told = f"{moment.trained:,} trained in {clock(moment.elapsed)}{stored}"
    return [told] if rate is None else [told, paced(rate)]


def _slots(moment: Moment) -> list[str]:
    under_way, to_come = moment.exams
    told = [] if moment.occupancy is None else str(moment.occupancy).split(", ")
    if under_way or to_come:
        told.append(f"winners' exams: {under_way} under way, {to_come} to come")
    return told


def _failed(moment: Moment) -> list[str]:
    return [f"{moment.failed:,} {'trial' if moment.failed == 1 else 'trials'} failed"] if moment.failed else []


def _trouble(moment: Moment, width: int) -> Sequence[str]:
    return wrapped(f"store: {printable(moment.trouble)}", width, 2) if moment.trouble else ()


def _events(events: Iterable[Incident], width: int, room: int) -> list[Text]:
    """Returns the latest events that `room` lines have room for, each on two lines at most."""
    found: list[Text] = []
    for event in reversed(list(events)):
        lines = wrapped(f"{at(event.at)}  {printable(event.text)}", width, 2, indent=10)
        if len(found) + len(lines) > room:
            break
        found = [*(Text(line, STYLES.get(event.kind, "")) for line in lines), *found]
    return found
