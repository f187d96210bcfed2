"""The table of curves: cells are written once and in order; a curve ends with its training, or with a failure."""

from __future__ import annotations

import pytest

from hpo.game.curves import Curves, Failed, Trained


def ended() -> Curves:
    """A trial whose training ended itself at epoch 3."""
    curves = Curves()
    for epoch, value in enumerate((0.3, 0.9, 0.5), start=1):
        assert curves.add("t", epoch, value, ended=epoch == 3)
    return curves


def test_only_the_last_epoch_of_an_ended_curve_is_its_end_and_nothing_is_known_beyond() -> None:
    curves = ended()
    cells = [curves.cell("t", epoch) for epoch in range(1, 6)]
    assert cells == [Trained(0.3), Trained(0.9), Trained(0.5, ended=True), None, None]
    assert curves.known("t") == 3


def test_a_curve_is_closed_when_it_ended_or_failed_and_not_before() -> None:
    curves = Curves()
    assert not curves.closed("t")
    curves.add("t", 1, 0.3)
    assert not curves.closed("t")
    curves.add("t", 2, 0.9, ended=True)
    assert curves.closed("t")
    curves.fail("u", "no such layer")
    assert curves.closed("u")


def test_a_failure_after_the_end_is_none() -> None:
    """A worker that dies after the last epoch of a curve takes nothing from it."""
    curves = ended()
    curves.fail("t", "its worker died")
    assert curves.cell("t", 4) is None
    assert curves.failures == {}


def test_a_failed_trial_keeps_its_epochs_and_its_first_reason_and_failures_are_counted() -> None:
    curves = Curves()
    curves.add("t", 1, 0.3)
    for trial, reason in (("u", "first"), ("t", "second"), ("u", "third")):
        curves.fail(trial, reason)
    assert [curves.cell("t", 1), curves.cell("t", 2), curves.cell("u", 1)] == [
        Trained(0.3), Failed("second"), Failed("first"),
    ]  # fmt: skip
    assert curves.failures == {"u": 0, "t": 1}


def test_a_known_cell_keeps_its_first_value_and_none_may_be_left_out() -> None:
    curves = ended()
    assert not curves.add("t", 2, 0.1)
    assert not curves.add("t", 3, 0.1)
    assert curves.cell("t", 3) == Trained(0.5, ended=True)
    with pytest.raises(ValueError, match="epoch 1 of trial x must come next, but got epoch 3"):
        curves.add("x", 3, 0.5)
