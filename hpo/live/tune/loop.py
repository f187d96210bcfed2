"""The driver's loop: hands the dispatch's assignments to slots, takes their reports in, and says how many slots it wants."""

from __future__ import annotations

import queue
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from hpo.errors import StudyFailed
from hpo.live.blame import Blame
from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.live.tune import MOST_SLOTS
from hpo.live.tune.keeper import Broken, Keeper, NotStarted
from hpo.live.tune.slot import Answered, Slot, Started
from hpo.live.tune.slots import Spare, Target
from hpo.worker.training import REPORT_SECONDS

BATCH_SECONDS = 2.0  # the work that a slot gets at a time, where epochs are known to be this short
STOCK_SECONDS = 0.3  # the work that a slot has left when it gets more: it must not wait for the driver
CALLS_A_SECOND = 250  # answers of all slots together, which short epochs share
LOOK_SECONDS = 0.25  # between two looks at how many slots there may be, and two observations
KEEP_SECONDS = 30.0  # that slots are kept which are not needed: many times the start of a process
WAIT_SECONDS = 0.1
GRACE_SECONDS = 2.0  # for epochs under way when the study is stopped
MOST_STARTS = 10  # failed ones in a row, while no process lives

Observe = Callable[[Dispatch, Occupancy], None]


class Loop:
    """Plays the study on slots. All calls come from one thread; other threads only put news into the inbox."""

    def __init__(
        self,
        dispatch: Dispatch,
        keeper: Keeper,
        inbox: queue.SimpleQueue[Any],
        target: Target,
        shares: Mapping[str, float],
        observe: Observe,
        spare: Spare = lambda node: False,
    ) -> None:
        self.interrupted = ""  # the name of the signal that ends the loop
        self._dispatch, self._keeper, self._inbox = dispatch, keeper, inbox
        self._target, self._shares, self._observe, self._spare = target, shares, observe, spare
        self._slots: dict[str, Slot] = {}
        self._blame = Blame()
        self._looked = -LOOK_SECONDS
        self._allowed = 0  # slots that the study may have
        self._wanted, self._wanted_at = 0, 0.0  # slots that it needed lately, and when
        dispatch.wake = lambda: inbox.put(None)

    def play(self) -> None:
        """Plays until everything is done, or until it is interrupted. Raises what ends the study."""
        try:
            while not (self.interrupted or self._dispatch.finished):
                self._look()
                self._hand_out()
                self._take_in()
            self._await()
        finally:
            self._let_go()

    def _await(self) -> None:
        """Takes in what comes within a moment: results, if the study was stopped, and answers without any."""
        until = time.monotonic() + GRACE_SECONDS
        while any(not slot.idle for slot in self._slots.values()) and time.monotonic() < until:
            self._take_in()

    def _let_go(self) -> None:
        """Ends processes in the middle of an epoch, for which Tune would wait; drops all that is Ray's.

        What Ray counts must be gone when the cluster goes down, which may be beside other work: Ray ends a process that
        gives something back too late.
        """
        for slot in self._slots.values():
            if slot.running:
                slot.kill()
        self._slots.clear()
        self._dispatch.wake = lambda: None

    # -- slots ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Sees how many slots there may be, asks for those that are needed, and gives others back."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        holds = Counter(slot.node for slot in self._slots.values())
        wants = self._dispatch.wants(MOST_SLOTS)
        self._allowed = self._target(holds, wants)
        wants = min(wants, self._allowed)
        if wants >= self._wanted or now - self._wanted_at > KEEP_SECONDS:
            self._wanted, self._wanted_at = wants, now
        self._keeper.want(min(self._wanted, self._allowed))
        self._give_back()
        self._observe(self._dispatch, self._occupancy())

    def _give_back(self) -> None:
        """Ends the slots beyond those that are wanted: spare ones first, then those that are done soonest, each when done."""
        many = len(self._slots) - self._keeper.wanted
        soonest = sorted(
            self._slots.values(), key=lambda slot: (not slot.leaving, not self._spare(slot.node), slot.epochs)
        )
        for number, slot in enumerate(soonest):
            slot.leaving = number < many
            if slot.leaving and slot.idle:
                self._end(slot)

    def _end(self, slot: Slot) -> None:
        del self._slots[slot.name]
        self._keeper.give_back(slot.name)

    def _occupancy(self) -> Occupancy:
        lacking = max(0, self._keeper.wanted - sum(not slot.leaving for slot in self._slots.values()))
        waiting = min(lacking, self._keeper.without_room)
        trials = tuple(next(iter(slot.running)) for slot in self._slots.values() if slot.running)
        return Occupancy(self._allowed, len(trials), lacking - waiting, waiting, trials)

    # -- out ------------------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Gives work to the slots that have little or none left, to those that have none first."""
        pace = self._dispatch.effort.pace
        able = [slot for slot in self._slots.values() if not (slot.leaving or slot.fault)]
        hungry = [slot for slot in able if self._expected(slot, pace) < STOCK_SECONDS]
        hungry.sort(key=lambda slot: slot.epochs)
        for number, slot in enumerate(hungry):
            others = len(hungry) - 1 - number
            batch = self._dispatch.batch(BATCH_SECONDS - self._expected(slot, pace), others)
            if not batch:
                return
            slot.give(batch, self._interval)
            slot.go_on(self._interval, self._expected(slot, pace))

    def _expected(self, slot: Slot, pace: float | None) -> float:
        """Returns the seconds that the slot has work for; infinite where nothing is known of its epochs."""
        if not slot.running:
            return 0.0
        return float("inf") if pace is None else slot.epochs * pace

    @property
    def _interval(self) -> float:
        """The seconds between the answers of a slot: the more slots there are, the rarer."""
        return max(REPORT_SECONDS, len(self._slots) / CALLS_A_SECOND)

    # -- in -------------------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        """Waits a moment for news, and takes in all there are."""
        try:
            news = self._inbox.get(timeout=WAIT_SECONDS)
            while True:
                self._take(news)
                news = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _take(self, news: Any) -> None:
        if isinstance(news, Answered):
            self._answered(news)
        elif isinstance(news, Started):
            self._slots[news.name] = Slot(news, self._shares, self._inbox.put)
        elif isinstance(news, NotStarted):
            self._dispatch.incidents.add("start", f"a worker process did not start: {news.words}")
            if news.times >= MOST_STARTS and not self._slots:
                raise StudyFailed(
                    f"a worker process must start on some node, but {news.times} in a row did not, the last one with: "
                    f"{news.words}"
                )
        elif isinstance(news, Broken):
            raise news.error

    def _answered(self, news: Answered) -> None:
        slot = self._slots.get(news.name)
        if slot is None:  # its process has ended, which another call has told
            return
        try:
            reply = slot.answered(news.future)
        except Exception as error:  # whatever Ray raises for an actor that has died or cannot be reached
            self._died(slot, last_line(error))
            return
        if reply.fault:
            slot.fault = reply.fault
            if reply.own:
                self._blame.fault(reply.reports[-1][0], slot.worker, reply.fault)
        with self._dispatch.writer.together():
            for trial, report in reply.reports:
                self._dispatch.report(slot.running[trial], report, slot.worker)
                slot.reported(trial, report)
        if not (self.interrupted or self._dispatch.finished):
            slot.go_on(self._interval, self._expected(slot, self._dispatch.effort.pace))

    def _died(self, slot: Slot, words: str) -> None:
        """Takes back the work of a slot whose process has ended, and gives a trial up where it is to blame."""
        self._end(slot)
        running = list(slot.running.values())
        self._dispatch.incidents.add("lost", f"worker {slot.worker} was lost: {slot.fault or words}")
        for given in running:
            self._dispatch.withdraw(given)
        if running:
            current = running[0]
            self._blame.death(current.trial)
            if reason := self._blame.verdict(current.trial, slot.fault or words):
                self._dispatch.lost(current, reason)


def last_line(error: Exception) -> str:
    """Returns the last line of an error: Ray puts the reason there."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip()[:300] if lines else type(error).__name__
