"""Where progress is shown, and that it tells what happens: studies played by the driver's loop, a terminal that is read."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from shown_study import SIXTY
from slots_without_ray import Died, Played
from without_ray import dispatching, play_to_the_end, train

from hpo.live.dispatch import Dispatch
from hpo.live.display.moment import Watch
from hpo.live.display.outlets import MOST_INCIDENTS, Cell, Drawing, Lines, Nowhere, outlet
from hpo.live.incidents import Incident, Incidents
from hpo.live.monitor import Meter
from hpo.live.occupancy import Occupancy
from hpo.live.progress import Progress
from hpo.live.remaining import lacking
from hpo.study.study import Study

pytestmark = pytest.mark.timeout(120)

STUDY = """
study: shown
trainable: curves
data: {{fail_share: {fail}, seconds: {seconds}}}
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: 24, max_epochs: 4}}
methods: [random, {{asha: {{eta: 2}}}}]
seeds: [0, 1]
parallelism: 4
store: {store}
"""


@pytest.fixture
def begin(tmp_path: Path):
    """Returns a function that opens the study's store and goes on with what it holds."""

    def begin(fail: float = 0.0, seconds: float = 0.0) -> Dispatch:
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.format(fail=fail, seconds=seconds, store=tmp_path / "store"))
        return dispatching(Study.load(str(path)))

    return begin


