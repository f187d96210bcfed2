"""Progress on stderr: a live table on a terminal, elsewhere a plain line every ten seconds."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.game.run import Run
from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.study.amounts import COST
from hpo.text import clock

LINE_SECONDS = 10.0


class Progress:
    """Shows each run's charged epochs, incumbent and trials, and below them the epochs per second, the time left and the slots.

    The occupancy is None when no slots are played on any more.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, markup=False, emoji=False)
        self._quiet = quiet
        self._live: Live | None = None
        self._began = time.monotonic()
        self._first: tuple[int, int] | None = None  # what was charged when the display began, and the epochs
        self._line_at = -LINE_SECONDS

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, dispatch: Dispatch, occupancy: Occupancy | None) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.update(self._table(dispatch, occupancy))
        elif time.monotonic() - self._line_at >= LINE_SECONDS:
            self.line(dispatch, occupancy)

    def line(self, dispatch: Dispatch, occupancy: Occupancy | None) -> None:
        """Prints one line for all runs together."""
        self._line_at = time.monotonic()
        if not self._quiet and self._live is None:
            runs = " ".join(f"{r.key} {r.ledger}" for r in dispatch.arena.runs)
            self._console.print(f"{self._footer(dispatch, occupancy)} | {runs}", highlight=False, soft_wrap=True)

    def _table(self, dispatch: Dispatch, occupancy: Occupancy | None) -> Table:
        table = Table(caption=self._footer(dispatch, occupancy), caption_justify="left", box=None, pad_edge=False)
        table.add_column("run")
        table.add_column(f"charged {dispatch.study.budget.unit.name}", min_width=28)
        table.add_column(f"best {dispatch.study.metric}", justify="right")
        for name in ("running", "paused", "failed"):
            table.add_column(name, justify="right")
        runs = dispatch.arena.runs
        room = max(4, self._console.height - 6)
        for run in runs[:room]:
            table.add_row(*self._row(run))
        if len(runs) > room:
            table.add_row(Text(f"and {len(runs) - room} more", style="dim"))
        return table

    def _row(self, run: Run) -> list[str | Text | Table]:
        states = run.states
        bar = Table.grid(padding=(0, 1))
        ledger = run.ledger
        bar.add_row(ProgressBar(total=ledger.budget, completed=ledger.committed, width=16), str(ledger))
        best = f"{run.incumbent.value:.4f}" if run.incumbent else "-"
        return [
            str(run.key),
            bar,
            best,
            *(str(states[s]) if states[s] else "-" for s in ("running", "paused", "failed")),
        ]

    def _footer(self, dispatch: Dispatch, occupancy: Occupancy | None) -> str:
        runs = list(dispatch.arena.runs)
        charged, epochs = (
            sum(each) for each in zip(*((r.ledger.committed, r.charged_epochs) for r in runs), strict=True)
        )
        budget, unit = sum(run.ledger.budget for run in runs), runs[0].ledger.unit
        self._first = (charged, epochs) if self._first is None else self._first
        elapsed = time.monotonic() - self._began
        rate, pace = ((now - first) / elapsed if elapsed > 0 else 0.0
                      for now, first in zip((charged, epochs), self._first, strict=True))  # fmt: skip
        parts = [
            f"{clock(elapsed)}",
            f"{unit.shown(charged)}/{unit.shown(budget)} {unit.name} charged",
            f"{pace:.1f} epochs/s",
        ]
        if charged == budget or (unit == COST and all(run.done for run in runs)):
            parts.append(f"exams of the winners: {len(dispatch.live)} under way")
        elif rate > 0:
            parts.append(f"about {clock((budget - charged) / rate)} left")
        if occupancy is not None:
            parts.append(str(occupancy))
        return "  ".join(parts)
