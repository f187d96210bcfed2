"""Plays runs: at once, or in threads where their methods take long to decide. Runs are independent of each other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeAlias

from hpo.game.run import Run
from hpo.study.values import Charge, RunFailure

THREADS = 2

Events: TypeAlias = list[Charge | RunFailure]


class Thinking:
    """Plays runs with `play`, and passes what happens in them to `record`. True while some method is thinking.

    All calls must come from one thread, the only one that calls `record`; methods think in threads of their own. A run
    that may move while its method is thinking is played once more afterwards. `wake` is called, in any thread, when one has
    decided.
    """

    def __init__(
        self, play: Callable[[Run], Events], record: Callable[[Events], None], wake: Callable[[], None] = lambda: None
    ) -> None:
        self._play, self._record, self._wake = play, record, wake
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="method")
        self._under_way: dict[int, tuple[Run, Future[Events]]] = {}
        self._moved: dict[int, Run] = {}

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def play(self, run: Run) -> None:
        if id(run) in self._under_way:
            self._moved[id(run)] = run
        elif run.schedule.expensive:
            future = self._threads.submit(self._play, run)
            self._under_way[id(run)] = (run, future)
            future.add_done_callback(lambda done: self._wake())
        else:
            self._record(self._play(run))

    def collect(self) -> None:
        """Records what has been decided by now. Raises what a method raised."""
        for name, (run, future) in list(self._under_way.items()):
            if future.done():
                del self._under_way[name]
                self._record(future.result())
                if self._moved.pop(name, None) is not None:
                    self.play(run)

    def wait(self, seconds: float) -> None:
        """Waits up to `seconds` for every method to decide, and collects."""
        wait([future for _, future in self._under_way.values()], timeout=seconds)
        self.collect()

    def abandon(self) -> None:
        """Lets the threads end when they have decided what they decide now. Nobody will hear of it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def finish(self) -> None:
        """Waits for every method to decide, and collects; nothing is played after that.

        Raises what a method raised, when everything that the others decided is recorded.
        """
        self._threads.shutdown(wait=True)
        self._moved.clear()
        errors = []
        while self._under_way:
            try:
                self.collect()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
