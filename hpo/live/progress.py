"""What a user sees of a study while it runs, on stderr: see the room `display`."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console

from hpo.live.dispatch import Dispatch
from hpo.live.display.moment import Moment, Watch
from hpo.live.display.outlets import outlet
from hpo.live.occupancy import Occupancy

SHARE = 0.005  # of a processor, which looking takes at most


class Progress:
    """Shows how a dispatch goes: on a terminal as a drawing, in a notebook in place, elsewhere or if `plain` as lines.

    Call it as often as you like: it looks a few times a second at most, and less often where a look takes long, so that
    looking takes hardly any of the caller's time. An occupancy of None is the end: no slot works any more. When the block
    ends, one line with what was done stays.
    """

    def __init__(self, *, quiet: bool = False, plain: bool = False, console: Console | None = None) -> None:
        console = console or Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._outlet = outlet(console, quiet=quiet, plain=plain)
        self._watch: Watch | None = None
        self._moment: Moment | None = None
        self._due = 0.0
        self._took = 0.0  # processor seconds of the last look

    def tell(self, text: str) -> None:
        """Says something before the first moment; a notebook's cell shows the moments alone."""
        if self._outlet.told:
            print(text, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._moment is not None:
            self._outlet.end(self._moment)

    def __call__(self, dispatch: Dispatch, occupancy: Occupancy | None) -> None:
        now = time.monotonic()
        if self._watch is None:
            self._watch = Watch(dispatch)
        elif now < self._due and occupancy is not None:
            return
        began = time.thread_time()
        self._moment = self._watch.read(occupancy)
        self._outlet.show(self._moment)
        before, self._took = self._took, time.thread_time() - began
        usual = min(before, self._took)  # one look may have met a garbage collection, and the first one imports
        self._due = now + max(self._outlet.seconds, usual / SHARE)
