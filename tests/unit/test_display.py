"""The display of a running study, laid out for any size: whole words, whole numbers, and never more than fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from shown_study import METHODS, SIXTY, tally

from hpo.live.display.layout import screen, sentence, summary
from hpo.live.display.moment import Moment
from hpo.live.display.words import amount, measured, paced
from hpo.live.incidents import Incident
from hpo.live.occupancy import Occupancy
from hpo.live.pace import MARKS, Pace, left


def plain(moment: Moment, width: int, height: int) -> list[str]:
    return [line.plain for line in screen(moment, width, height)]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_sixty_runs_fit_24_lines_with_each_method_its_budget_and_its_incumbent(width: int) -> None:
    lines = plain(SIXTY, width, 24)
    assert len(lines) <= 24
    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    for number, method in enumerate(METHODS):
        row = next(line for line in lines if line.startswith(f"{method} "))
        assert f"{1000 * number:,} of 6,000" in row
        assert f"{0.9 + number / 100:.4f}" in row
    words = ("39%", "1:19:20", "15,000", "36,000", "10,398", "3:12", "1,024", "2.1", "61", "64")
    assert set(words) <= set(text.replace("\n", " ").split())
    for said in (
        "2 starting",
        "1 waiting for room",
        "3 trials failed",
        "c60d96792a42f0d2",
        "3f2a91bc7de01234",
        "host:1234",
    ):
        assert said in text


@pytest.mark.parametrize("width", range(40, 140, 7))
def test_no_word_is_cut_and_no_number(width: int) -> None:
    whole = set(" ".join([*plain(SIXTY, 1_000, 100), "done"]).split())
    for line in plain(SIXTY, width, 40):
        words = line.replace("…", " ").split()
        bars = [word for word in words if set(word) <= set("━┄")]
        assert set(words) - set(bars) <= whole, line


def test_the_numbers_do_not_move_while_they_grow() -> None:
    young = replace(SIXTY, tallies=tuple(replace(t, charged=0, best=None, mean=None) for t in SIXTY.tallies))
    for early, late in zip(plain(young, 80, 24)[3:], plain(SIXTY, 80, 24)[3:], strict=True):
        assert early.find(" of ") == late.find(" of ")


def test_what_is_not_known_is_a_dash() -> None:
    young = replace(SIXTY, left=None, rate=None, trained=0, occupancy=Occupancy(4, 0, 4))
    text = "\n".join(plain(young, 80, 24))
    assert "time left -" in text
    assert "a second" not in text
    assert "0 of 4 slots busy, 4 starting" in text
    assert "time left -" in sentence(young)


def test_a_low_terminal_keeps_the_head_and_says_how_many_methods_it_hides() -> None:
    lines = plain(SIXTY, 80, 8)
    assert len(lines) <= 8
    assert lines[0].startswith("sixty-runs")
    assert lines[-1] == "and 4 more methods"


def test_a_single_seed_shows_no_mean_and_a_finished_method_a_whole_bar() -> None:
    done, begun = (
        replace(tally(5, name, runs=1), charged=charged) for name, charged in (("asha", 6_000), ("grid", 5_999))
    )
    lines = plain(replace(SIXTY, tallies=(done, begun)), 80, 24)
    title, asha, grid = (next(line for line in lines if line.startswith(name)) for name in ("method", "asha", "grid"))
    assert not {"mean", "done"} & set(title.split())
    assert "┄" not in asha
    assert "┄" in grid


def test_the_exams_a_silent_store_and_the_last_line_are_told() -> None:
    late = replace(SIXTY, left=None, rate=None, exams=(3, 16), share=1.0, trouble="S3 does not answer", charged=36_000)
    text = "\n".join(plain(late, 80, 24))
    assert "100%" in text
    assert "winners' exams: 3 under way, 16 to come" in text
    assert "store: S3 does not answer" in text
    assert summary(late) == (
        "sixty-runs: 36,000 of 36,000 epochs charged, 10,398 trained in 3:12 besides 1,024 from the store, 54.1 a second, "
        "3 trials failed"
    )


def test_a_reason_that_moves_the_cursor_is_shown_as_text() -> None:
    nasty = replace(SIXTY, incidents=(Incident(0, "failed", "one\ntwo\x1b[2J\rthree"),))
    assert "one two?[2J three" in "\n".join(plain(nasty, 80, 24))


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(20, 210), height=st.integers(3, 60), label=st.text("ab-_é漢", min_size=1, max_size=64),
    study=st.text("ab-_.", min_size=1, max_size=64), methods=st.integers(1, 40), reason=st.text(max_size=300),
    occupied=st.sampled_from([None, Occupancy(), Occupancy(4_096, 4_000, 90, 6)]),
)  # fmt: skip
def test_whatever_there_is_to_show_fits(width, height, label, study, methods, reason, occupied) -> None:
    moment = replace(
        SIXTY, study=study, occupancy=occupied, incidents=(Incident(0, "failed", reason),),
        tallies=tuple(tally(number, f"{label}{number}") for number in range(methods)),
    )  # fmt: skip
    lines = screen(moment, width, height)
    assert len(lines) <= height
    if width >= 40:
        assert max(line.cell_len for line in lines) <= width


def test_numbers_are_written_as_people_read_them() -> None:
    numbers = (0, 1_024, 1_023.5, 59.97, 0.4567, 0.00004)
    assert [amount(number) for number in numbers] == ["0", "1,024", "1,023.5", "59.9", "0.456", "0"]
    assert [measured(value) for value in (None, 0.0, 0.97125, 1e-6, 123_456.789)] == [
        "-", "0.0000", "0.9712", "1.000e-06", "123456.7890",
    ]  # fmt: skip
    assert [paced(rate) for rate in (7_000, 2.134, 0.5, 0.01)] == [
        "7,000 a second", "2.1 a second", "30.0 a minute", "36.0 an hour",
    ]  # fmt: skip


def paced_by(epochs: list[tuple[float, int]]) -> Pace:
    pace = Pace()
    for at, count in epochs:
        pace.note(at, count)
    return pace


def test_the_rate_is_that_of_the_last_minute_and_falls_when_nothing_comes() -> None:
    pace = paced_by([(second, 10 * second if second < 100 else 1_000 + 2 * (second - 100)) for second in range(200)])
    assert pace.rate(199, 1_198) == pytest.approx(2, rel=0.05)
    assert pace.rate(259, 1_198) < 1


def test_the_rate_of_long_epochs_reaches_back_to_twenty_of_them() -> None:
    pace = paced_by([(600.0 * turn, 4 * turn) for turn in range(20)])  # 4 slots, 10 minutes an epoch
    assert pace.rate(600.0 * 19, 76) == pytest.approx(4 / 600)
    assert pace.rate(600.0 * 19 + 590, 76) == pytest.approx(4 / 600, rel=0.25)


def test_the_rate_is_not_known_at_once_and_costs_no_more_for_a_million_epochs() -> None:
    assert Pace().rate(5.0) is None
    assert paced_by([(0.0, 0), (1.0, 2)]).rate(1.0, 2) is None
    pace = paced_by([(0.001 * tick, tick) for tick in range(200_000)])
    assert len(pace._marks) <= MARKS
    assert pace.rate(200.0, 200_000) == pytest.approx(1_000, rel=0.05)


def test_what_a_run_lacks_is_its_budgets_rest_at_what_its_epochs_cost() -> None:
    assert left(budget=100, charged=0, epochs=0, ahead=10, charge=1) == 90
    assert left(budget=100, charged=40, epochs=8, ahead=2, charge=5) == 10  # 5 folds
    assert left(budget=10.0, charged=7.5, epochs=30, ahead=50, charge=1) == 0


def test_cheap_epochs_that_end_first_do_not_make_the_rest_look_endless() -> None:
    """Of a budget of 6 in millionths, nothing is charged yet, or two epochs of a hundredth of the average."""
    assert left(budget=6_000_000, charged=0, epochs=0, ahead=0, charge=300_000) == 20
    assert left(budget=6_000_000, charged=6_000, epochs=2, ahead=0, charge=300_000) < 30
