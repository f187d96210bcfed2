"""What a running study shows to monitors: its figures, as Ray's own metrics and in the store's journal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.live.remaining import Remaining
from hpo.store.journal import Journal

JOURNAL_SECONDS = 10.0
GAUGE_SECONDS = 2.0


@dataclass(frozen=True)
class Figures:
    """A study at a moment. `idle_share` and `epochs_per_second` are means over the time since the first epoch arrived.

    `trials` counts those of all runs by their virtual state; `running` counts the trials that slots train at this moment.
    `trained_epochs` are all that are known, from earlier sittings too, and `left_epochs` those that are yet to be trained:
    the slots take `seconds_left` for them, None until that is known. `store_waiting` counts the rows that the store does not
    have yet; `store_trouble` says why, unless they are merely new.
    """

    charged_epochs: Mapping[str, int]  # of each run
    trials: Mapping[str, int]  # in each state
    running: int
    trained_epochs: int
    left_epochs: int
    seconds_left: float | None
    epochs_per_second: float
    slots: int
    busy: int
    starting: int
    waiting: int
    idle_share: float  # of the slots' time
    store_waiting: int
    store_trouble: str


class Monitor:
    """Takes a study's figures, sets Ray's metrics to them every two seconds, and writes them to the journal every ten seconds."""

    def __init__(self, study: str, journal: Journal) -> None:
        self._meter, self._gauges, self._journal = Meter(), Gauges(study), journal
        self._written = self._shown = 0.0

    def watch(self, dispatch: Dispatch, occupancy: Occupancy) -> None:
        now = time.monotonic()
        if now - self._shown < GAUGE_SECONDS:
            return
        self._shown = now
        figures = self._meter.read(dispatch, occupancy)
        self._gauges.show(figures)
        if now - self._written > JOURNAL_SECONDS:
            self._written = now
            self._journal.write("figures", **asdict(figures))

    def conclude(self, dispatch: Dispatch) -> None:
        """Writes the last figures, of a study that no slot works on any more."""
        self._journal.write("figures", **asdict(self._meter.read(dispatch, Occupancy())))


class Meter:
    """Reads a study's figures off its dispatch, and remembers what the means need."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None  # when the first epoch arrived, and the epochs charged by then
        self._last = 0.0
        self._busy = 0.0  # slot-seconds
        self._offered = 0.0  # slot-seconds
        self._remaining: Remaining | None = None

    def read(self, dispatch: Dispatch, occupancy: Occupancy) -> Figures:
        runs = list(dispatch.arena.runs)
        charged = {str(run.key): run.charged_epochs for run in runs}
        total, now = sum(charged.values()), time.monotonic()
        if self._first is None and total > 0:
            self._first, self._last = (now, total), now
        if self._first is not None:
            self._busy += min(occupancy.busy, occupancy.slots) * (now - self._last)
            self._offered += occupancy.slots * (now - self._last)
            self._last = now
        began, before = self._first or (now, total)
        self._remaining = self._remaining or Remaining(dispatch)
        rest = self._remaining.read(occupancy)
        return Figures(
            charged_epochs=charged,
            trials=dict(sum((run.states for run in runs), Counter())),
            running=len(occupancy.trials),
            trained_epochs=dispatch.arena.curves.cells,
            left_epochs=round(rest.epochs),
            seconds_left=rest.seconds,
            epochs_per_second=(total - before) / (now - began) if now > began else 0.0,
            slots=occupancy.slots,
            busy=occupancy.busy,
            starting=occupancy.starting,
            waiting=occupancy.waiting,
            idle_share=1 - self._busy / self._offered if self._offered > 0 else 0.0,
            store_waiting=dispatch.writer.waiting,
            store_trouble=dispatch.writer.trouble,
        )


class Gauges:
    """The figures as Ray's own metrics, which its Prometheus endpoint shows as ray_hpo_*."""

    def __init__(self, study: str) -> None:
        from ray.util.metrics import Gauge

        def gauge(name: str, about: str, *tags: str) -> Any:
            return Gauge(f"hpo_{name}", description=about, tag_keys=("study", *tags))

        self._study = study
        self._charged = gauge("charged_epochs", "epochs charged to a run", "run")
        self._trials = gauge("trials", "trials of all runs by state", "state")
        self._numbers = {
            "epochs_per_second": gauge("epochs_per_second", "epochs charged per second since the first epoch"),
            "idle_share": gauge("idle_share", "idle share of the slots' time since the first epoch"),
            "slots": gauge("slots", "slots that the study may have"),
            "busy": gauge("slots_busy", "slots that train"),
            "starting": gauge("slots_starting", "slots whose processes start"),
            "waiting": gauge("slots_waiting", "slots that no node has room for yet"),
            "store_waiting": gauge("store_waiting", "rows on their way to the store"),
        }

    def show(self, figures: Figures) -> None:
        study = {"study": self._study}
        for run, charged in figures.charged_epochs.items():
            self._charged.set(charged, {**study, "run": run})
        for state, count in figures.trials.items():
            self._trials.set(count, {**study, "state": state})
        for name, gauge in self._numbers.items():
            gauge.set(float(getattr(figures, name)), study)
