"""Progress in a notebook: one output that is replaced as the study goes on. Writes nothing."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from html import escape
from types import TracebackType
from typing import Any, Self

from hpo.api.html import box
from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.live.progress import Progress
from hpo.text import clock

SECONDS = 0.5  # between two pictures
RUNS = 40  # most rows


def in_notebook() -> bool:
    """Tells whether a Jupyter kernel runs this process: only such a one can replace an output."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and getattr(found, "kernel", None) is not None


class _Page:
    """HTML as a notebook takes it, with a text for what shows none."""

    def __init__(self, html: str) -> None:
        self._html = html

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return "progress"


class NotebookProgress(Progress):
    """The table of `Progress` as HTML: charged epochs, incumbent and trials of each run."""

    def __init__(self, study: str) -> None:
        super().__init__(quiet=True)
        self._study = study
        self._handle: Any = None
        self._began, self._due = time.monotonic(), 0.0

    def __enter__(self) -> Self:
        from IPython import display

        shown: Any = display
        self._handle = shown.display(_Page(box("the cluster starts", title=self._study)), display_id=True)
        return self

    def __call__(self, dispatch: Dispatch, occupancy: Occupancy | None) -> None:
        if self._handle is None or (occupancy is not None and time.monotonic() < self._due):
            return
        self._due = time.monotonic() + SECONDS
        self._handle.update(_Page(self.page(dispatch, occupancy)))

    def page(self, dispatch: Dispatch, occupancy: Occupancy | None) -> str:
        """Returns the progress as HTML."""
        runs = list(dispatch.arena.runs)
        head = "".join(
            f'<th scope="col">{escape(name)}</th>'
            for name in ("run", "charged epochs", f"best {dispatch.study.metric}", "running", "failed")
        )
        rows = []
        for run in runs[:RUNS]:
            charged, budget, states = run.ledger.committed, run.ledger.budget, run.states
            best = f"{run.incumbent.value:.4f}" if run.incumbent else "–"
            bar = f'<progress value="{charged:g}" max="{budget:g}"></progress> {charged:g}/{budget:g}'
            cells = (bar, escape(best), str(states["running"]), str(states["failed"]))
            rows.append(
                f'<tr><th scope="row">{escape(str(run.key))}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
            )
        table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        return box(table, f'<p class="note">{escape(self._summary(dispatch, occupancy))}</p>', title=self._study)

    def _summary(self, dispatch: Dispatch, occupancy: Occupancy | None) -> str:
        runs = list(dispatch.arena.runs)
        charged, budget = (sum(getattr(run.ledger, name) for run in runs) for name in ("committed", "budget"))
        parts = [clock(time.monotonic() - self._began), f"{charged:g}/{budget:g} epochs charged"]
        parts += [f"{len(runs) - RUNS} more runs"] if len(runs) > RUNS else []
        parts += (
            [f"exams of the winners: {len(dispatch.live)} under way"] if charged == budget and dispatch.live else []
        )
        return ", ".join([*parts, *([str(occupancy)] if occupancy is not None else [])])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None  # the last picture stays


def silence() -> None:
    """Keeps Ray and tqdm from asking for a library of widgets, before they are imported: the progress here needs none."""
    logging.getLogger("ray.widgets").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="IProgress not found")
