"""Where a moment is shown: drawn on a terminal, as lines for a log, in a notebook's cell, or nowhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from rich.console import Console, ConsoleRenderable, RenderHook
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType
from rich.text import Text

from hpo.live.display.layout import STYLES, at, screen, sentence, summary
from hpo.live.display.moment import Moment
from hpo.live.display.words import printable

LINE_SECONDS = 30.0
MOST_INCIDENTS = 5  # told between two lines; the others are counted
KERNEL = "JPY_PARENT_PID"  # set where a notebook's `!hpo run` seems to have a terminal, whose cursor does not move
NOTEBOOK = (100, 40)  # cells and lines
STAMP = "%Y-%m-%d %H:%M:%S"


class Outlet(Protocol):
    """`seconds` are those between two moments that it wants to see. `end` shows what stays. `told`: lines may come before."""

    seconds: float
    told: bool

    def show(self, moment: Moment) -> None: ...
    def end(self, moment: Moment) -> None: ...


def outlet(console: Console, *, quiet: bool, plain: bool, environ: Mapping[str, str] = os.environ) -> Outlet:
    """Chooses: a drawing only where somebody looks at a terminal that can move its cursor."""
    if quiet:
        return Nowhere()
    if console.is_jupyter and not plain:
        return Cell()
    watched = console.is_interactive and console.file.isatty() and environ.get("TERM") != "dumb"
    machine = environ.get("CI", "").lower() not in ("", "0", "false") or KERNEL in environ
    return Drawing(console) if watched and not (plain or machine) else Lines(console)


class Nowhere:
    """Shows nothing."""

    seconds = float("inf")
    told = False

    def show(self, moment: Moment) -> None: ...
    def end(self, moment: Moment) -> None: ...


class Lines:
    """A line every half minute, and one for each incident, unless they come by the dozen."""

    seconds = 1.0
    told = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._due, self._met, self._room = 0.0, 0, MOST_INCIDENTS

    def show(self, moment: Moment) -> None:
        self._tell(moment)
        if time.monotonic() >= self._due:
            self._line(sentence(moment))

    def end(self, moment: Moment) -> None:
        self._tell(moment)
        self._line(summary(moment))

    def _tell(self, moment: Moment) -> None:
        """Prints incidents that are new, as many as there is room for."""
        new = (
            moment.incidents[-min(moment.met - self._met, self._room) :]
            if moment.met > self._met and self._room
            else ()
        )
        self._met += len(new)
        self._room -= len(new)
        for incident in new:
            self._print(incident.at, f"{moment.study}: {printable(incident.text)}", STYLES[incident.kind])
        if not self._room and (more := moment.met - self._met) and time.monotonic() >= self._due:
            self._met = moment.met
            self._print(time.time(), f"{moment.study}: {more:,} more like these", "yellow")

    def _line(self, text: str) -> None:
        self._due, self._room = time.monotonic() + LINE_SECONDS, MOST_INCIDENTS
        self._print(time.time(), text)

    def _print(self, seconds: float, text: str, style: str = "") -> None:
        whole = not self._console.file.isatty()  # for what reads a log
        self._console.print(Text(f"{at(seconds, STAMP)} {text}", style), soft_wrap=whole)


class Cell:
    """The output of a notebook's cell, which is replaced from time to time and stays in the notebook."""

    seconds = 1.0
    told = False

    def __init__(self) -> None:
        self._shown: Any = None

    def show(self, moment: Moment) -> None:
        self._put("\n".join(line.plain for line in screen(moment, *NOTEBOOK)))

    def end(self, moment: Moment) -> None:
        self._put(summary(moment))

    def _put(self, text: str) -> None:
        from IPython import display as ipython

        display: Any = ipython.display
        content = {"text/plain": text}
        if self._shown is None:
            self._shown = display(content, raw=True, display_id=True)
        else:
            self._shown.update(content, raw=True)


class Drawing(RenderHook):
    """A drawing at the bottom of the terminal, below whatever else is printed meanwhile; one line of it stays.

    It is drawn anew for each moment, at the size that the terminal has then.
    """

    seconds = 0.5
    told = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[Text] = []  # to draw
        self._drawn: list[int] = []  # the cells of the lines that the terminal shows
        self._lock = threading.RLock()
        self._streams: tuple[TextIO, TextIO] | None = None  # what others printed to
        self._ascii = not console.encoding.startswith("utf")

    def show(self, moment: Moment) -> None:
        if self._streams is None:
            self._begin()
        width, height = self._console.size
        self._lines = screen(moment, width, height - 1, self._ascii)
        self._console.print(Control())  # the hook draws

    def end(self, moment: Moment) -> None:
        if self._streams is not None:
            self._lines = []
            self._console.print(Control())
            self._console.pop_render_hook()
            self._console.show_cursor(True)
            sys.stdout, sys.stderr = self._streams
            self._streams = None
        self._console.print(Text(summary(moment)))

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Returns what the console prints instead: the old drawing's end, what was to be printed, the new drawing."""
        with self._lock:
            erasing, self._drawn = self._erasing(), [line.cell_len for line in self._lines]
            drawing = [Text("\n", end="").join(self._lines)] if self._lines else []
            for text in drawing:
                text.end, text.no_wrap, text.overflow = "", True, "ignore"
            return [erasing, *renderables, *drawing]

    def _erasing(self) -> Control:
        """Returns what erases the drawing, whose lines a terminal that became narrower has wrapped."""
        width = max(1, self._console.size.width)
        rows = sum(max(1, -(-cells // width)) for cells in self._drawn)
        up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
        return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *(up * max(0, rows - 1)))

    def _begin(self) -> None:
        """Lets what others print appear above the drawing."""
        self._streams = sys.stdout, sys.stderr
        self._console.show_cursor(False)
        self._console.push_render_hook(self)
        sys.stdout, sys.stderr = (self._above(stream) for stream in self._streams)

    def _above(self, stream: TextIO) -> Any:
        """Returns a stream that prints above the drawing; the same one where it leads elsewhere."""
        return FileProxy(self._console, stream) if stream.isatty() else stream
