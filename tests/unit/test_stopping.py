"""A signal that asks a study to stop ends it with one sentence, whatever the code on the way makes of the exception."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable

import pytest
from pydantic import BaseModel, model_serializer

from hpo.errors import InterruptedStudy, StudyFailed
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


def overcome() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise StudyFailed("the disk is full")


@pytest.mark.parametrize(
    ("block", "name"),
    [
        (lambda: signal.raise_signal(signal.SIGTERM), "SIGTERM"),
        (lambda: Stopped().model_dump(), "SIGTERM"),
        (renamed, "SIGTERM"),
        (interrupted, "SIGINT"),
    ],
)
def test_a_stop_ends_with_the_sentence(block: Callable[[], None], name: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedStudy) as told, stoppable("hpo run x.yaml"):
        block()
    assert str(told.value).startswith(f"stopped by {name}; ")
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


def test_an_error_after_such_a_stop_is_not_hidden() -> None:
    with pytest.raises(StudyFailed, match="the disk is full"), stoppable("hpo run x.yaml"):
        overcome()


def test_the_sentence_of_a_block_within_stays() -> None:
    with pytest.raises(InterruptedStudy) as told, stoppable("outer"), stoppable("inner"):
        signal.raise_signal(signal.SIGINT)
    assert str(told.value).endswith("to continue: inner")
