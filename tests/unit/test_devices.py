"""Which GPUs a worker process sees."""

from __future__ import annotations

import os

import pytest

from hpo.worker.devices import VISIBLE, hide_what_was_not_given


@pytest.mark.parametrize("before", [None, "", "0", "0,1"])
@pytest.mark.parametrize("given", [[], ["0"], ["1"]])
def test_a_process_that_was_given_no_gpu_sees_none_and_any_other_what_ray_shows_it(monkeypatch, before, given):
    monkeypatch.setenv(VISIBLE, before or "")
    if before is None:
        monkeypatch.delenv(VISIBLE)
    hide_what_was_not_given(given)
    assert os.environ.get(VISIBLE) == (before if given else "")
