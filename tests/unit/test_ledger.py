"""The ledger: committed + reserved <= budget at every moment, whatever is reserved, charged and refunded."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hpo.game.ledger import Ledger


class Game(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.ledger = Ledger(50)
        self.open = 0
        self.charged = 0

    @rule(epochs=st.integers(1, 80), unit=st.integers(1, 7))
    def reserve(self, epochs, unit):
        room = self.ledger.remaining
        granted = self.ledger.reserve(epochs, unit)
        assert granted <= min(epochs, room)
        assert granted % unit == 0
        assert min(epochs, room) - granted < unit
        self.open += granted

    @precondition(lambda self: self.open > 0)
    @rule(data=st.data())
    def commit(self, data):
        epochs = data.draw(st.integers(0, self.open))
        self.ledger.commit(epochs)
        self.open -= epochs
        self.charged += epochs

    @precondition(lambda self: self.open > 0)
    @rule(data=st.data())
    def refund(self, data):
        epochs = data.draw(st.integers(0, self.open))
        self.ledger.refund(epochs)
        self.open -= epochs

    @invariant()
    def nothing_is_lost_and_nothing_is_spent_twice(self):
        ledger = self.ledger
        assert (ledger.committed, ledger.reserved) == (self.charged, self.open)
        assert ledger.committed + ledger.reserved + ledger.remaining == ledger.budget == 50
        assert ledger.remaining >= 0
        assert ledger.spent == (self.charged == 50)


TestGame = Game.TestCase


@pytest.mark.parametrize(("asked", "granted"), [(9, 9), (10, 10), (11, 10)])
def test_the_last_reservation_is_cut_to_fit(asked, granted):
    assert Ledger(10).reserve(asked) == granted


def test_more_than_is_reserved_can_be_neither_charged_nor_refunded():
    ledger = Ledger(10)
    ledger.reserve(3)
    for take in (ledger.commit, ledger.refund):
        with pytest.raises(ValueError, match="0 <= amount <= reserved must hold, but got"):
            take(4)
    with pytest.raises(ValueError, match="budget >= 1 must hold, but got 0"):
        Ledger(0)
