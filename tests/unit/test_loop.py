"""The driver's loop on slots that are threads: what it hands out, gives back and takes in. Without a cluster."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from slots_without_ray import Died, Played, ThreadKeeper
from without_ray import dispatching

from hpo import store
from hpo.errors import StudyFailed
from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.live.tune.keeper import Broken, Keeper, NotStarted
from hpo.live.tune.loop import MOST_STARTS, Loop
from hpo.live.tune.slot import Started
from hpo.study.study import Study

pytestmark = pytest.mark.timeout(120)

STUDY = """
study: loop
trainable: curves
data: {{seconds: {seconds}}}
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: {epochs}, max_epochs: 4}}
methods: [random, {{asha: {{eta: 2}}}}]
parallelism: 4
store: {store}
"""


@pytest.fixture
def dispatch(tmp_path: Path):
    """Returns a function that begins a study in a store of its own."""

    def begin(name: str = "one", epochs: int = 40, seconds: float = 0.0) -> Dispatch:
        (tmp_path / name).mkdir()
        path = tmp_path / name / "study.yaml"
        path.write_text(STUDY.format(epochs=epochs, seconds=seconds, store=tmp_path / name / "store"))
        return dispatching(Study.load(str(path)))

    return begin


def charges(dispatch: Dispatch) -> list[tuple[Any, ...]]:
    """What each run was charged, in its order."""
    data = store.read(dispatch.study.store)
    assert store.verify(dispatch.study.store) == []
    rows = data.charges.select(["run", "order", "number", "epoch", "value"]).to_pylist()
    return sorted(tuple(row.values()) for row in rows)


def test_four_slots_decide_what_one_decides(dispatch) -> None:
    one, four = dispatch("one"), dispatch("four")
    Played(one)
    played = Played(four, target=lambda holds, wants: 4)
    assert charges(one) == charges(four)
    assert played.keeper.starts == 4
    assert max(seen.busy for seen in played.seen) <= 4
    assert {seen.slots for seen in played.seen} == {4}


def test_no_more_processes_start_than_there_is_work_for(dispatch) -> None:
    played = Played(dispatch(epochs=8), target=lambda holds, wants: 100)
    assert 1 <= played.keeper.starts <= 16  # 8 epochs of each of two runs
    assert {seen.slots for seen in played.seen} == {100}


def test_slots_are_given_back_when_the_target_falls_and_nothing_is_trained_twice(dispatch) -> None:
    began = time.monotonic()
    held: list[int] = []

    def target(holds: dict[str, int], wants: int) -> int:
        held.append(sum(holds.values()))
        return 4 if time.monotonic() - began < 2 else 1

    undisturbed, falling = dispatch("all"), dispatch("falling", seconds=0.1)
    Played(undisturbed)
    played = Played(falling, target)
    assert max(held) == 4
    assert held[-1] == 1
    assert len(played.keeper.processes) == 0
    assert [run["wasted_epochs"] for run in store.read(falling.study.store).runs.to_pylist()] == [0, 0]
    assert [row[:4] for row in charges(falling)] == [row[:4] for row in charges(undisturbed)]


def test_the_work_of_a_process_that_dies_is_handed_out_anew(dispatch) -> None:
    calls: list[int] = []

    def before(number: int, orders: Any) -> None:
        calls.append(number)
        if number % 2 and calls.count(number) == 3:
            raise Died("first line\nkilled")

    undisturbed, dying = dispatch("all"), dispatch("dying", seconds=0.06)
    Played(undisturbed)
    played = Played(dying, target=lambda holds, wants: 2, before=before)
    assert played.keeper.starts > 2
    assert [row[:4] for row in charges(dying)] == [row[:4] for row in charges(undisturbed)]
    assert store.read(dying.study.store).failures.num_rows == 0


def looping(dispatch: Dispatch, *news: Any, slots: int = 0) -> Loop:
    """A loop whose inbox has news already; its keeper starts no process, or `slots` ones."""
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    keeper: Any = ThreadKeeper(inbox, lambda number, orders: None)
    keeper.want(slots)
    for item in news:
        inbox.put(item)
    keeper.want = lambda slots: None
    return Loop(dispatch, keeper, inbox, lambda holds, wants: 1, {}, lambda dispatch, occupancy: None)


def test_a_cluster_on_which_no_process_starts_ends_the_study_with_a_sentence(dispatch) -> None:
    given = dispatch()
    with pytest.raises(StudyFailed, match=f"{MOST_STARTS} in a row did not, the last one with: no module hpo"):
        looping(given, NotStarted("no module hpo", MOST_STARTS)).play()
    given.finish(complete=False)


def test_a_node_on_which_no_process_starts_does_not_end_a_study_that_others_play(dispatch) -> None:
    given = dispatch()
    looping(given, NotStarted("no module hpo", MOST_STARTS), slots=1).play()
    assert given.finished
    given.finish(complete=True)


def test_what_ends_tune_ends_the_study(dispatch) -> None:
    given = dispatch()
    with pytest.raises(OSError, match="no room for a folder"):
        looping(given, Broken(OSError("no room for a folder"))).play()
    given.finish(complete=False)


# -- the keeper ----------------------------------------------------------------------------------------------------


@pytest.fixture
def keeper() -> Keeper:
    return Keeper(queue.SimpleQueue())


def trial(name: str) -> Any:
    return type("Trial", (), {"trial_id": name})()


def test_a_keeper_asks_for_as_many_as_are_wanted_and_gives_up_the_youngest_that_have_not_started(
    keeper: Keeper,
) -> None:
    keeper.want(3)
    assert [keeper.asks(name) for name in "abcd"] == [True, True, True, False]
    keeper.started(Started("b", None, "node", "here:1"))
    assert keeper.coming == 2
    keeper.want(2)
    assert [given.trial_id for given in keeper.given_back([trial(name) for name in "abc"])] == ["c"]
    keeper.ended("c")
    keeper.want(0)
    assert [given.trial_id for given in keeper.given_back([trial(name) for name in "ab"])] == ["a"]
    keeper.ended("a")
    keeper.give_back("b")
    assert [given.trial_id for given in keeper.given_back([trial("b")])] == ["b"]


def test_a_slot_that_is_given_back_makes_room_for_another(keeper: Keeper) -> None:
    keeper.want(1)
    assert keeper.asks("a")
    keeper.started(Started("a", None, "node", "here:1"))
    assert not keeper.asks("b")
    keeper.give_back("a")
    assert keeper.asks("b")


def test_failed_starts_are_counted_and_followed_by_growing_pauses(keeper: Keeper) -> None:
    keeper.want(1)
    assert keeper.asks("a")
    keeper.failed("a", "bad node")
    assert not keeper.asks("b")  # not at once: the same node might be asked again and again
    assert keeper._inbox.get_nowait() == NotStarted("bad node", 1)
    keeper._not_before = 0.0
    assert keeper.asks("b")
    keeper.failed("b", "")
    assert keeper._inbox.get_nowait() == NotStarted("it left no message", 2)


def test_tune_rests_until_something_else_is_wanted(keeper: Keeper) -> None:
    rests = threading.Thread(target=lambda: [keeper.rest() for _ in range(3)])
    rests.start()
    keeper.want(5)
    rests.join(10)
    assert not rests.is_alive()


def test_occupancy_says_what_there_is_to_say() -> None:
    assert str(Occupancy()).startswith("no slot is free yet")
    assert str(Occupancy(4, 3)) == "3 of 4 slots busy"
    assert str(Occupancy(8, 3, 2, 1)) == "3 of 8 slots busy, 2 starting, 1 waiting for room"
