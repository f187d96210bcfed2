"""A signal that asks a study to stop ends it with one sentence, whatever the code on the way makes of the exception."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable

import pytest
from pydantic import BaseModel, model_serializer

from hpo.errors import InterruptedStudy
from hpo.live.stopping import stoppable


class Stopped(BaseModel):
    """Its serialization is where the signal comes: pydantic makes an error of its own of what is raised there."""

    @model_serializer
    def _given(self) -> dict[str, str]:
        signal.raise_signal(signal.SIGTERM)
        return {}


def renamed() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException:
        raise RuntimeError("a library's own error") from None


def interrupted() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGINT)  # a second one, while the first one's exception is on its way


@pytest.mark.parametrize(
    "block", [lambda: signal.raise_signal(signal.SIGTERM), lambda: Stopped().model_dump(), renamed, interrupted]
)
def test_a_stop_ends_with_the_sentence_of_its_first_signal(block: Callable[[], None]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedStudy) as told, stoppable("hpo run x.yaml"):
        block()
    assert str(told.value).startswith("stopped by SIGTERM; ")
    assert str(told.value).endswith("to continue: hpo run x.yaml")
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_without_a_stop_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), stoppable("hpo run x.yaml"):
        print(1 / 0)


def test_a_stop_that_the_block_gets_over_does_not_end_it() -> None:
    with stoppable("hpo run x.yaml"):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        done = True
    assert done