class Tty(io.StringIO):
    """What a terminal of so many cells was sent, and what it shows: it knows the sequences that the display uses."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        super().__init__()
        self.size = width, height

    def isatty(self) -> bool:
        return True

    def shown(self) -> list[str]:
        lines, row, column = [""], 0, 0
        for found in re.finditer(r"\x1b\[(\??\d*(?:;\d+)*)([A-Za-z])|\r|\n|[^\x1b\r\n]", self.getvalue()):
            number, code, sent = found[1], found[2], found[0]
            if code == "A":
                row -= int(number or 1)
            elif code == "K":
                assert number == "2"
                lines[row] = ""
            elif sent == "\r":
                column = 0
            elif sent == "\n":
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            elif code is None:
                assert column < self.size[0], "a line is longer than the terminal is wide"
                lines[row] = lines[row][:column].ljust(column) + sent + lines[row][column + 1 :]
                column += 1
        return lines


def console(tty: Tty, **environ: str) -> Console:
    width, height = tty.size
    return Console(
        file=tty, force_terminal=True, width=width, height=height, markup=False, emoji=False, highlight=False,
        _environ=environ,
    )  # fmt: skip


# -- what a moment says of a study ------------------------------------------------------------------------------------


def test_a_study_is_told_from_its_beginning_to_its_end(begin) -> None:
    dispatch, seen = begin(), []
    watch = Watch(dispatch)
    seen.append(watch.read(Occupancy(2, 0, 2)))
    while not dispatch.finished:
        given = dispatch.next()
        assert given is not None
        train(dispatch, given)
        seen.append(watch.read(Occupancy(2, 1)))
    first, last = seen[0], seen[-1]
    assert (first.charged, first.budget, first.trained, first.share, first.left) == (0, 96, 0, 0.0, None)
    assert [tally.method for tally in first.tallies] == ["random", "asha"]
    assert (last.charged, last.share, last.left) == (96, 1.0, None)
    assert [(tally.runs, tally.over, tally.charged, tally.budget) for tally in last.tallies] == [(2, 2, 48, 48)] * 2
    shares = [moment.share for moment in seen]
    assert shares == sorted(shares)
    assert all(moment.share < 1 for moment in seen if moment.charged < moment.budget)
    best = [max(run.incumbent.value for run in dispatch.arena.runs if run.key.method == m) for m in ("random", "asha")]
    assert [tally.best for tally in last.tallies] == best
    further = [event.text for event in last.events if event.kind == "promoted"]
    assert re.match(r"asha/[01] takes trial [0-9a-f]{16} further, after \d epochs? at 0\.\d{4}$", further[-1])
    dispatch.finish(complete=True)


def test_a_look_that_takes_long_is_taken_less_often(begin, monkeypatch) -> None:
    """On a clock that we turn: whatever a look takes, looking has half a percent of a processor, and the end is shown."""
    for name in ("CI", "JPY_PARENT_PID"):  # where there are lines, which come more seldom anyway
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    dispatch, clock = begin(), SimpleNamespace(now=0.0, spent=0.0)
    monkeypatch.setattr(
        "hpo.live.progress.time", SimpleNamespace(monotonic=lambda: clock.now, thread_time=lambda: clock.spent)
    )
    for took, most in ((0.001, 201), (0.01, 52), (0.05, 12)):
        looks: list[Any] = []
        console = Console(file=Tty(), force_terminal=True)
        progress = Progress(console=console)

        def show(moment: Any, looks: list[Any] = looks, took: float = took) -> None:
            clock.spent += took
            looks.append(moment)

        progress._outlet.show = show  # type: ignore[method-assign]
        for _ in range(800):
            progress(dispatch, Occupancy(1, 1))
            clock.now += 0.125
        assert most - 3 <= len(looks) <= most
        progress(dispatch, None)
        assert looks[-1].occupancy is None
    dispatch.finish(complete=False)


def test_what_is_left_to_train_is_what_is_trained_in_the_end(begin) -> None:
    dispatch = begin()
    guesses = []
    while not dispatch.finished:
        curves = dispatch.arena.curves
        guesses.append((curves.cells, lacking(dispatch.arena.runs, curves, 1)))
        given = dispatch.next()
        assert given is not None
        train(dispatch, given)
    total = dispatch.arena.curves.cells
    for known, guess in guesses[len(guesses) // 2 :]:
        assert known + guess == pytest.approx(total, rel=0.35)  # ASHA shares random's trials, as many as it likes
    dispatch.finish(complete=True)


def test_running_trials_are_those_that_slots_train_and_what_is_left_is_physical(begin) -> None:
    """16 virtual workers play trials on two slots."""
    dispatch, meter = begin(), Meter()
    watch = Watch(dispatch)
    given = [dispatch.next(), dispatch.next()]
    assert all(given)
    occupancy = Occupancy(2, 2, trials=tuple(one.trial for one in given if one))
    moment, figures = watch.read(occupancy), meter.read(dispatch, occupancy)
    assert figures.trials["running"] > 2
    assert (figures.running, figures.trained_epochs, figures.seconds_left) == (2, 0, None)
    assert 2 <= sum(tally.running for tally in moment.tallies) <= 4  # methods may share a trial
    assert 0 < figures.left_epochs <= 96
    assert [tally.running for tally in watch.read(None).tallies] == [0, 0]
    for one in given:
        train(dispatch, one)
    play_to_the_end(dispatch)
    figures = meter.read(dispatch, Occupancy())
    assert (figures.running, figures.left_epochs, figures.seconds_left) == (0, 0, 0.0)
    assert figures.trained_epochs == dispatch.arena.curves.cells


def test_a_study_that_goes_on_tells_what_its_store_had_and_no_old_promotion(begin) -> None:
    dispatch = begin()
    for _ in range(8):
        given = dispatch.next()
        assert given is not None
        train(dispatch, given)
    known = dispatch.arena.curves.cells
    dispatch.finish(complete=False)
    again = begin()
    moment = Watch(again).read(Occupancy(2))
    assert (moment.stored, moment.trained, moment.events) == (known, 0, [])
    again.finish(complete=False)


def test_failures_and_lost_workers_are_told(begin) -> None:
    calls: list[int] = []

    def before(number: int, orders: Any) -> None:
        calls.append(number)
        if number == 1 and calls.count(1) == 2:
            raise Died("the node went down")

    dispatch = begin(fail=0.4, seconds=0.02)
    watch = Watch(dispatch)
    Played(dispatch, target=lambda holds, wants: 2, before=before)
    moment = watch.read(None)
    assert moment.failed == len(dispatch.arena.curves.failures) > 0
    assert moment.met >= moment.failed + 1
    told = [incident.text for incident in dispatch.incidents.last]
    assert any(re.match(r"trial [0-9a-f]{16} failed in epoch 1: ", text) for text in told)


def test_epochs_trained_again_make_one_incident_as_long_as_they_follow_each_other() -> None:
    met = Incidents()
    for trial, epochs in (("a", [3]), ("a", [4, 5]), ("b", [1]), ("a", [6])):
        met.again(trial, epochs)
    assert [(incident.kind, incident.text) for incident in met.last] == [
        ("again", "trial a trained epochs 3 to 5 again, which no checkpoint had"),
        ("again", "trial b trained epoch 1 again, which no checkpoint had"),
        ("again", "trial a trained epoch 6 again, which no checkpoint had"),
    ]
    assert met.count == 3


# -- where it is shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {}, Drawing),
        ({"NO_COLOR": "1"}, {}, Drawing),
        ({}, {"plain": True}, Lines),
        ({"CI": "true"}, {}, Lines),
        ({"CI": "false"}, {}, Drawing),
        ({"TERM": "dumb"}, {}, Lines),
        ({"JPY_PARENT_PID": "1"}, {}, Lines),
        ({}, {"quiet": True, "plain": True}, Nowhere),
    ],
)
def test_a_drawing_is_made_only_where_somebody_looks_at_a_terminal(environ, options, expected) -> None:
    given = {"quiet": False, "plain": False, **options}
    assert type(outlet(console(Tty()), **given, environ=environ)) is expected


def test_a_file_gets_lines_even_if_colours_are_forced() -> None:
    forced = Console(file=io.StringIO(), _environ={"FORCE_COLOR": "1"})
    assert forced.is_terminal
    assert type(outlet(forced, quiet=False, plain=False, environ={})) is Lines


@pytest.mark.parametrize(
    ("environ", "coloured"), [({"FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1"}, False), ({}, False)]
)
def test_colours_follow_the_environment(environ: dict[str, str], coloured: bool) -> None:
    file = io.StringIO()
    Lines(Console(file=file, _environ=environ)).show(SIXTY)
    assert ("\x1b[31m" in file.getvalue()) is coloured


def test_lines_are_stamped_rare_and_few_where_failures_come_by_the_dozen() -> None:
    file = io.StringIO()
    lines = Lines(Console(file=file, width=40))
    for met in range(0, 40, 4):
        recent = tuple(Incident(0, "failed", f"trial {number} failed") for number in range(max(0, met - 8), met))
        lines.show(replace(SIXTY, incidents=recent, met=met))
    lines.end(replace(SIXTY, incidents=(), met=36))
    told = file.getvalue().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d sixty-runs: ", line) for line in told)
    assert "15,000 of 36,000 epochs charged" in told[0]
    assert "best val_accuracy: grid 0.9000, random 0.9100" in told[0]
    assert sum(line.endswith(" failed") for line in told[1:-1]) == MOST_INCIDENTS
    assert told[-1].endswith("54.1 a second, 3 trials failed")
    assert len(told) == 2 + MOST_INCIDENTS


def test_the_drawing_is_replaced_in_place_below_what_others_print_and_one_line_stays(monkeypatch) -> None:
    tty = Tty()
    monkeypatch.setattr(sys, "stderr", tty)
    drawing = Drawing(console(tty))
    streams = sys.stdout, sys.stderr
    for trained in (10, 2_000, 30_000):
        drawing.show(replace(SIXTY, trained=trained))
        print(f"(raylet) a message after {trained}", file=sys.stderr)
    shown = tty.shown()
    assert shown[:3] == [f"(raylet) a message after {trained}" for trained in (10, 2_000, 30_000)]
    assert [line for line in shown if line.startswith("sixty-runs")] == [shown[3]]
    assert "30,000 trained" in shown[5]
    drawing.end(SIXTY)
    assert (sys.stdout, sys.stderr) == streams
    kept = [line for line in tty.shown() if line]
    assert kept[:3] == shown[:3]
    assert " ".join(kept[3:]).startswith("sixty-runs: 15,000 of 36,000 epochs charged, 10,398 trained")
    assert len(kept) == 5  # the last line is longer than 80 cells
    assert tty.getvalue().endswith("\n")
    assert tty.getvalue().rindex("\x1b[?25h") > tty.getvalue().rindex("\x1b[?25l")  # the cursor is back


def test_a_terminal_that_becomes_narrower_keeps_no_line_of_the_old_drawing() -> None:
    tty = Tty(80)
    terminal = console(tty)
    drawing = Drawing(terminal)
    drawing.show(SIXTY)
    lines = tty.shown()
    rows = sum(max(1, -(-len(line) // 50)) for line in lines)  # as a terminal of 50 cells wraps them
    assert rows > len(lines)
    terminal.width, sent = 50, len(tty.getvalue())
    drawing.show(SIXTY)
    assert tty.getvalue()[sent:].count("\x1b[1A") == rows - 1
    drawing.end(SIXTY)


def test_an_interrupted_study_leaves_its_line_and_the_terminal_as_it_was(begin, monkeypatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    tty, dispatch = Tty(), begin()
    streams = sys.stdout, sys.stderr

    def interrupted() -> None:
        with Progress(console=console(tty)) as progress:
            progress(dispatch, Occupancy(2, 0, 2))
            assert "0 of 2 slots busy, 2 starting" in "\n".join(tty.shown())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (sys.stdout, sys.stderr) == streams
    assert [line for line in tty.shown() if line] == ["shown: 0 of 96 epochs charged, 0 trained in 0:00"]
    dispatch.finish(complete=False)


def test_progress_looks_seldom_however_often_it_is_called(begin, monkeypatch) -> None:
    dispatch, file = begin(), io.StringIO()
    with Progress(plain=True, console=Console(file=file)) as progress:
        for _ in range(1_000):
            progress(dispatch, Occupancy(2, 2))
        progress(dispatch, None)
    assert len(file.getvalue().splitlines()) == 2
    dispatch.finish(complete=False)


def test_a_notebooks_cell_is_updated_in_place() -> None:
    from IPython.core import displaypub
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    published: list[tuple[str, bool]] = []

    class Publisher(displaypub.DisplayPublisher):
        def publish(self, data: Any, metadata: Any = None, *, update: bool = False, **others: Any) -> None:
            published.append((data["text/plain"], update))

    before, shell.display_pub = shell.display_pub, Publisher()
    try:
        cell = Cell()
        cell.show(SIXTY)
        cell.show(replace(SIXTY, trained=20_000))
        cell.end(SIXTY)
    finally:
        shell.display_pub = before
        InteractiveShell.clear_instance()
    assert [update for _, update in published] == [False, True, True]
    assert "20,000 trained" in published[1][0]
    assert published[2][0].startswith("sixty-runs: 15,000 of 36,000 epochs charged")
